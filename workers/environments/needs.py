"""From what an artifact needs to the environment to ask for: the platform's own where that fits."""

from collections.abc import Mapping

import msgspec
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from shared.catalog.verdict import Contents
from workers.environments import known
from workers.environments.errors import EnvironmentUnavailable
from workers.environments.own import OwnEnvironment
from workers.environments.request import EnvironmentRequest
from workers.environments.requirement import exact_version, normal_line, read_requirements

_WHOLE = 3  # numbers of an exact version; fewer name a series


class Needs(msgspec.Struct, frozen=True):
    """What an artifact needs.

    Attributes:
        versions: of distributions that the file names, as far as it tells them.
        requirements: that came with it.
    """

    versions: dict[NormalizedName, Version | None]
    requirements: list[Requirement]

    @property
    def names(self) -> frozenset[NormalizedName]:
        """Of all distributions in it."""
        return frozenset(self.versions) | {canonicalize_name(found.name) for found in self.requirements}

    def fit(self, own: OwnEnvironment) -> bool:
        """Whether the platform's own has it all: the same minor versions, or any where none is told."""
        asked = all(_fits(own, name, version) for name, version in self.versions.items())
        return asked and all(_satisfies(own, requirement) for requirement in self.requirements)

    def told(self) -> str:
        """In words."""
        named = [f"{name} {version or ''}".strip() for name, version in sorted(self.versions.items())]
        if self.requirements:
            count = len(self.requirements)
            named.append(f"{count} listed requirement{'' if count == 1 else 's'}")
        return " and ".join(named)

    def looser(self) -> "Needs | None":
        """The same with any version of what is not in every environment; None where none was told."""
        loose = {name: version if name in known.BASE else None for name, version in self.versions.items()}
        return None if self.requirements or loose == self.versions else Needs(loose, [])

    def only_base(self) -> bool:
        """Whether all that it needs are other versions of what every environment has."""
        return not self.requirements and all(name in known.BASE for name in self.versions)


def read_needs(contents: Contents) -> Needs:
    """What an artifact needs.

    Raises:
        RequirementsInvalid: by the requirements that came with it.
        EnvironmentUnavailable: the version that it was made with is none that was released.
    """
    versions = {canonicalize_name(name): _version(name, text) for name, text in contents.needs.items()}
    return Needs(versions, read_requirements(contents.requirements))


def request_for(
    needs: Needs, own: OwnEnvironment, offered: Mapping[NormalizedName, Version]
) -> EnvironmentRequest:
    """The environment to ask for.

    Args:
        offered: the newest wheels in the operator's folder, which are taken where no version is told.

    Raises:
        EnvironmentUnavailable: it takes a distribution that is not installed for a file's sake.
    """
    _refuse_unknown(needs)
    listed = {canonicalize_name(found.name) for found in needs.requirements}
    asked: dict[NormalizedName, Version | None] = dict.fromkeys(known.BASE)
    asked |= needs.versions
    lines = [
        _line(known.lighter(name, version), version, _newest(name, own, offered))
        for name, version in asked.items()
        if name not in listed
    ]
    named = {Requirement(line).name for line in lines} | listed
    return EnvironmentRequest(
        known=sorted(
            lines + [normal_line(r, extras=False) for r in needs.requirements if known.is_known(_name(r))]
        ),
        # What comes by an extra alone, the owner has named, and no release of the library rests on.
        foreign=sorted(
            normal_line(r) for r in needs.requirements if r.extras or not known.is_known(_name(r))
        ),
        limits=sorted(
            [line for line in _limits(needs) if _name(Requirement(line)) not in listed]
            + [f"{name}=={version}" for name, version in offered.items() if name not in named]
        ),
    )


def _refuse_unknown(needs: Needs) -> None:
    listed = {canonicalize_name(found.name) for found in needs.requirements}
    unknown = sorted(name for name in needs.versions if not known.is_known(name) and name not in listed)
    if unknown:
        raise EnvironmentUnavailable(
            f"The model needs {', '.join(unknown)}, which is not installed for a file's sake.",
            "Send a requirements.txt with the model that lists it, or ask the operator to install it.",
        )


def _limits(needs: Needs) -> list[str]:
    """What goes with the scikit-learn and the NumPy that are asked for."""
    told: dict[NormalizedName, Version | None] = {_name(r): exact_version(r) for r in needs.requirements}
    return known.limits_beside(told | needs.versions)


def _newest(name: NormalizedName, own: OwnEnvironment, offered: Mapping[NormalizedName, Version]) -> str:
    """The part of a line that says how new it may be, where no version is told."""
    if name in offered:
        return f"=={offered[name]}"
    if name == "msgspec":  # both sides of the wall read the same words
        return f"=={own.versions[name]}"
    newest = own.versions.get(name) if name in known.BASE else known.newest_tried(name)
    return "" if newest is None else f"<={newest}"


def _line(name: NormalizedName, version: Version | None, otherwise: str) -> str:
    if version is None:
        return f"{name}{otherwise}"
    return f"{name}=={version.public}" if len(version.release) >= _WHOLE else f"{name}=={version.public}.*"


def _fits(own: OwnEnvironment, name: NormalizedName, version: Version | None) -> bool:
    installed = own.versions.get(name) or own.versions.get(known.lighter(name, version))
    if installed is None or version is None:
        return installed is not None
    return installed.release[:2][: len(version.release)] == version.release[:2]


def _satisfies(own: OwnEnvironment, requirement: Requirement) -> bool:
    installed = own.versions.get(_name(requirement))
    return installed is not None and requirement.specifier.contains(installed, prereleases=True)


def _version(name: str, text: str | None) -> Version | None:
    if text is None:
        return None
    try:
        return Version(text)
    except InvalidVersion as error:
        raise EnvironmentUnavailable(
            f"The model was made with {name} {text[:40]!r}, which is no version that was released.",
            f"Train and save it again with a released version of {name}.",
        ) from error


def _name(requirement: Requirement) -> NormalizedName:
    return canonicalize_name(requirement.name)
