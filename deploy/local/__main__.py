"""`python -m deploy.local`: the whole platform on this machine, for development and trying out."""

import sys

try:
    from deploy.local.command_line import main

    sys.exit(main())
except ModuleNotFoundError as missing:
    sys.exit(f"modelyard cannot start: the package {missing.name} is not installed: run `make install`")
except KeyboardInterrupt:  # before there was anything to stop
    sys.exit(130)
