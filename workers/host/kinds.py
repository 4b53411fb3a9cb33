"""What a file is that no runtime takes, told by its first bytes and never by its name."""

import bz2
import lzma
import re
import zlib
from collections.abc import Callable

# First bytes, and what begins so.
_MAGICS = (
    (b"\x89PNG\r\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"RIFF", "a sound or a film"),
    (b"%PDF-", "a PDF document"),
    (b"PAR1", "a Parquet table"),
    (b"ARROW1", "an Arrow table"),
    (b"ORC", "an ORC table"),
    (b"Obj\x01", "an Avro table"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"MATLAB 5.0", "a MATLAB file"),
    (b"\x89HDF\r\n", "an HDF5 file, as Keras writes it"),
    (b"CBM1", "a CatBoost model"),
    (b"tree\nversion=", "a LightGBM model"),
    (b"binf", "an XGBoost model in the binary format of before 1.0"),
    (b"{L", "an XGBoost model in UBJSON"),
    (b"GGUF", "a GGUF language model"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a Windows program"),
    (b"#!", "a script"),
    (b"RDX", "an R workspace"),
    (b"RDA", "an R workspace"),
    (b"X\n\x00\x00\x00", "an R object"),
    (b"SQLite format 3", "a SQLite database"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstandard"),
    (b"\x04\x22\x4d\x18", "compressed with lz4"),
    (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", "a PyTorch file of before 1.6"),
)
# Names inside a zip archive, and the tool that wrote it.
_ZIPS = (
    (b"schema.json", "a skops file"),
    (b"/data.pkl", "a PyTorch file"),
    (b"config.json", "a Keras file"),
    (b"MLmodel", "an MLflow model"),
    (b"saved_model.pb", "a TensorFlow model"),
    (b"xl/", "an Excel workbook"),
    (b"word/", "a Word document"),
    (b".npy", "a NumPy archive"),
    (b"[Content_Types].xml", "an Office document"),
)
_TEXTS = (
    (r"<!doctype html|<html", "an HTML page"),
    (r"(<\?xml[^>]*>\s*)?<PMML", "a PMML model"),
    (r"<\?xml", "an XML document"),
    (r'\{[\s\S]*"nbformat"', "a Jupyter notebook"),
    (r'\{[\s\S]{0,200}"learner"', "an XGBoost model in JSON"),
    (r"[{\[]", "JSON text"),
    (r"version https://git-lfs", "a pointer of Git LFS, not the file that it stands for"),
    (r"(#[^\n]*\n|\s)*(import|from) \w+", "Python code"),
    (r"[^\n,]+(,[^\n,]*)+\n[^\n,]*(,[^\n,]*)+", "a table in CSV"),
)
_UNPACKERS: tuple[tuple[bytes, str, Callable[[bytes], bytes]], ...] = (
    (b"\x1f\x8b", "gzip", lambda head: zlib.decompressobj(31).decompress(head, _UNPACKED_BYTES)),
    (b"BZh", "bzip2", lambda head: bz2.BZ2Decompressor().decompress(head, _UNPACKED_BYTES)),
    (b"\xfd7zXZ\x00", "xz", lambda head: lzma.LZMADecompressor().decompress(head, _UNPACKED_BYTES)),
)
_UNPACKED_BYTES = 4096
_TAR_AT = slice(257, 262)
_TFLITE_AT, _SAFETENSORS_AT = slice(4, 8), slice(8, 9)
_CUT_CHARACTER_BYTES = 4


def kind_of(head: bytes) -> str:
    """What the bytes are the beginning of, with its article: "a PNG image"."""
    for magic, name, unpack in _UNPACKERS:
        if head.startswith(magic):
            return _kind_of_packed(head, name, unpack)
    return _kind_of_bytes(head) or _kind_of_text(head) or "of no kind that is known here"


def _kind_of_packed(head: bytes, name: str, unpack: Callable[[bytes], bytes]) -> str:
    try:
        inside = unpack(head)
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError):
        return f"a damaged {name} file"
    kind = _kind_of_bytes(inside) or _kind_of_text(inside) or "something of no kind that is known here"
    return f"{kind}, compressed with {name}"


def _kind_of_bytes(head: bytes) -> str | None:
    for magic, kind in _MAGICS:
        if head.startswith(magic):
            return kind
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return next((kind for name, kind in _ZIPS if name in head), "a zip archive")
    if head[_TAR_AT] == b"ustar":
        return "a tar archive"
    if head[_TFLITE_AT] == b"TFL3":
        return "a TensorFlow Lite model"
    if head[_SAFETENSORS_AT] == b"{" and int.from_bytes(head[:8], "little") < 1 << 32:
        return "a safetensors file"
    return "an ONNX file" if re.search(rb"onnx|ai\.onnx|skl2onnx", head[:256]) else None


def _kind_of_text(head: bytes) -> str | None:
    """Text, of which the last character may be cut."""
    try:
        text = head.decode(errors="strict")
    except UnicodeDecodeError as error:
        if error.start < len(head) - _CUT_CHARACTER_BYTES:
            return None
        text = head[: error.start].decode()
    if any(character < " " and character not in "\t\r\n\f" for character in text):
        return None
    begins = (kind for pattern, kind in _TEXTS if re.match(pattern, text.lstrip()[:4096], re.IGNORECASE))
    return next(begins, "plain text")
