"""The body of an event: what it looks like and how large it may be. Without any I/O."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

MAX_BODY_BYTES = 20_000  # Standard Webhooks 1.0.0, "Payload size"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What a receiver reads."""

    type: str
    timestamp: datetime
    data: dict[str, Any]


def encode_event(event_type: str, data: Mapping[str, Any], *, timestamp: datetime) -> bytes:
    """The body as JSON, under the limit in any case.

    Data that is too large loses its bulkiest fields; `data.omitted` names them. An event is news, and
    what happened can be read whole from the API.
    """
    kept, omitted = dict(data), list[str]()
    while True:
        told = kept | {"omitted": omitted} if omitted else kept
        body = msgspec.json.encode(Event(type=event_type, timestamp=timestamp, data=told))
        if len(body) < MAX_BODY_BYTES:
            return body
        bulkiest = max(kept, key=lambda field: len(msgspec.json.encode(kept[field])))
        del kept[bulkiest]
        omitted.append(bulkiest)
