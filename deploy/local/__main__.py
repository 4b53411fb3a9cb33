"""`python -m deploy.local`: the whole platform on this machine, for development and trying out."""

import sys

try:
    from deploy.local.command_line import main
except ModuleNotFoundError as missing:
    sys.exit(f"modelyard cannot start: the package {missing.name} is not installed: run `make install`")

if __name__ == "__main__":
    sys.exit(main())
