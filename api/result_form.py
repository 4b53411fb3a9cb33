"""In which form the result of a job is wanted: as a file, or in one piece like a prediction."""

from typing import Final

import msgspec

from api.accept import media_ranges, name_of

JSON: Final = "application/json"


def likes(accept: str | None, media_type: str) -> float:
    """How much an `Accept` header likes a type, from 0 to 1: the closest of its ranges says so.

    Source: RFC 9110, section 12.5.1.
    """
    if not accept or not accept.strip():
        return 1.0
    ranges = dict(media_ranges(accept))
    kind = name_of(media_type)
    for close in (kind, f"{kind.partition('/')[0]}/*", "*/*"):
        if close in ranges:
            return ranges[close]
    return 0.0


class ResultForm(msgspec.Struct, frozen=True, kw_only=True):
    """How a result is asked for.

    Attributes:
        must_be_json: in one piece, and in no other way.
        accept: the header, where there is one.
        redirect: a link to the file will do.
    """

    must_be_json: bool
    accept: str | None
    redirect: bool

    def prefers_json(self, file_type: str) -> bool:
        """Whether JSON is liked better than the file, which is what there is in any case."""
        return self.must_be_json or likes(self.accept, JSON) > likes(self.accept, file_type)

    def takes_file(self, file_type: str) -> bool:
        """Whether the file will do where there is no JSON."""
        return not self.must_be_json and likes(self.accept, file_type) > 0
