"""Headers of a file that is sent for keeping."""

from urllib.parse import quote

from api.repr_digest import repr_digest


def attachment_headers(file_name: str, *, size_bytes: int, digest: str | None) -> dict[str, str]:
    """Its name (RFC 6266), its length, and its SHA-256 (RFC 9530).

    Args:
        digest: SHA-256, hexadecimal; None where it is not known.
    """
    plain = "".join(c if c.isascii() and c not in '"\\%' else "_" for c in file_name)
    exact = quote(file_name, safe="")
    return {
        "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{exact}",
        "Content-Length": str(size_bytes),
        **({} if digest is None else {"Repr-Digest": repr_digest(digest)}),
        "X-Content-Type-Options": "nosniff",
    }
