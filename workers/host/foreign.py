"""Libraries that only a model's owner vouches for."""

import sys
import sysconfig
from pathlib import Path

_FOLDER = ".foreign"  # among the packages of an environment, where no import finds it by itself


def open_foreign_libraries() -> None:
    """Let this host import what its environment holds for the model's owner.

    Only ever inside a host: a template is not fenced in, and must import nothing that anybody may have named.
    Added at the end, so that nothing in it stands in for a library that the platform knows; `.pth` files in
    it are not looked at.
    """
    folder = Path(sysconfig.get_path("purelib"), _FOLDER)
    if folder.is_dir():
        sys.path.append(str(folder))
