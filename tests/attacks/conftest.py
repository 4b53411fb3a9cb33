"""What every attack is tried in, once as each identity."""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.attacks.canary import Canary
from tests.attacks.estimator import Answerer, Attacker, pickled
from tests.attacks.identity import ORDINARY, ROOT, Hosting, Readable
from tests.attacks.planted import Planted
from tests.attacks.supervisor import Told, Trial

MIB = 1024 * 1024
MEMORY_BYTES = 512 * MIB  # that a host may have beyond what it shares with its template
MOST_THREADS = 640  # where a host has no user of its own, all processes of its user count
LIMITS = {"memory_bytes": MEMORY_BYTES}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give all attacks of one identity to one process: what they are tried in takes seconds to start."""
    for item in items:
        identity = getattr(item, "callspec", None) and item.callspec.params.get("user")
        if identity and "attack" in item.fixturenames:
            item.add_marker(pytest.mark.xdist_group(f"attacks as {identity}"))


@pytest.fixture(scope="session", params=["root", "ordinary user"])
def user(request: pytest.FixtureRequest) -> int:
    """As whom the worker runs: both, where the tests may choose."""
    if request.param == "root":
        if os.getuid() != 0:
            pytest.skip("only root can run a worker as root")
        return 0
    return ORDINARY if os.getuid() == 0 else os.getuid()


@pytest.fixture(scope="session")
def open_folder() -> Iterator[Path]:
    """A folder that every user can enter; pytest's own are closed."""
    folder = Path(tempfile.mkdtemp(prefix="cell-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def readable(open_folder: Path) -> Readable:
    return Readable(open_folder)


@pytest.fixture(scope="session")
def planted(open_folder: Path, user: int) -> Planted:
    folder = open_folder / f"user-{user}"
    folder.mkdir()
    os.chown(folder, user, user)
    return Planted(folder, user=user)


@pytest.fixture(scope="session")
def canary(planted: Planted) -> Iterator[Canary]:
    canary = Canary(planted.folder)
    yield canary
    canary.close()


@pytest.fixture(scope="session")
def hosting(planted: Planted, user: int, readable: Readable) -> Iterator[Hosting]:
    hosting = Hosting(planted, user=user, python=readable.python, root=readable.root, limits=LIMITS)
    yield hosting
    hosting.close()


class Attack:
    """Tries one artifact, and says what a breach would look like.

    Attributes:
        name: nobody else's: what bears it afterwards was left by this attack.
    """

    def __init__(self, hosting: Hosting, planted: Planted, canary: Canary) -> None:
        self.name = f"pwned-{uuid4().hex[:12]}"
        self._hosting, self.planted, self._canary = hosting, planted, canary
        self._path = planted.storage / f"{self.name}.upload"

    def facts(self) -> dict[str, object]:
        """All that a deed is told."""
        paths = {name: str(getattr(self.planted, name)) for name in PATHS}
        sizes = {"most_bytes": MEMORY_BYTES, "most_threads": MOST_THREADS}
        own = {"name": self.name, "own_file": str(self._path), "root": str(ROOT)}
        return paths | sizes | own | self._hosting.facts | self._canary.places

    def at_load(self, deed: Callable, **options: object) -> Told:
        return self.by(pickled(Attacker(deed, self.facts(), when="load")), **options)

    def at_predict(self, deed: Callable, **options: object) -> Told:
        return self.by(pickled(Attacker(deed, self.facts(), when="predict")), **options)

    def answering(self, deed: Callable, **options: object) -> Told:
        return self.by(pickled(Answerer(deed, self.facts(), when="predict")), **options)

    def by(self, content: bytes, **options: object) -> Told:
        """Upload these bytes, and have them opened and asked."""
        artifact = self.planted.artifact(self._path.name, content)
        self._canary.heard.clear()
        try:
            told = self._hosting.try_out(Trial(artifact=str(artifact), **options))
            artifact.unlink(missing_ok=True)
            self.held(told)
        except BaseException:
            self._tidy()
            raise
        return told

    def held(self, told: Told) -> None:
        """Nothing came out, nothing was left, nobody else was harmed."""
        gotten = [name for name, secret in self.planted.secrets.items() if secret in told.heard]
        said = told.heard[-600:]
        assert not gotten, said
        assert "PWNED" not in told.heard, said
        assert not told.fault, told.fault
        assert not told.harmed, told.harmed
        assert not told.left, told.left
        assert not self._canary.heard, self._canary.heard
        assert not (changed := self.planted.changed()), changed
        assert not (left := self.planted.left_elsewhere(self.name)), left
        assert told.peak_bytes < MEMORY_BYTES + SHARED_BYTES, f"{told.peak_bytes // MIB} MiB"
        assert not (mistake := MISTAKE.search(told.heard)), mistake

    def _tidy(self) -> None:
        """Leave to the next attack what this one found."""
        self.planted.plant()
        for path in self.planted.left_elsewhere(self.name):
            path.unlink()


# A deed that fails by its own fault would prove nothing.
MISTAKE = re.compile(
    r"stopped by (?:Name|Attribute|Type|Import|Index|Key|Assertion)\w*Error.*|has no attribute.*"
)
PATHS = ("folder", "storage", "code", "secret_file", "public_file", "other_model")
SHARED_BYTES = 400 * MIB  # of libraries and template, which count for every process that maps them


@pytest.fixture
def attack(hosting: Hosting, planted: Planted, canary: Canary) -> Attack:
    return Attack(hosting, planted, canary)
