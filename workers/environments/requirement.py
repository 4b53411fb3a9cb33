"""Reads the lines of a requirements file that came with a model."""

import re
from collections.abc import Iterable

from packaging.markers import UndefinedComparison, UndefinedEnvironmentName
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from workers.environments.errors import RequirementsInvalid
from workers.environments.known import lighter

MAX_LINES = 200  # of requirements; an environment of more is somebody's whole machine
MAX_LINE_LENGTH = 500
_SHOWN = 80
_REMEDY = "Write one `name==version` on each line, as `pip freeze` does."


def read_requirements(lines: Iterable[str]) -> list[Requirement]:
    """The requirements that hold here: names, versions and markers, and nothing else.

    Raises:
        RequirementsInvalid: a line is an option, an address, a path or cannot be read; or there are too many.
    """
    stripped = [line.partition(" #")[0].strip() for line in lines]
    kept = [line for line in stripped if line and not line.startswith("#")]
    if len(kept) > MAX_LINES:
        message = f"The requirements have {len(kept)} lines, more than the {MAX_LINES} that are taken."
        raise RequirementsInvalid(message, "List only what the model imports.")
    requirements = [_requirement(line) for line in kept]
    return [found for found in requirements if _holds(found)]


def normal_line(requirement: Requirement, *, extras: bool = True) -> str:
    """The requirement as it is asked for: without its marker, which holds, and in its lighter build."""
    name = canonicalize_name(requirement.name)
    version = exact_version(requirement)
    more = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras and extras else ""
    return f"{lighter(name, version)}{more}{requirement.specifier}"


def exact_version(requirement: Requirement) -> Version | None:
    """The one version that satisfies it, where it names one."""
    specifiers = list(requirement.specifier)
    if len(specifiers) != 1 or specifiers[0].operator != "==" or specifiers[0].version.endswith("*"):
        return None
    return Version(specifiers[0].version)


def _holds(requirement: Requirement) -> bool:
    """Whether its marker speaks of such a machine as this is."""
    try:
        return requirement.marker is None or requirement.marker.evaluate()
    except (UndefinedComparison, UndefinedEnvironmentName) as error:
        message = f"A marker in the requirements cannot be understood: {str(requirement.marker)[:_SHOWN]!r}."
        raise RequirementsInvalid(message, _REMEDY) from error


def _requirement(line: str) -> Requirement:
    shown = "it holds an address" if "://" in line else repr(line[:_SHOWN])  # which may hold a password
    if len(line) > MAX_LINE_LENGTH:
        raise RequirementsInvalid(f"A line of the requirements is too long: {shown}.", _REMEDY)
    if line.startswith("-"):
        option = re.split(r"[\s=]", line, maxsplit=1)[0][:_SHOWN]
        message = f"The requirements hold an option, which is not taken: {option}."
        raise RequirementsInvalid(message, _REMEDY)
    try:
        requirement = Requirement(line)
    except InvalidRequirement as error:
        raise RequirementsInvalid(f"A line of the requirements cannot be read: {shown}.", _REMEDY) from error
    if any(part.operator == "===" for part in requirement.specifier):  # which takes any characters at all
        raise RequirementsInvalid(f"A line of the requirements compares by `===`: {shown}.", _REMEDY)
    if requirement.url is not None:
        message = f"The requirements take {requirement.name} from an address, which is not done here."
        raise RequirementsInvalid(message, f"Name a released version: `{requirement.name}==…`.")
    return requirement
