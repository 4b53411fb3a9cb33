"""In which format the errors of a job are sent."""

from api.accept import media_ranges
from shared.jobs.job import ErrorsFormat

ERRORS_MEDIA_TYPES = {
    ErrorsFormat.JSONL: "application/jsonl",
    ErrorsFormat.CSV: "text/csv; charset=utf-8; header=present",
    ErrorsFormat.PARQUET: "application/vnd.apache.parquet",
}
_ACCEPTED = {
    "application/jsonl": ErrorsFormat.JSONL,
    "application/x-ndjson": ErrorsFormat.JSONL,
    "application/x-jsonlines": ErrorsFormat.JSONL,
    "text/csv": ErrorsFormat.CSV,
    "application/vnd.apache.parquet": ErrorsFormat.PARQUET,
    "application/x-parquet": ErrorsFormat.PARQUET,
}


def errors_format_of(accept: str | None) -> ErrorsFormat:
    """The known format that an `Accept` header likes best; JSON lines where it names none."""
    liked = [(-quality, name) for name, quality in media_ranges(accept or "")]
    known = [(dislike, name) for dislike, name in liked if name in _ACCEPTED and dislike < 0]
    return _ACCEPTED[min(known, key=lambda each: each[0])[1]] if known else ErrorsFormat.JSONL
