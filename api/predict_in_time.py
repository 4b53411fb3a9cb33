"""A prediction that is answered at once if it comes while the client waits, and later if not."""

from collections.abc import Mapping
from typing import Final

from api.cache_headers import parse_cache_control
from api.flight import Question
from api.predict_answer import Answer, answer_of
from api.predictor import Predictor
from api.prefer import preferred_wait_s
from shared.access.caller import Caller
from shared.errors import DeadlineExceeded, TooLarge, Unavailable
from shared.limits.policy import RouteClass, limits_for
from shared.settings import Settings

_MAX_WAIT_S: Final = 3600.0  # that a header may ask for; the settings allow less


async def answer_in_time(
    predictor: Predictor,
    settings: Settings,
    *,
    caller: Caller,
    model: str,
    headers: Mapping[bytes, bytes],
    body: bytes,
) -> Answer | None:
    """The answer within the `wait=n` seconds that the client prefers; None if there is none by then.

    Raises:
        CallerError, RateLimited, ModelCrashed: it would be no better later.
    """
    prefer = headers.get(b"prefer", b"").decode("latin-1")
    wait_s = preferred_wait_s(prefer, default_s=0, most_s=_MAX_WAIT_S)
    if not wait_s or len(body) > predictor.max_bytes:
        return None
    question = Question(
        caller=caller,
        model=model,
        body=body,
        deadline=predictor.deadline(wait_s),
        limits=limits_for(settings, RouteClass.PREDICT, caller=caller, client_ip=""),
        content_type=headers.get(b"content-type"),
        cache_control=parse_cache_control(headers.get(b"cache-control")),
    )
    try:
        return answer_of(await predictor.predict(question))
    except (Unavailable, DeadlineExceeded, TooLarge):
        return None
