"""Tells the three formats of XGBoost's models apart, and reads the version that wrote one."""

import re

from workers.host.artifact import Artifact
from workers.host.rejection import truncated

BINARY = "xgboost-binary"
_TAIL_BYTES = 4096
READS_BINARY = "2.1.4"  # as does every version before 3.1; this one also goes with NumPy 2

_JSON = re.compile(rb'\s*\{.*?"learner"\s*:\s*\{', re.DOTALL)
_JSON_PART = re.compile(rb'"(?:learner_model_param|gradient_booster|feature_names)"\s*:')
_JSON_VERSION = re.compile(rb'"version"\s*:\s*\[\s*(\d{1,4})\s*,\s*(\d{1,4})\s*,\s*(\d{1,4})\s*\]')
_UBJ = re.compile(rb"\{L\x00{7}\x07(?:learner\{L|version\[)", re.DOTALL)
_UBJ_VERSION = re.compile(
    rb"L\x00{7}\x07version\[(?:#L\x00{7}\x03)?((?:i.|U.|I..|l....|L.{8}){3})", re.DOTALL
)
_UBJ_NUMBER = re.compile(rb"[iU](.)|I(..)|l(....)|L(.{8})", re.DOTALL)
# After `binf`, the parameters of 136 bytes, then the objective and the booster, each behind its length.
_BINARY = re.compile(
    rb"binf.{20}(.{4})(.{4}).{108}.\x00{7}\w+:\w+.\x00{7}(?:gbtree|gblinear|dart)", re.DOTALL
)


def format_of(artifact: Artifact) -> str | None:
    """`xgboost-json`, `xgboost-ubj`, `xgboost-binary`; None where it is none of them."""
    head = artifact.head
    if _UBJ.match(head):
        return "xgboost-ubj"
    if _BINARY.match(head):
        return BINARY
    return "xgboost-json" if _JSON.match(head) and _JSON_PART.search(head) else None


def version_of(artifact: Artifact, fmt: str) -> str | None:
    """The version of XGBoost that wrote it, as far as the file tells.

    Raises:
        Rejected: it breaks off.
    """
    if fmt == BINARY:
        return _binary_version(artifact.head)
    tail = _tail(artifact)
    if not tail.rstrip().endswith(b"}"):
        raise truncated()
    if fmt == "xgboost-ubj":
        return _ubj_version(tail) or _ubj_version(artifact.head)
    found = _JSON_VERSION.search(tail) or _JSON_VERSION.search(artifact.head)
    return None if found is None else ".".join(part.decode() for part in found.groups())


def _binary_version(head: bytes) -> str | None:
    """Without the last part, which it does not tell; versions before 1.0 wrote none."""
    found = _BINARY.match(head)
    major, minor = (int.from_bytes(part, "little") for part in found.groups()) if found else (0, 0)
    return f"{major}.{minor}" if major in (1, 2, 3) else None


def _ubj_version(part: bytes) -> str | None:
    found = _UBJ_VERSION.search(part)
    if found is None:
        return None
    numbers = (next(filter(None, groups)) for groups in _UBJ_NUMBER.findall(found[1]))
    return ".".join(str(int.from_bytes(number, "big")) for number in numbers)


def _tail(artifact: Artifact) -> bytes:
    artifact.file.seek(max(0, artifact.size_bytes - _TAIL_BYTES))
    tail = artifact.file.read()
    artifact.file.seek(0)
    return tail
