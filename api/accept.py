"""What an `Accept` header lists (RFC 9110, section 12.5.1)."""


def media_ranges(accept: str) -> list[tuple[str, float]]:
    """Each range in lower case, and how much it is liked, from 0 to 1."""
    return [(name_of(each), _quality(each)) for each in accept.split(",")]


def name_of(media_type: str) -> str:
    """A type or range without its parameters."""
    return media_type.partition(";")[0].strip().lower()


def _quality(media_range: str) -> float:
    for parameter in media_range.split(";")[1:]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
