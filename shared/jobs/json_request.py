"""A submission in JSON. It says what the form says, with structure where the form has text."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from shared.errors import InvalidInput
from shared.jobs.inputs import Input
from shared.jobs.job import FileFormat, OnError, Priority
from shared.jobs.options import JobForm
from shared.jobs.text_encoding import TextEncoding
from shared.json_body import MalformedJson, decode_json_as

# Where an option of the form stands in the body, if not under its own name at the top.
PLACES = {
    "output_format": "/output/format",
    "include": "/output/include",
    "outputs": "/output/outputs",
    "url": "/input/url",
    "upload_id": "/input/upload_id",
}


class OutputWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is wanted of the output.

    Attributes:
        include: input columns to carry into it.
        outputs: of the model, to write beside its prediction.
    """

    format: FileFormat | None = None
    include: Literal["all", "none"] | list[str] = "all"
    outputs: Literal["all"] | list[str] = []


class JobRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a submission; see `JobForm` for what the options mean."""

    model: str
    input: Input
    version: Annotated[int, Meta(ge=1)] | None = None
    format: FileFormat | None = None
    encoding: TextEncoding | None = None
    output: OutputWanted = OutputWanted()
    on_error: OnError = OnError.FAIL
    priority: Priority = Priority.NORMAL
    callback_url: str | None = None
    events: list[str] = []
    metadata: dict[str, Any] = {}
    expires_after: str | float | None = None

    def form(self) -> JobForm:
        """The same options as a form has them."""
        include, outputs = self.output.include, self.output.outputs
        return JobForm(
            model=self.model,
            version=self.version,
            format=self.format,
            encoding=self.encoding,
            output_format=self.output.format,
            include=include if isinstance(include, str) else _json(include),
            outputs=outputs if isinstance(outputs, str) else _json(outputs) if outputs else "",
            on_error=self.on_error,
            priority=self.priority,
            callback_url=self.callback_url,
            events=_json(self.events) if self.events else "",
            metadata=_json(self.metadata),
            expires_after=self.expires_after,
        )


_decoder = msgspec.json.Decoder(JobRequest)


def read_request(body: bytes) -> JobRequest:
    """The submission that a body holds.

    Raises:
        MalformedJson: it is not JSON.
        InvalidInput: it does not fit; names fields that there are not, and where.
    """
    if not body.isascii():
        check_text(body)
    request = decode_json_as(_decoder, body)
    request.input.check()
    return request


@contextmanager
def placed_in_body() -> Iterator[None]:
    """Tell of options that do not fit where they stand in the body."""
    try:
        yield
    except InvalidInput as error:
        error.errors = tuple(
            msgspec.structs.replace(fault, pointer=PLACES.get((fault.pointer or "")[1:], fault.pointer))
            for fault in error.errors
        )
        raise


def check_text(body: bytes) -> None:
    """Look at the encoding of rows, which a decoder passes over.

    Raises:
        MalformedJson: it is not UTF-8.
    """
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise MalformedJson(f"the body is not UTF-8: {error.reason}") from None


def _json(value: Any) -> str:
    return msgspec.json.encode(value, order="sorted").decode()
