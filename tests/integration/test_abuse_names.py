"""Names that lead out of folders, of headers or of statements: they are refused, or no more than names."""

import json
from email.message import Message
from pathlib import Path

import pytest

NAMES = (
    "../../../../srv/zq7",
    "..",
    ".",
    "%2e%2e%2f%2e%2e%2fzq7",
    "..%2f..%2fzq7",
    "..;/zq7",
    "..\\..\\zq7",
    "C:\\zq7",
    "/srv/zq7",
    "//zq7/share",
    "zq7\0.csv",
    "zq7\r\nX-Evil: 1\r\n\r\nbody",
    'zq7"; filename="evil.sh',
    "zq7'; DROP TABLE models; --",
    "zq7\u202efdp.exe",
    "\uff0e\uff0e\uff0fzq7",  # dots and a slash, twice as wide
    "zq7\u0430",
    "~/.ssh/zq7",
    "zq7" * 100,
    "$(touch zq7)`touch zq7`",
)
IN_JSON = (
    ("/api/v1/api-keys", "name", {}),
    ("/api/v1/organizations", "name", {}),
    ("/api/v1/uploads", "file_name", {}),
    (
        "/api/v1/schedules",
        "name",
        {"cron": "@daily", "job": {"model": "iris", "input": {"rows": [[5.1, 3.5]]}}},
    ),
)


@pytest.fixture
def written(settings) -> "Written":
    return Written(Path(settings.storage_url.removeprefix("file://")))


class Written:
    """What was written since."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._outside = self._beside()

    def _beside(self) -> set[Path]:
        return {path for path in self._store.parent.rglob("*") if not path.is_relative_to(self._store)}

    def outside(self) -> set[Path]:
        """Files beside the store."""
        return self._beside() - self._outside

    def named(self, text: str) -> list[Path]:
        """Files anywhere that a caller has named."""
        return [path for path in self._store.parent.rglob("*") if text in path.name]


def file_name_of(answer) -> str:
    """As a browser reads it."""
    message = Message()
    message["Content-Disposition"] = answer.headers["Content-Disposition"]
    return message.get_filename()


def assert_refused(answer, name):
    assert answer.status_code in {400, 404, 405, 409, 422}, (name, answer.text)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "x-evil" not in answer.headers


async def test_a_model_is_never_named_like_a_path(client, account, written):
    for name in NAMES:
        answer = await client.post(
            "/api/v1/models/upload",
            files={"file": ("model.pkl", b"x")},
            data={"name": name},
            headers=account.headers | {"Prefer": "wait=0"},
        )

        assert_refused(answer, name)

    assert (written.outside(), written.named("zq7")) == (set(), [])


async def test_a_file_keeps_of_its_name_what_can_be_shown_and_no_folder(client, account, served, written):
    await served("iris")
    by_wait = account.headers | {"Prefer": "wait=0"}
    for name in NAMES:
        files = {"file": (name, b"x")}
        sent = await client.post("/api/v1/models/upload", files=files, data={"name": "iris"}, headers=by_wait)
        assert sent.status_code == 201, (name, sent.text)
        number = sent.json()["version"]["number"]
        got = await client.get(f"/api/v1/models/iris/versions/{number}/artifact", headers=account.headers)

        kept = file_name_of(got)
        assert (got.status_code, got.content) == (200, b"x")
        assert "x-evil" not in got.headers
        assert kept.isprintable()
        assert not set(kept) & {"/", "\\"}, kept
        assert kept.strip(".")
        assert len(kept) <= 255

    assert (written.outside(), written.named("zq7")) == (set(), [])


async def test_a_job_takes_no_path_for_its_file_its_model_or_its_id(client, account, served, written):
    await served("iris")
    for name in NAMES:
        form = {"files": {"file": (name, b"sepal_length,sepal_width\n5.1,3.5\n")}, "headers": account.headers}
        sent = await client.post("/api/v1/jobs", data={"model": "iris"}, **form)
        assert sent.status_code in {202, 415, 422}, (name, sent.text)
        assert_refused(await client.post("/api/v1/jobs", data={"model": name}, **form), name)

    assert (written.outside(), written.named("zq7")) == (set(), [])


@pytest.mark.parametrize(("path", "field", "others"), IN_JSON, ids=lambda value: str(value)[-13:])
async def test_what_is_called_so_is_called_so_afterwards(client, account, served, path, field, others):
    if "job" in others:
        await served("iris")
    for name in NAMES:
        body = json.dumps(others | {field: name})
        answer = await client.post(
            path, content=body, headers=account.headers | {"Content-Type": "application/json"}
        )

        if not answer.is_success:
            assert_refused(answer, name)
        elif field != "file_name":  # which is tidied, as above
            assert answer.json()[field] == name
