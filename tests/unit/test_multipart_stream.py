"""A multipart form either arrives whole, or leaves nothing behind."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import pytest
from litestar import Request

from api.multipart_stream import FilePart, Form, stored_form, tidy_file_name, tidy_path
from shared.errors import InvalidInput, MalformedRequest, TooLarge, UnsupportedFormat
from shared.storage.store import Storage

FILES = [
    FilePart(name="file", key="artifacts/one", max_bytes=1_000_000),
    FilePart(name="sample", key="samples/one", max_bytes=1_000, required=False),
]
FIELDS = ["name", "description"]


def part(name: str, content: bytes, file_name: str | None = None) -> bytes:
    file = "" if file_name is None else f'; filename="{file_name}"'
    head = f'--frontier\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
    return head.encode() + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--frontier--\r\n"


def request_of(
    body: bytes, *, piece_bytes: int = 1000, content_type: str = "multipart/form-data; boundary=frontier"
) -> Request:
    async def receive():
        return next(events)

    events = _events([body[start : start + piece_bytes] for start in range(0, len(body), piece_bytes)])
    headers = [(b"content-type", content_type.encode())]
    return Request({"type": "http", "headers": headers, "state": {}}, receive)


def cut_off(body: bytes) -> Request:
    async def receive():
        return next(events)

    events = iter([{"type": "http.request", "body": body, "more_body": True}, {"type": "http.disconnect"}])
    headers = [(b"content-type", b"multipart/form-data; boundary=frontier")]
    return Request({"type": "http", "headers": headers, "state": {}}, receive)


def _events(pieces: Iterable[bytes]) -> Iterator[dict]:
    for piece in pieces:
        yield {"type": "http.request", "body": piece, "more_body": True}
    yield {"type": "http.request", "body": b"", "more_body": False}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "storage"


@pytest.fixture
def local_storage(folder: Path) -> Storage:
    return Storage(f"file://{folder}")


def stored_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def receive_form(request: Request, storage: Storage) -> Form:
    async with stored_form(request, storage, files=FILES, fields=FIELDS) as received:
        return received


@pytest.mark.parametrize("piece_bytes", [1, 7, 64, 1000, 1_000_000])
async def test_a_file_arrives_whole_however_the_network_cuts_it(local_storage, folder, piece_bytes):
    content = bytes(range(256)) * 20 + b"\r\n--frontie" + b"\r\n--fronti\r\n"
    body = form(part("file", content, "model.pkl"), part("name", b"iris"))

    received = await receive_form(request_of(body, piece_bytes=piece_bytes), local_storage)

    assert received.fields == {"name": "iris"}
    assert received.files["file"].file_name == "model.pkl"
    assert received.files["file"].size_bytes == len(content)
    assert received.files["file"].digest == hashlib.sha256(content).hexdigest()
    assert (folder / "artifacts/one").read_bytes() == content


async def test_fields_may_come_before_files_after_them_or_between(local_storage):
    body = form(
        part("description", "für Blüten".encode()),
        part("file", b"model", "m.pkl"),
        part("name", b"iris"),
        part("sample", b"a,b\n1,2\n", "rows.csv"),
    )

    received = await receive_form(request_of(body), local_storage)

    assert received.fields == {"description": "für Blüten", "name": "iris"}
    assert received.files["sample"].size_bytes == 8


async def test_an_optional_file_that_was_not_chosen_is_absent(local_storage, folder):
    body = form(part("file", b"model", "m.pkl"), part("sample", b"", ""))

    received = await receive_form(request_of(body), local_storage)

    assert "sample" not in received.files
    assert stored_files(folder) == [folder / "artifacts/one"]


@pytest.mark.parametrize(
    ("body", "error", "says"),
    [
        (form(part("name", b"iris")), InvalidInput, "'file' is missing or empty"),
        (form(part("file", b"", "m.pkl")), InvalidInput, "'file' is missing or empty"),
        (
            form(part("file", b"a", "m"), part("file", b"b", "m")),
            MalformedRequest,
            "more than one part 'file'",
        ),
        (form(part("file", b"a", "m"), part("nmae", b"b")), MalformedRequest, "takes file, sample, name"),
        (form(part("file", b"a", "m"), part("name", b"\xff")), MalformedRequest, "not UTF-8"),
        (form(part("file", b"a", "m"), part("name", b"x" * 70_000)), TooLarge, "65536 bytes"),
        (form(part("file", b"a", "m"), part("sample", b"x" * 1001, "s")), TooLarge, "1000 bytes"),
        (form(part("file", b"a" * 1_000_001, "m")), TooLarge, "1000000 bytes"),
        (part("file", b"model", "m.pkl"), MalformedRequest, "end of multipart stream"),
        (form(part("file", b"a", "m"))[:-6], MalformedRequest, "end of multipart stream"),
        (b"", MalformedRequest, "end of multipart stream"),
        (b"what is this?" * 100, MalformedRequest, "end of multipart stream"),
        (form(part("file", b"a", "m"), b"--frontier\r\nnonsense\r\n\r\n\r\n"), MalformedRequest, "broken"),
        (b"--frontier\r\n" + b"x" * 10_000, TooLarge, "header"),
        (form(*[part(f"f{n}", b"") for n in range(65)]), MalformedRequest, "a part 'f0'"),
    ],
)
async def test_a_form_that_cannot_be_accepted_leaves_nothing(local_storage, folder, body, error, says):
    with pytest.raises(error, match=says):
        await receive_form(request_of(body), local_storage)

    assert stored_files(folder) == []


async def test_a_connection_that_ends_too_early_leaves_nothing(local_storage, folder):
    half = part("name", b"iris") + part("file", b"x" * 100_000, "m.pkl")[:-50_000]

    with pytest.raises(MalformedRequest, match="ended before the body was complete"):
        await receive_form(cut_off(half), local_storage)

    assert stored_files(folder) == []


async def test_files_go_again_when_whoever_asked_for_them_refuses(local_storage, folder):
    body = form(part("file", b"model", "m.pkl"), part("sample", b"a\n1\n", "s.csv"))

    async def refuse() -> None:
        async with stored_form(request_of(body), local_storage, files=FILES, fields=FIELDS):
            assert len(stored_files(folder)) == 2
            raise InvalidInput("no such name")

    with pytest.raises(InvalidInput, match="no such name"):
        await refuse()

    assert stored_files(folder) == []


@pytest.mark.parametrize(
    ("content_type", "error"),
    [
        ("application/json", UnsupportedFormat),
        ("", UnsupportedFormat),
        ("multipart/mixed; boundary=frontier", UnsupportedFormat),
        ("multipart/form-data", MalformedRequest),
        ('multipart/form-data; boundary=""', MalformedRequest),
        ("multipart/form-data; boundary=" + "x" * 500, MalformedRequest),
    ],
)
async def test_a_body_that_is_no_form_is_refused(local_storage, content_type, error):
    request = request_of(form(part("file", b"a", "m")), content_type=content_type)

    with pytest.raises(error):
        await receive_form(request, local_storage)


async def test_a_form_that_announces_too_much_is_refused_before_it_is_read(local_storage):
    async def receive():
        pytest.fail("the body was read")

    headers = [
        (b"content-type", b"multipart/form-data; boundary=frontier"),
        (b"content-length", b"999999999"),
    ]
    request = Request({"type": "http", "headers": headers, "state": {}}, receive)

    with pytest.raises(TooLarge, match="999999999"):
        await receive_form(request, local_storage)


class Options(msgspec.Struct):
    rows: int
    strict: bool = False


def test_fields_become_a_struct():
    assert Form({"rows": "12", "strict": "true"}, {}).fields_as(Options) == Options(12, strict=True)


def test_a_field_that_does_not_fit_is_named():
    with pytest.raises(InvalidInput) as refusal:
        Form({"rows": "many"}, {}).fields_as(Options)

    assert refusal.value.errors[0].pointer == "/rows"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("model.pkl", "model.pkl"),
        ("../../etc/passwd", "passwd"),
        ("C:\\models\\iris.pkl", "iris.pkl"),
        ("bad\x00na\nme", "badname"),
        ("modèle.pkl", "modèle.pkl"),
        ("x" * 500, "x" * 200),
        ("..", ""),
        ("/", ""),
    ],
)
def test_file_names_lose_folders_and_what_cannot_be_shown(sent, kept):
    assert tidy_file_name(sent) == kept


SEVERAL = [FilePart(name="file", key="jobs/one", max_bytes=1000, most=3)]


async def receive_several(body: bytes, storage: Storage) -> Form:
    async with stored_form(request_of(body), storage, files=SEVERAL, fields=FIELDS) as received:
        return received


async def test_several_files_of_a_name_are_kept_in_their_order_and_lie_beside_each_other(
    local_storage, folder
):
    body = form(
        part("file", b"one", "day=1/part.csv"),
        part("name", b"iris"),
        part("file", b"two!", "..\\day=2/./part.csv"),
    )

    received = await receive_several(body, local_storage)

    files = [received.files["file"], *received.more]
    assert [(file.path, file.file_name, file.size_bytes) for file in files] == [
        ("day=1/part.csv", "part.csv", 3),
        ("day=2/part.csv", "part.csv", 4),
    ]
    assert [(folder / file.key).read_bytes() for file in files] == [b"one", b"two!"]


@pytest.mark.parametrize(
    ("sizes", "told"), [([1, 1, 1, 1], "more than the 3 files"), ([600, 600], "more than the 400 bytes")]
)
async def test_files_that_are_too_many_or_too_large_together_leave_nothing(
    local_storage, folder, sizes: list[int], told: str
):
    body = form(*(part("file", b"x" * size, "part.csv") for size in sizes))

    with pytest.raises(TooLarge, match=told):
        await receive_several(body, local_storage)

    assert stored_files(folder) == []


@pytest.mark.parametrize(
    ("sent", "path"),
    [
        ("/etc/passwd", "etc/passwd"),
        ("../../a/../b.csv", "a/b.csv"),
        ("C:\\data\\b.csv", "C:/data/b.csv"),
        ("year=2024/\x00month=05//b.csv", "year=2024/month=05/b.csv"),
        ("../..", ""),
        ("a/" * 1000 + "b.csv", "b.csv"),
    ],
)
def test_a_path_keeps_its_folders_and_leads_nowhere_else(sent: str, path: str):
    assert tidy_path(sent) == path
