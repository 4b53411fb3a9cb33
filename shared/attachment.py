"""How a file that is sent for keeping is named in HTTP, by the API or by a bucket."""

from urllib.parse import quote


def content_disposition(file_name: str) -> str:
    """The header's value: the exact name, and a plain one for clients that know no other (RFC 6266)."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%' else "_" for c in file_name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(file_name, safe='')}"
