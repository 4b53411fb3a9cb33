"""The locks must fit together, and to what they were compiled from."""

import re
from pathlib import Path

REQUIREMENTS = Path(__file__).parents[2] / "requirements"


def test_tests_run_on_the_versions_that_the_platform_runs_on():
    platform, develop = pins("platform.txt"), pins("develop.txt")

    assert platform.items() <= develop.items()


def test_every_package_that_is_asked_for_is_locked():
    asked = {
        name.lower()
        for name in re.findall(r"^[A-Za-z0-9._-]+", (REQUIREMENTS / "platform.in").read_text(), re.MULTILINE)
    }

    assert asked <= pins("platform.txt").keys()


def test_no_lock_names_a_host():
    locks = [path.read_text() for path in REQUIREMENTS.glob("*.txt")]

    assert not any("://" in lock for lock in locks)


def pins(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", (REQUIREMENTS / lock).read_text(), re.MULTILINE))
