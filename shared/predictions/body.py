"""Reads the body of a predict request in whichever form it comes.

| content type                              | form                                                  |
|-------------------------------------------|-------------------------------------------------------|
| application/json, or none                 | JSON: our rows, or the Open Inference Protocol's tensors |
| application/vnd.apache.arrow.stream       | an Arrow IPC stream; options are in the query         |
| any, with Inference-Header-Content-Length | the protocol's JSON, and raw tensors behind it        |
"""

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

import msgspec

from shared.catalog.verdict import Signature
from shared.errors import CallerError, InvalidInput, MalformedRequest, UnsupportedFormat
from shared.json_body import MalformedJson
from shared.predictions.json_reader import JsonReader, asked_version
from shared.predictions.predict_body import (
    OutputNames,
    PredictBody,
    StickyKey,
    VersionNumber,
)
from shared.predictions.v2_request import is_v2

if TYPE_CHECKING:
    from shared.predictions.arrow_reader import ArrowReader
    from shared.predictions.v2_reader import V2Reader

__all__ = ["BodyReader", "PredictBody", "QueryOptions", "asked_version", "is_json", "query_options"]

ARROW_STREAM: Final = b"application/vnd.apache.arrow.stream"
# Besides `…+json`: what clients that do not care send, curl among them.
_READ_AS_JSON: Final = frozenset(
    {
        b"",
        b"application/json",
        b"text/json",
        b"text/plain",
        b"application/x-www-form-urlencoded",
        b"application/octet-stream",
    }
)


class QueryOptions(msgspec.Struct, frozen=True):
    """What a body that holds nothing but rows cannot say, and the query does: `?version=2&outputs=label`."""

    version: VersionNumber | None = None
    outputs: OutputNames | None = None
    key: StickyKey | None = None


def is_json(content_type: bytes | None) -> bool:
    """Whether a body with this header is read as JSON."""
    kind = _media_type(content_type or b"")
    return kind in _READ_AS_JSON or kind.endswith(b"+json")


def _media_type(content_type: bytes) -> bytes:
    return content_type.partition(b";")[0].strip().lower()


def query_options(query: bytes) -> QueryOptions:
    """The options in a query string.

    Raises:
        InvalidInput: one of them does not fit.
    """
    if not query:
        return QueryOptions()
    given: dict[str, Any] = {name: values[-1] for name, values in _parsed(query).items()}
    if "outputs" in given:
        given["outputs"] = given["outputs"].split(",")
    try:
        return msgspec.convert(given, QueryOptions, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"a parameter of the query does not fit: {error}") from None


def _parsed(query: bytes) -> dict[str, list[str]]:
    try:
        return parse_qs(query.decode("latin-1"), max_num_fields=100)
    except ValueError:
        raise MalformedRequest("the query has too many parameters") from None


class BodyReader:
    """Reads bodies for one version, whose signature it was made from. Threads may share it."""

    def __init__(self, signature: Signature, *, refuse_extra: bool = False) -> None:
        """Args: refuse_extra: columns that the model does not know are refused, not ignored."""
        self._signature, self._refuse_extra = signature, refuse_extra
        self._json = JsonReader(signature, refuse_extra=refuse_extra)

    def read(
        self, content_type: bytes | None, inference_header: bytes | None, body: bytes, query: bytes = b""
    ) -> PredictBody:
        """Read a body.

        Args:
            content_type: the header of that name.
            inference_header: `Inference-Header-Content-Length`.
            query: the query string as it came.

        Raises:
            MalformedRequest, InvalidInput, TooLarge, UnsupportedFormat: it cannot be answered; says why.
        """
        if inference_header is not None:
            return self.read_v2(body, _header_bytes(inference_header), version=query_options(query).version)
        if content_type is None or content_type == b"application/json":
            return self.read_json(body)
        kind = _media_type(content_type)
        if kind == ARROW_STREAM:
            options = query_options(query)
            return self.read_arrow(body, version=options.version, outputs=options.outputs, key=options.key)
        if not is_json(kind):
            raise UnsupportedFormat(
                f"predict does not read {kind[:100].decode('latin-1')!r}: "
                f"send application/json or {ARROW_STREAM.decode()}"
            )
        return self.read_json(body)

    def read_json(self, body: bytes) -> PredictBody:
        """Read rows as JSON, or an inference request of the Open Inference Protocol.

        Raises:
            MalformedJson, MalformedRequest, InvalidInput, InputMismatch: it cannot be answered; says why.
        """
        try:
            return self._json.read(body)
        except CallerError as error:
            if isinstance(error, MalformedJson) or not is_v2(body):
                raise
        return self.read_v2(body, None)

    def read_arrow(
        self,
        body: bytes,
        *,
        version: int | None = None,
        outputs: tuple[str, ...] | None = None,
        key: str | None = None,
    ) -> PredictBody:
        """Read an Arrow IPC stream.

        Args:
            outputs: None: the main one.

        Raises:
            MalformedArrow, InputMismatch, TooLarge: it cannot be answered; says why.
        """
        return self._arrow.read(body, version=version, outputs=outputs, key=key)

    def read_v2(self, body: bytes, header_bytes: int | None, *, version: int | None = None) -> PredictBody:
        """Read an inference request of the Open Inference Protocol.

        Args:
            header_bytes: how many of the body's bytes are JSON; None: all.

        Raises:
            MalformedJson, InvalidInput, TensorMismatch, InputMismatch: it cannot be answered; says why.
        """
        return self._v2.read(body, header_bytes, version=version)

    # numpy and pyarrow take memory that an API process of JSON alone does not need.

    @cached_property
    def _arrow(self) -> "ArrowReader":
        from shared.predictions.arrow_reader import ArrowReader  # noqa: PLC0415

        return ArrowReader(self._signature, refuse_extra=self._refuse_extra)

    @cached_property
    def _v2(self) -> "V2Reader":
        from shared.predictions.v2_reader import V2Reader  # noqa: PLC0415

        return V2Reader(self._signature, refuse_extra=self._refuse_extra)


def _header_bytes(header: bytes) -> int:
    if not header.isdigit() or len(header) > 18:  # noqa: PLR2004  digits of any size that a body can have
        raise MalformedRequest("Inference-Header-Content-Length is a number of bytes")
    return int(header)
