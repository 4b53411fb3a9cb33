"""Text that is compressed, or not in UTF-8, on its way to text that can be cut by bytes.

Neither can be cut as it is: of gzip nothing can be read without all that comes before it. One pass writes the
text into storage, in UTF-8; the chunks are cut from there. It goes when the job has ended.
"""

import gzip
import zlib
from codecs import getincrementaldecoder
from collections.abc import Iterator
from typing import BinaryIO, Final

from shared.jobs.errors import UnreadableInput
from shared.jobs.text_encoding import GZIP, TextEncoding, codec_of

PIECE_BYTES: Final = 1024 * 1024
# What a file may unpack to, beside the limit of a job's file. Rows of a table are seldom packed better than
# ten to one; gzip can be made to pack a thousand to one.
UNPACKED_RATIO: Final = 100
UNPACKED_LEAST_BYTES: Final = 256 * 1024 * 1024


class NotText(Exception):
    """The file is not text in its encoding. What is text has been written, and a record made of its end.

    Attributes:
        size_bytes: what was written in all.
    """

    def __init__(self, message: str, *, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        super().__init__(message)


def must_unpack(file: BinaryIO, encoding: TextEncoding | None) -> bool:
    """Whether the file is to be unpacked first. Args: encoding: None: it is no text."""
    file.seek(0)
    return encoding is not None and (encoding is not TextEncoding.UTF_8 or file.read(len(GZIP)) == GZIP)


def unpack_text(file: BinaryIO, sink: BinaryIO, *, encoding: TextEncoding, most_bytes: int) -> None:
    """Write the text of the file in UTF-8.

    Raises:
        UnreadableInput: what is compressed is broken, or too much.
        NotText: it is not what its encoding says.
    """
    size = file.seek(0, 2)
    budget = min(most_bytes, max(UNPACKED_LEAST_BYTES, UNPACKED_RATIO * size))
    pieces = _bounded(_pieces(file), budget)
    if encoding is TextEncoding.UTF_8:
        sink.writelines(pieces)
    else:
        _recode(pieces, sink, encoding)


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    is_packed = file.read(len(GZIP)) == GZIP
    file.seek(0)
    source = gzip.GzipFile(fileobj=file) if is_packed else file
    done = 0
    try:
        while piece := source.read(PIECE_BYTES):
            done += len(piece)
            yield piece
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UnreadableInput(
            f"the file is compressed with gzip, and broken behind {done} bytes of text: {error}"
        ) from None


def _bounded(pieces: Iterator[bytes], most_bytes: int) -> Iterator[bytes]:
    left = most_bytes
    for piece in pieces:
        left -= len(piece)
        if left < 0:
            raise UnreadableInput(
                f"the file unpacks to more than the {most_bytes} bytes that are allowed for its size:"
                " send it in parts, or as Parquet"
            )
        yield piece


def _recode(pieces: Iterator[bytes], sink: BinaryIO, encoding: TextEncoding) -> None:
    first = next(pieces, b"")
    codec, mark = codec_of(first, encoding)
    decoder = getincrementaldecoder(codec)()
    size, quotes = 0, 0
    try:
        for piece, final in _marked_last(first[mark:], pieces):
            text = decoder.decode(piece, final).encode()
            size, quotes = size + len(text), quotes + text.count(b'"')
            sink.write(text)
    except UnicodeDecodeError as error:
        text = error.object[: error.start].decode(codec).encode()
        inside = (quotes + text.count(b'"')) % 2 == 1
        end = text + (b'?"\n' if inside else b"?\n")
        sink.write(end)
        shown = error.object[error.start : error.end].hex(" ")
        raise NotText(
            f"the bytes {shown} are not text in {encoding}: say in `encoding` what it is",
            size_bytes=size + len(end),
        ) from None


def _marked_last(first: bytes, others: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    """The pieces, and an empty one behind them that is the last."""
    yield first, False
    for piece in others:
        yield piece, False
    yield b"", True
