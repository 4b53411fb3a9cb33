"""What can be wrong with a request about webhooks."""

from collections.abc import Sequence

from shared.errors import Conflict, FieldError, InvalidInput, NotFound


class WebhookNotFound(NotFound):
    """No such webhook, or another tenant's."""

    code = "webhook_not_found"

    def __init__(self) -> None:
        super().__init__("no webhook has this id")


class DeliveryNotFound(NotFound):
    """No such delivery, or another tenant's."""

    code = "delivery_not_found"

    def __init__(self) -> None:
        super().__init__("no delivery has this id")


class UnknownEvents(InvalidInput):
    """Names that no event has. The text lists those that there are."""

    code = "unknown_events"

    def __init__(self, places: Sequence[int], *, known: Sequence[str]) -> None:
        message = f"there is no such event; there are {', '.join(known)}"
        super().__init__(
            message, [FieldError(message=message, pointer=f"/events/{place}") for place in places]
        )


class TooManyWebhooks(Conflict):
    """The tenant has as many webhooks as it may."""

    code = "too_many_webhooks"

    def __init__(self, most: int) -> None:
        super().__init__(f"you have {most} webhooks, which is as many as there may be: delete one first")


class WebhookDisabled(Conflict):
    """Nothing is sent to an endpoint that is disabled."""

    code = "webhook_disabled"

    def __init__(self) -> None:
        super().__init__('the webhook is disabled: send it PATCH {"enabled": true} first')
