"""What a caller asks of a webhook, and of the deliveries of one."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from shared.webhooks.delivery import DeliveryStatus

Url = Annotated[str, Meta(max_length=2048, examples=["https://example.com/hooks"])]
EventNames = Annotated[list[Annotated[str, Meta(max_length=100)]], Meta(max_length=50)]
# PostgreSQL keeps no NUL in text.
Description = Annotated[str, Meta(max_length=500, pattern=r"^[^\x00]*$")]


class NewWebhook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An address that events shall be sent to.

    Attributes:
        events: which; none, or null, for all but `job.progress`, which is sent only to who names it.
    """

    url: Url
    events: EventNames | None = None
    description: Description = ""
    enabled: bool = True


class WebhookChanges(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What shall be otherwise; what is left out stays."""

    url: Url | UnsetType = UNSET
    events: EventNames | UnsetType | None = UNSET
    description: Description | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET

    def given(self) -> dict[str, Any]:
        """The fields that were sent."""
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        return {name: value for name, value in fields.items() if value is not UNSET}


class RedeliveryRange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which deliveries of a webhook shall be sent again.

    Attributes:
        since: of events that happened then or later.
        until: of events that happened before; now, if left out.
        status: of them those that are so; failed and held ones, if left out.
    """

    since: Annotated[datetime, Meta(tz=True)]
    until: Annotated[datetime, Meta(tz=True)] | None = None
    status: DeliveryStatus | None = None
