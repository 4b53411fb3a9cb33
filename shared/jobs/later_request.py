"""A request to predict that is answered later: the same body as of one at once, on its way to a job."""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from shared.catalog.verdict import Signature
from shared.errors import FieldError, InvalidInput, MalformedRequest, TooLarge, UnsupportedFormat
from shared.jobs.envelope import Envelope
from shared.jobs.inputs import RequestRows, Rows
from shared.jobs.json_request import check_text
from shared.jobs.options import JobForm
from shared.json_body import decode_json_as
from shared.predictions.body import BodyReader, is_json
from shared.predictions.predict_body import OutputNames, StickyKey, VersionNumber
from shared.predictions.v2 import HEADER

_AT_ONCE: Final = "send it without `Prefer: respond-async`"


class _Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """As `PredictRequest`, with rows as they are spelled. The key is for those who choose among versions."""

    input: msgspec.Raw | UnsetType = UNSET
    inputs: list[msgspec.Raw] | UnsetType = UNSET
    version: VersionNumber | None = None
    outputs: OutputNames | None = None
    key: StickyKey | None = None

    @property
    def single(self) -> bool:
        """One row was sent as such."""
        return not isinstance(self.input, UnsetType)

    def rows(self) -> Rows:
        """All of them.

        Raises:
            MalformedRequest: neither field was given, or both.
        """
        if isinstance(self.input, UnsetType) and not isinstance(self.inputs, UnsetType):
            return self.inputs
        if not isinstance(self.input, UnsetType) and isinstance(self.inputs, UnsetType):
            return [self.input]
        raise MalformedRequest('send either `{"input": {…}}` (one row) or `{"inputs": [{…}, …]}` (rows)')


class LaterRequest(msgspec.Struct, frozen=True):
    """What is to be submitted."""

    form: JobForm
    rows: RequestRows


class LaterRequestReader:
    """Reads such requests for one version."""

    def __init__(self, reader: BodyReader, signature: Signature, *, max_checked_bytes: int) -> None:
        """Args: max_checked_bytes: a larger body's rows are looked at by the job alone."""
        self._reader, self._main = reader, signature.main.name
        self._max_checked_bytes = max_checked_bytes

    def read(self, model: str, headers: Mapping[bytes, bytes], body: bytes) -> LaterRequest:
        """What a body asks for.

        Raises:
            UnsupportedFormat: it is not JSON.
            MalformedJson, MalformedRequest, InvalidInput, InputMismatch: as for an answer at once.
        """
        content_type = headers.get(b"content-type")
        if not is_json(content_type) or HEADER.lower().encode() in headers:
            raise UnsupportedFormat(
                "only rows in JSON are predicted later:"
                f" send this as the file of a job (`POST /jobs`), or {_AT_ONCE}"
            )
        if not body.isascii():
            check_text(body)
        warnings = self._warnings(content_type, body) if len(body) <= self._max_checked_bytes else ()
        asked = decode_json_as(_decoder, body)
        self._check_outputs(asked.outputs)
        envelope = Envelope(single=asked.single, warnings=warnings)
        form = JobForm(model=model, version=asked.version, include="none")
        return LaterRequest(form, RequestRows(rows=asked.rows(), envelope=envelope))

    def _warnings(self, content_type: bytes | None, body: bytes) -> tuple[str, ...]:
        """What the sender of the rows should know; refuses those that do not fit, as it would at once."""
        try:
            read = self._reader.read(content_type, None, body)
        except TooLarge:  # for one call of the model: a job makes several
            return ()
        if read.v2 is not None:
            raise UnsupportedFormat(
                f"tensors of the Open Inference Protocol are answered at once: {_AT_ONCE}"
            )
        return read.rows.warnings

    def _check_outputs(self, outputs: OutputNames | None) -> None:
        if outputs is None or outputs == (self._main,):
            return
        why = f"is `[{self._main!r}]` or left out where the answer comes later"
        raise InvalidInput(f"`outputs` {why}", [FieldError(message=why, pointer="/outputs")])


_decoder = msgspec.json.Decoder(_Asked)
