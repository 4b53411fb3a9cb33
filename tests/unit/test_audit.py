"""`make audit` tells a library with a known weakness from a lock that nobody could look at."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

REQUIREMENTS = Path(__file__).parents[2] / "requirements"
PIP_AUDIT = REQUIREMENTS.parent / ".venv/audit/bin/pip-audit"
LOCKS = ("platform.txt", "develop.txt", "uv.txt", "audit.txt")
FOUND = "Found 1 known vulnerability in 1 package"
AWAY = "ConnectionError: Max retries exceeded"


@pytest.fixture
def audit(tmp_path):
    """Runs the script where pip-audit says what it is told to; gives how it ended, and what was asked."""
    requirements, tools = tmp_path / "requirements", tmp_path / ".venv/audit/bin"
    requirements.mkdir()
    tools.mkdir(parents=True)
    for name in ("audit", "audit-exceptions.txt", *LOCKS):
        shutil.copy(REQUIREMENTS / name, requirements)

    def run(says: str, status: int, *, exceptions: str | None = None):
        tool = tools / "pip-audit"
        tool.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\necho "{says}" >&2\nexit {status}\n')
        tool.chmod(0o755)
        if exceptions is not None:
            (requirements / "audit-exceptions.txt").write_text(exceptions)
        return subprocess.run(
            [requirements / "audit"],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path)},
        )

    return run


def test_nothing_known_is_success(audit):
    assert audit("No known vulnerabilities found", 0).returncode == 0


def test_a_known_weakness_fails(audit):
    ended = audit(FOUND, 1)

    assert ended.returncode == 1
    assert FOUND in ended.stderr
    assert "audit-exceptions.txt" in ended.stderr


def test_a_database_that_cannot_be_reached_is_never_success(audit):
    ended = audit(AWAY, 1)

    assert ended.returncode == 2
    assert "THE CHECK DID NOT TAKE PLACE" in ended.stderr


def test_an_exception_is_passed_over_with_its_reason(audit, tmp_path):
    ended = audit("", 0, exceptions="# why\nPYSEC-2026-1  # a program of the package that nothing starts\n")

    assert ended.returncode == 0
    assert "--ignore-vuln PYSEC-2026-1" in (tmp_path / "asked").read_text()


def test_an_exception_without_a_reason_is_refused(audit):
    ended = audit("", 0, exceptions="PYSEC-2026-1\n")

    assert ended.returncode == 2
    assert "PYSEC-2026-1" in ended.stderr


def test_what_is_asked_is_the_lock_with_hashes_and_an_answer_for_each(audit, tmp_path):
    audit("", 0)

    asked = (tmp_path / "asked").read_text()
    assert "--require-hashes" in asked
    assert "--strict" in asked  # else what nobody knows counts as harmless


def test_every_lock_is_looked_at_though_one_is_weak(audit, tmp_path):
    ended = audit(FOUND, 1)

    asked = (tmp_path / "asked").read_text()
    assert all(f"--requirement requirements/{lock}" in asked for lock in LOCKS)
    assert ended.returncode == 1


@pytest.mark.skipif(not PIP_AUDIT.exists(), reason="made by `make audit`")
def test_pip_audit_finds_what_a_folder_of_advisories_tells(tmp_path):
    lock = tmp_path / "lock.txt"
    lock.write_text(f"jinja2==2.11.2 --hash=sha256:{'0' * 64}\nrequests==2.31.0 --hash=sha256:{'0' * 64}\n")

    ended = subprocess.run(
        [REQUIREMENTS / "audit", lock],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "ADVISORIES": "tests/fixtures/advisories"},
    )

    assert ended.returncode == 1
    assert "Found 1 known vulnerability in 1 package" in ended.stderr
    assert "PYSEC-2021-66 2.11.3" in ended.stderr
