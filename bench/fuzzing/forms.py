"""Multipart forms: whole ones, and how one is received."""

import asyncio
import gzip
from collections.abc import Iterator
from pathlib import Path

from litestar import Request

from api.multipart_stream import FilePart, Form, stored_form
from shared.storage.store import Storage

BOUNDARY = b"frontier"
FILES = (
    FilePart(name="file", key="jobs/one", max_bytes=8_000),
    FilePart(name="sample", key="samples/one", max_bytes=500, required=False),
)
FIELDS = ("model", "metadata")

_HEADERS = [(b"content-type", b"multipart/form-data; boundary=" + BOUNDARY)]


def form_seeds() -> Iterator[bytes]:
    """Forms as clients write them."""
    rows = b"age,pay\r\n1,2\r\n" * 40
    yield _form(_part(b'name="model"', b"iris"), _part(b'name="file"; filename="rows.csv"', rows))
    packed = gzip.compress(rows, mtime=0)
    named = b"name=\"file\"; filename*=UTF-8''r%C3%B6ws.gz\r\nContent-Type: application/gzip"
    yield _form(_part(named, packed), _part(b'name="metadata"', b'{"run": 7}'))
    many = [_part(b'name="%d"' % at, b"x") for at in range(70)]
    yield _form(_part(b'name="sample"; filename=""', b""), *many)
    # The boundary itself, nearly, in a file.
    yield _form(_part(b'name="file"; filename="\xc3\xa9\\"x.csv"', (b"\r\n--" + BOUNDARY[:-1]) * 30))


def received(body: bytes, folder: Path, *, piece_bytes: int) -> Form:
    """The form, which is taken in as it comes over the wire.

    Raises:
        CallerError: it is none that is taken.
        AssertionError: it was refused, and left a file behind.
    """
    try:
        return asyncio.run(_receive(body, Storage(f"file://{folder}"), piece_bytes))
    except Exception:
        left = [path for path in folder.rglob("*") if path.is_file()]
        assert not left, left
        raise


async def _receive(body: bytes, storage: Storage, piece_bytes: int) -> Form:
    pieces = [body[at : at + piece_bytes] for at in range(0, len(body), piece_bytes)]
    events = iter([(piece, True) for piece in pieces] + [(b"", False)])

    async def receive() -> dict[str, object]:
        piece, more = next(events)
        return {"type": "http.request", "body": piece, "more_body": more}

    request = Request({"type": "http", "headers": _HEADERS, "state": {}}, receive)  # type: ignore[typeddict-item, arg-type]
    async with stored_form(request, storage, files=FILES, fields=FIELDS) as form:
        for file in form.files.values():
            await storage.delete(file.key)
        return form


def _part(described: bytes, content: bytes) -> bytes:
    head = b"--" + BOUNDARY + b"\r\nContent-Disposition: form-data; " + described + b"\r\n\r\n"
    return head + content + b"\r\n"


def _form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--" + BOUNDARY + b"--\r\n"
