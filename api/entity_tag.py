"""Entity tags (RFC 9110, section 8.8): does the client have this already?"""


def is_among(tag: str, header: str | None) -> bool:
    """Whether an `If-None-Match` header names the tag. Weak comparison: `W/` does not count."""
    if header is None:
        return False
    given = [each.strip().removeprefix("W/") for each in header.split(",")]
    return "*" in given or tag.removeprefix("W/") in given
