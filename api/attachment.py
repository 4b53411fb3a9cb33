"""Headers of a file that is sent for keeping."""

from api.repr_digest import repr_digest
from shared.attachment import content_disposition


def attachment_headers(file_name: str, *, size_bytes: int, digest: str | None) -> dict[str, str]:
    """Its name (RFC 6266), its length, and its SHA-256 (RFC 9530).

    Args:
        digest: SHA-256, hexadecimal; None where it is not known.
    """
    return {
        "Content-Disposition": content_disposition(file_name),
        "Content-Length": str(size_bytes),
        **({} if digest is None else {"Repr-Digest": repr_digest(digest)}),
        "X-Content-Type-Options": "nosniff",
    }
