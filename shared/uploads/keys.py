"""Where in storage uploads lie. No key is ever written twice."""

from uuid import UUID

from shared.ids import new_id


def upload_folder(upload_id: UUID) -> str:
    """What all keys of an upload begin with."""
    return f"uploads/{upload_id}"


def new_piece_key(upload_id: UUID, start: int) -> str:
    """For one attempt to store a piece; it is nobody's unless the tables name it."""
    return f"{upload_folder(upload_id)}/{start}.{new_id()}"


def new_whole_key(upload_id: UUID) -> str:
    """For one attempt to join all pieces."""
    return f"{upload_folder(upload_id)}/whole.{new_id()}"
