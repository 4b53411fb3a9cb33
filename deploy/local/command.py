"""A program to run, and how it wants to be stopped."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path

import msgspec

from shared.leash import leashed

ROOT = Path(__file__).resolve().parents[2]  # the checkout


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A program with its arguments, the first of which is an absolute path."""

    name: str
    argv: list[str]
    env: Mapping[str, str]
    folder: str = "/"  # where it starts; the user that it runs as must be able to enter
    account: str = ""  # the user it runs as; empty: ours
    stop_signal: int = signal.SIGTERM
    stop_grace_s: float = 10.0  # how long it may take to end after `stop_signal`
    kill_signal: int = signal.SIGKILL  # what ends it and its own children at once

    def on_leash(self) -> list[str]:
        """Arguments that start it so that it is stopped when this process ends, however that happens."""
        return leashed(self.argv, signal=self.stop_signal, account=self.account)


def basic_environment() -> dict[str, str]:
    """What any program needs to find its way, and none of our settings."""
    wanted = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TMPDIR")
    return {name: os.environ[name] for name in wanted if name in os.environ}
