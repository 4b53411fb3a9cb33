"""Reads a requirements file: names of libraries with versions, and nothing that installs otherwise."""

import re

from workers.host.error_text import shown
from workers.host.rejection import Rejected

_MOST_LINES = 200
# A name, perhaps extras, versions and a marker (PEP 508); no address to install from.
_LINE = re.compile(r"[A-Za-z0-9][\w.-]*\s*(\[[\w\s,.-]*\])?\s*(\(?[<>=!~][^;@/]*\)?)?\s*(;[^@]*)?")


def requirement_lines(content: bytes) -> list[str]:
    """The requirements in it, without comments.

    Raises:
        Rejected: a line that is more than a name with versions.
    """
    lines = [line.partition(" #")[0].strip() for line in content.decode(errors="replace").splitlines()]
    requirements = [line for line in lines if line and not line.startswith("#")]
    for line in requirements[: _MOST_LINES + 1]:
        if not _LINE.fullmatch(line):
            raise _unfit(f"the line {shown(line)!r}")
    if len(requirements) > _MOST_LINES:
        raise _unfit(f"more than {_MOST_LINES} lines")
    return requirements


def _unfit(what: str) -> Rejected:
    return Rejected(
        "requirements_invalid",
        f"`requirements.txt` has {what}.",
        "Write a library a line, with its version: `scipy==1.16.1`. Options and addresses are not taken.",
    )
