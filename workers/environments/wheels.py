"""The operator's folder of wheels."""

from pathlib import Path

from packaging.tags import sys_tags
from packaging.utils import InvalidWheelFilename, NormalizedName, parse_wheel_filename
from packaging.version import Version


def offered_wheels(folder: Path | None) -> dict[NormalizedName, Version]:
    """The newest version of each distribution in the folder that this Python can use."""
    usable, newest = frozenset(sys_tags()), dict[NormalizedName, Version]()
    for path in folder.glob("*.whl") if folder is not None else ():
        try:
            name, version, _, tags = parse_wheel_filename(path.name)
        except InvalidWheelFilename:
            continue
        if not tags.isdisjoint(usable) and newest.get(name, version) <= version:
            newest[name] = version
    return newest
