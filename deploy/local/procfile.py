"""The Procfile's entries, and how many processes of each are wanted."""

import re
import shlex
import shutil
import sys
from collections.abc import Mapping

from deploy.local.command import ROOT, Command
from deploy.local.errors import CannotStart

RELEASE = "release"  # runs to its end before anything else starts


def read_procfile() -> dict[str, list[str]]:
    """The arguments of each entry, the first a program's path."""
    lines = [line.partition(":") for line in (ROOT / "Procfile").read_text().splitlines() if ":" in line]
    return {name.strip(): _arguments(command) for name, _, command in lines}


def entry_command(name: str, argv: list[str], environment: Mapping[str, str]) -> Command:
    """How to run a process of an entry."""
    return Command(name=name, argv=argv, env=environment, folder=str(ROOT), stop_grace_s=15.0)


def form(entries: Mapping[str, list[str]], formation: str) -> dict[str, list[str]]:
    """The processes to run: one of each entry, or as many as `formation` says.

    Args:
        formation: as in `predict=2,batch=0`; several processes are named `predict.1`, `predict.2`.

    Raises:
        CannotStart: it names what is not in the Procfile, or cannot be read.
    """
    numbers = {name: 1 for name in entries if name != RELEASE} | _numbers(formation)
    if unknown := numbers.keys() - entries.keys() | numbers.keys() & {RELEASE}:
        raise CannotStart(
            f"FORMATION names {', '.join(sorted(unknown))}, which the Procfile cannot run several of"
        )
    if numbers.get("api", 0) > 1:
        raise CannotStart(
            "FORMATION wants several of api, which listens on one port: start them one a machine"
        )
    return {
        process: entries[name] for name, number in numbers.items() for process in _process_names(name, number)
    }


def _arguments(command: str) -> list[str]:
    program, *rest = shlex.split(command)
    path = sys.executable if program == "python" else shutil.which(program)
    if path is None:
        raise CannotStart(f"the Procfile runs {program}, which is not on the PATH")
    return [path, *rest]


def _numbers(formation: str) -> dict[str, int]:
    parts = [re.fullmatch(r"(\w+)=(\d+)", part) for part in formation.replace(",", " ").split()]
    if None in parts:
        raise CannotStart(f"FORMATION is {formation!r}, and should look like predict=2,batch=1")
    return {part[1]: int(part[2]) for part in parts if part}


def _process_names(entry: str, number: int) -> list[str]:
    return [entry] if number == 1 else [f"{entry}.{index}" for index in range(1, number + 1)]
