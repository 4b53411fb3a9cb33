"""Server-sent events: how many streams a tenant may hold open, and what an event looks like on the wire.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from uuid import UUID
from weakref import WeakSet

from shared.errors import RateLimited

MEDIA_TYPE = "text/event-stream"
RETRY_AFTER_S = 5

# `X-Accel-Buffering` keeps nginx from holding events back.
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

PING = b": still here\n\n"  # a comment: clients skip it, and proxies see that the connection lives
RETRY = b"retry: 2000\n\n"  # milliseconds until a client that lost its stream comes back


class TooManyStreams(RateLimited):
    """The tenant holds as many streams as it may."""

    code = "too_many_streams"

    def __init__(self, most: int) -> None:
        super().__init__(
            f"{most} streams of events are open already: close some, or ask with `?wait=` instead",
            retry_after_s=RETRY_AFTER_S,
        )


class Place:
    """Held by an open stream. One that is forgotten is free as well."""

    __slots__ = ("__weakref__",)


class EventStreams:
    """Counts the streams of this process."""

    def __init__(self, most_of_a_tenant: int) -> None:
        self._most = most_of_a_tenant
        self._held: dict[UUID, WeakSet[Place]] = {}

    def take(self, tenant_id: UUID) -> Place:
        """A place for one more stream.

        Raises:
            TooManyStreams: the tenant has no more.
        """
        held = self._held.setdefault(tenant_id, WeakSet())
        if len(held) >= self._most:
            raise TooManyStreams(self._most)
        place = Place()
        held.add(place)
        return place

    def free(self, tenant_id: UUID, place: Place) -> None:
        """Give the place back. Twice is the same as once."""
        held = self._held.get(tenant_id, WeakSet())
        held.discard(place)
        if not held:
            self._held.pop(tenant_id, None)

    def held(self, tenant_id: UUID) -> int:
        """How many streams the tenant has open."""
        return len(self._held.get(tenant_id, ()))


def event(name: str, data: bytes, *, event_id: str) -> bytes:
    """An event; neither its id nor its data have line breaks."""
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (event_id.encode(), name.encode(), data)
