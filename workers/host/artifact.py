"""The uploaded file, and what its first bytes say it is."""

import os
import re
from typing import BinaryIO

from workers.host.bounds import Bounds
from workers.host.rejection import SAVE_AGAIN, Rejected

_HEAD_BYTES = 64 * 1024

# First bytes of files that people take for models, and what to tell them.
_OTHERS = (
    (b"\x89PNG\r\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"%PDF-", "a PDF document"),
    (b"PAR1", "a Parquet table"),
    (b"ARROW1", "an Arrow table"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89HDF\r\n", "an HDF5 file, as Keras writes it"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a Windows program"),
    (b"RDX", "an R workspace"),
    (b"SQLite format 3", "a SQLite database"),
)
# Names inside a zip archive, and the tool that wrote it.
_ZIPS = (
    (b"schema.json", "a skops file"),
    (b"data.pkl", "a PyTorch file"),
    (b"config.json", "a Keras file"),
    (b".npy", "a NumPy archive"),
    (b"[Content_Types].xml", "an Office document"),
)


class Artifact:
    """A file to be opened as a model.

    Attributes:
        file: at its beginning.
        head: its first bytes.
        bounds: of what it may unpack to.
        importable: the names that its pickles may import, once they were read; None: any.
    """

    def __init__(self, descriptor: int, *, bounds: Bounds | None = None) -> None:
        self.bounds = bounds or Bounds()
        self.importable: frozenset[tuple[str, str]] | None = None
        self.file: BinaryIO = os.fdopen(descriptor, "rb")
        self.size_bytes = os.fstat(descriptor).st_size
        self.head = self.file.read(_HEAD_BYTES)
        self.file.seek(0)
        if not self.size_bytes:
            raise Rejected(
                "empty_file", "The file is empty.", "Upload it again; the transfer may have failed."
            )

    def contains(self, needle: bytes) -> bool:
        """Whether the bytes occur anywhere in the file."""
        overlap = b""
        while piece := self.file.read(1 << 20):
            if needle in overlap + piece:
                break
            overlap = piece[-len(needle) :]
        self.file.seek(0)
        return bool(piece)


def not_a_model(head: bytes) -> Rejected:
    """Says what a file is that no runtime recognises."""
    return Rejected("not_a_model", f"The file is {_kind(head)}, not a model.", SAVE_AGAIN)


def _kind(head: bytes) -> str:
    for magic, kind in _OTHERS:
        if head.startswith(magic):
            return kind
    if head.startswith(b"PK\x03\x04"):
        return next((kind for name, kind in _ZIPS if name in head), "a zip archive")
    if head[257:262] == b"ustar":
        return "a tar archive"
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 32:
        return "a safetensors file"
    if re.search(rb"onnx|ai\.onnx|skl2onnx", head[:256]):
        return "an ONNX file"
    return _kind_of_text(head) or "of no kind that is known here"


def _kind_of_text(head: bytes) -> str | None:
    try:
        text = head[:-4].decode() if len(head) == _HEAD_BYTES else head.decode()
    except UnicodeDecodeError:
        return None
    if any(character < " " and character not in "\t\r\n\f" for character in text):
        return None
    if text.lstrip()[:1] in ("{", "["):
        return "JSON text"
    return "an HTML page" if text.lstrip().lower().startswith(("<!doctype html", "<html")) else "plain text"
