"""Multipart forms whose files go to storage while they arrive.

No file is ever whole in memory, parts may come in any order, and a form that cannot be accepted
leaves nothing behind.
"""

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import PurePath
from typing import Any, TypeAlias, TypeVar

import msgspec
from litestar import Request
from multipart import (
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
    parse_options_header,
)

from api.request_body import body_pieces, refuse_beyond
from shared.errors import FieldError, InvalidInput, MalformedRequest, TooLarge, UnsupportedFormat
from shared.json_body import field_error
from shared.storage.object_files import Written
from shared.storage.store import Storage

T = TypeVar("T")

_FIELD_MAX_BYTES = 64 * 1024
_FIELDS_MAX_BYTES = 1024 * 1024  # all text fields together, part headers included
_PARTS_MAX = 64
_FILE_NAME_MAX = 200  # characters
_FILE_HEAD_BYTES = 1024  # the headers of a file's part
_PATH_MAX = 1000  # characters

_Event: TypeAlias = "MultipartSegment | bytes | None"  # a part begins | some of its bytes | it ends


class FilePart(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a form may hold, and where in storage it goes.

    Attributes:
        max_bytes: of all files of that name together.
        most: how many there may be; each behind the first goes beside it: `key.1`, `key.2`, …
    """

    name: str
    key: str
    max_bytes: int
    required: bool = True
    most: int = 1


class StoredFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that arrived whole. Digest: SHA-256, hexadecimal.

    Attributes:
        path: its name with the folders that it was sent with, none of which is `..`; no path of this machine.
            Empty where it came without a form.
    """

    file_name: str
    path: str = ""
    key: str
    size_bytes: int
    digest: str


class Form(msgspec.Struct, frozen=True):
    """What a form held. Optional parts that were not sent, or were empty, are absent.

    Attributes:
        files: the first of each name.
        more: those behind them, in the order in which they came.
    """

    fields: dict[str, str]
    files: dict[str, StoredFile]
    more: list[StoredFile] = []

    def fields_as(self, kind: type[T]) -> T:
        """The text fields as a struct; numbers and booleans are read from their text.

        Raises:
            InvalidInput: a field is missing or does not fit.
        """
        try:
            return msgspec.convert(self.fields, kind, strict=False)
        except msgspec.ValidationError as error:
            raise InvalidInput(f"the form does not fit: {error}", [field_error(error)]) from None


@asynccontextmanager
async def stored_form(
    request: Request[Any, Any, Any], storage: Storage, *, files: Sequence[FilePart], fields: Collection[str]
) -> AsyncIterator[Form]:
    """Receive a form and store its files. If the block raises, they are removed again.

    Args:
        fields: names of the text fields that the form may hold.

    Raises:
        UnsupportedFormat: the request is no multipart form.
        MalformedRequest: the form is cut off or broken, or holds a part that it should not.
        InvalidInput: a required file is missing or empty.
        TooLarge: a file or the text fields are over their limits, or there are too many files.
    """
    most_files = sum(part.most for part in files)
    parser = _parser(request, _PARTS_MAX + most_files)
    max_bytes = sum(part.max_bytes for part in files) + _FIELDS_MAX_BYTES + most_files * _FILE_HEAD_BYTES
    refuse_beyond(max_bytes, request)
    reception = _Reception(storage, {part.name: part for part in files}, fields)
    try:
        async with aclosing(_events(parser, body_pieces(request), max_bytes)) as events:
            yield await reception.receive(events)
    except BaseException:
        for key in {part.key for part in files} | reception.keys:
            await storage.delete(key)
        raise


def _parser(request: Request[Any, Any, Any], most_parts: int) -> PushMultipartParser:
    content_type, options = parse_options_header(request.headers.get("content-type", ""))
    if content_type != "multipart/form-data":
        raise UnsupportedFormat(
            f"the content type is {content_type or 'missing'}; send the file as multipart/form-data"
        )
    boundary = options.get("boundary", "")
    if not 1 <= len(boundary) <= 200 or not boundary.isascii():  # noqa: PLR2004  RFC 2046 asks for 70 at most
        raise MalformedRequest("the header Content-Type names no usable boundary")
    return PushMultipartParser(boundary, max_segment_count=most_parts)


async def _events(
    parser: PushMultipartParser, pieces: AsyncIterator[bytes], max_bytes: int
) -> AsyncGenerator[_Event, None]:
    """What the parser finds in the body.

    Ends with the body, so that a client which still sends is heard out; raises if the form has no end.
    """
    received = 0
    try:
        async for piece in pieces:
            received += len(piece)
            if received > max_bytes:
                raise TooLarge(f"the form has more than the {max_bytes} bytes that are allowed")
            for event in parser.parse(piece):
                yield event
        parser.close()
    except ParserLimitReached as error:
        raise TooLarge(f"the form is over a limit: {error}") from error
    except MultipartError as error:
        raise MalformedRequest(f"the multipart form is broken: {error}") from error


class _Reception:
    """Takes the parts of one form as they come.

    Attributes:
        keys: that may have something stored under them.
    """

    def __init__(self, storage: Storage, parts: dict[str, FilePart], names: Collection[str]) -> None:
        self._storage, self._parts, self._names = storage, parts, names
        self._seen: Counter[str] = Counter()
        self._left_bytes = {part.name: part.max_bytes for part in parts.values()}
        self._form = Form({}, {})
        self.keys: set[str] = set()

    async def receive(self, events: AsyncIterator[_Event]) -> Form:
        """All parts, once the last of them is complete."""
        async for event in events:
            if isinstance(event, MultipartSegment):
                await self._take(event, _content(events))
        for part in self._parts.values():
            if part.required and part.name not in self._form.files:
                raise InvalidInput(
                    f"the file {part.name!r} is missing or empty",
                    [FieldError(message="a file is needed here", pointer=f"/{part.name}")],
                )
        return self._form

    async def _take(self, segment: MultipartSegment, content: AsyncIterator[bytes]) -> None:
        name = segment.name or ""
        self._count(name)
        if name in self._parts:
            await self._store(self._parts[name], segment.filename or name, content)
        elif name in self._names:
            self._form.fields[name] = await _text(name, content)
        else:
            known = ", ".join([*self._parts, *self._names])
            raise MalformedRequest(f"the form has a part {name!r}; this route takes {known}")

    def _count(self, name: str) -> None:
        most = self._parts[name].most if name in self._parts else 1
        if self._seen[name] == most:
            if most == 1:
                raise MalformedRequest(f"the form has more than one part {name!r}")
            raise TooLarge(f"the form has more than the {most} files that are allowed")
        self._seen[name] += 1

    async def _store(self, part: FilePart, file_name: str, content: AsyncIterator[bytes]) -> None:
        key = f"{part.key}.{self._seen[part.name] - 1}" if part.name in self._form.files else part.key
        self.keys.add(key)
        written = await self._storage.write(key, content, max_bytes=self._left_bytes[part.name])
        self._left_bytes[part.name] -= written.size_bytes
        if not written.size_bytes:
            # What a browser sends for a file that was not chosen.
            await self._storage.delete(key)
        elif part.name in self._form.files:
            self._form.more.append(_stored(part, key, file_name, written=written))
        else:
            self._form.files[part.name] = _stored(part, key, file_name, written=written)


async def _content(events: AsyncIterator[_Event]) -> AsyncGenerator[bytes, None]:
    """The bytes of the part that just began."""
    async for event in events:
        if not isinstance(event, bytes):
            return
        yield event


async def _text(name: str, content: AsyncIterator[bytes]) -> str:
    data = bytearray()
    async for piece in content:
        data += piece
        if len(data) > _FIELD_MAX_BYTES:
            raise TooLarge(f"the field {name!r} has more than the {_FIELD_MAX_BYTES} bytes that are allowed")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise MalformedRequest(f"the field {name!r} is not UTF-8") from error


def _stored(part: FilePart, key: str, file_name: str, *, written: Written) -> StoredFile:
    return StoredFile(
        file_name=tidy_file_name(file_name) or part.name,
        path=tidy_path(file_name) or part.name,
        key=key,
        size_bytes=written.size_bytes,
        digest=written.digest,
    )


def tidy_file_name(text: str) -> str:
    """A client's file name without folders and characters that cannot be shown."""
    name = PurePath(text.replace("\\", "/")).name
    shown = "".join(character for character in name if character.isprintable())
    return shown[:_FILE_NAME_MAX] if shown.strip(".") else ""


def tidy_path(text: str) -> str:
    """A client's file name with its folders, each as tidy as the name; of one too long only the name."""
    parts = (tidy_file_name(part) for part in text.replace("\\", "/").split("/"))
    path = "/".join(part for part in parts if part)
    return path if len(path) <= _PATH_MAX else tidy_file_name(text)
