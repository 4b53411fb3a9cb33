"""What a caller may ask of a job, as a form says it. Rules without I/O."""

from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from shared.errors import FieldError
from shared.jobs.errors import InvalidOption
from shared.jobs.further_outputs import Asked
from shared.jobs.job import FileFormat, OnError, Priority
from shared.jobs.span import LEAST_SPAN_S, MOST_SPAN_S, span_s
from shared.jobs.text_encoding import TextEncoding

T = TypeVar("T")

METADATA_MAX_BYTES = 4096

OPTIONS = (
    "model",
    "version",
    "format",
    "encoding",
    "output_format",
    "include",
    "outputs",
    "on_error",
    "priority",
    "callback_url",
    "events",
    "metadata",
    "expires_after",
)

PROGRESS = "job.progress"
ENDS = ("job.succeeded", "job.failed", "job.cancelled")  # told whether they are named or not


class JobForm(msgspec.Struct, frozen=True, kw_only=True):
    """The text fields of a submission.

    Attributes:
        format: of the file; None: whatever its first bytes say.
        encoding: of its text; None: that of its mark, or UTF-8.
        include: input columns to carry into the output: `all`, `none`, names with commas between them, or
            a JSON list of names.
        outputs: of the model, to write beside its prediction: `all`, names with commas between them, or a
            JSON list of names.
        events: what `callback_url` is told of beside the end: names with commas between them, or a JSON
            list of names.
        metadata: a JSON object of the caller's own, given back with the job.
        expires_after: how long the job may take: seconds, or a number and `s`, `m`, `h` or `d`.
    """

    model: str
    version: Annotated[int, Meta(ge=1)] | None = None
    format: FileFormat | None = None
    encoding: TextEncoding | None = None
    output_format: FileFormat | None = None
    include: str = "all"
    outputs: str = ""
    on_error: OnError = OnError.FAIL
    priority: Priority = Priority.NORMAL
    callback_url: str | None = None
    events: str = ""
    metadata: str = "{}"
    expires_after: str | float | None = None

    def expires_after_s(self) -> float | None:
        """How long the job may take; None: as long as it takes.

        Raises:
            InvalidOption: it is no span of time, or out of bounds.
        """
        if self.expires_after is None:
            return None
        seconds = span_s(str(self.expires_after))
        if seconds is None or not LEAST_SPAN_S <= seconds <= MOST_SPAN_S:
            raise _refused(
                "expires_after", "is a time from one second to 30 days, as `90`, `90s`, `15m`, `2h` or `7d`"
            )
        return seconds

    def tells_progress(self) -> bool:
        """Whether `events` asks for more than the job's end.

        Raises:
            InvalidOption: it names what there is not, or there is nobody to tell.
        """
        names = _names(self.events, option="events") if self.events.strip() else []
        unknown = [name for name in names if name not in (PROGRESS, *ENDS)]
        if unknown:
            raise _refused("events", f"may name {', '.join((PROGRESS, *ENDS))}, and not {unknown[0]!r:.100}")
        if names and self.callback_url is None:
            raise _refused("events", "says what `callback_url` is told of, which is missing")
        return PROGRESS in names

    def columns(self) -> list[str] | None:
        """Names of the input columns to carry over; None for all.

        Raises:
            InvalidOption: `include` cannot be read.
        """
        text = self.include.strip()
        if text in ("all", "none"):
            return None if text == "all" else []
        names = _names(text, option="include")
        if "" in names or len(set(names)) < len(names):
            raise _refused("include", "names input columns, each once, or is `all` or `none`")
        return names

    def asked_outputs(self) -> Asked:
        """Names of the outputs that are wanted, as they were given; which there are, a version says.

        Raises:
            InvalidOption: `outputs` cannot be read.
        """
        text = self.outputs.strip()
        if text == "all":
            return "all"
        names = _names(text, option="outputs") if text else []
        if "" in names:
            raise _refused("outputs", "names outputs of the model, or is `all`")
        return names

    def output(self, input_format: FileFormat) -> FileFormat:
        """The format of the output: that of the input, but Parquet for Arrow, unless another is asked for.

        Raises:
            InvalidOption: jobs do not write it.
        """
        self.check_output()
        return self.output_format or output_like(input_format)

    def check_output(self) -> None:
        """Refuse an output format that jobs do not write.

        Raises:
            InvalidOption: it is one.
        """
        if self.output_format is FileFormat.ARROW:
            raise _refused(
                "output_format", "is `parquet`, `csv` or `jsonl`: jobs read Arrow, and write Parquet"
            )

    def labels(self) -> dict[str, Any]:
        """The caller's metadata.

        Raises:
            InvalidOption: it is no JSON object, or too large.
        """
        if len(self.metadata.encode()) > METADATA_MAX_BYTES:
            raise _refused("metadata", f"may have {METADATA_MAX_BYTES} bytes at most")
        return _json(self.metadata, dict[str, Any], option="metadata")


def output_like(input_format: FileFormat) -> FileFormat:
    """The format of an output where none is asked for."""
    return FileFormat.PARQUET if input_format is FileFormat.ARROW else input_format


def _names(text: str, *, option: str) -> list[str]:
    """Of a JSON list as they stand; with commas between them without the spaces around each."""
    if text.strip().startswith("["):
        return _json(text, list[str], option=option)
    return [name.strip() for name in text.split(",")]


def _json(text: str, kind: type[T], *, option: str) -> T:
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise _refused(option, f"is not the JSON that is wanted: {error}") from None


def _refused(option: str, why: str) -> InvalidOption:
    return InvalidOption(f"the option {option!r} {why}", [FieldError(message=why, pointer=f"/{option}")])
