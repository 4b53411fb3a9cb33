"""The launcher's arguments and its last word."""

import argparse
import asyncio
import errno
import sys
from pathlib import Path

from deploy.local.command import ROOT
from deploy.local.launcher import launch
from deploy.local.preflight import alone_in, check_disk, check_packages
from shared.errors import OperatorError


def main() -> int:
    """Run the platform until it is stopped; the exit code."""
    folder = _arguments().data.absolute()
    try:
        check_packages()
        with alone_in(folder):
            check_disk(folder)
            asyncio.run(launch(folder))
    except OperatorError as error:
        return _refuse(str(error))
    except OSError as error:
        return _refuse(_in_words(error, folder))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.local",
        description="Start PostgreSQL, Redis and every process of the Procfile; Ctrl-C stops them all.",
        epilog="Every setting of .env.example can be given in the environment, as can FORMATION=predict=2, "
        "which runs two processes of that entry.",
    )
    parser.add_argument(
        "--data", type=Path, default=ROOT / ".modelyard", help="where everything is kept (%(default)s)"
    )
    return parser.parse_args()


def _in_words(error: OSError, folder: Path) -> str:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return f"the disk of {folder} is full: free some space, or use a folder on another disk (--data)"
    return f"{error.filename or folder}: {error.strerror or error}"


def _refuse(reason: str) -> int:
    print(f"modelyard cannot start: {reason}", file=sys.stderr)
    return 1
