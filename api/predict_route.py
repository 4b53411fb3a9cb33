"""POST /api/v1/predict/{model}: the one route that is answered before the framework.

A typed handler costs more than everything else on this path together (docs/decisions). What the framework
would do, this does: identify, authenticate, limit, read, answer; errors are the same problem details.
"""

import asyncio
from functools import lru_cache
from typing import Final

from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp, HTTPScope, Receive, Send
from litestar.types import Scope as Connection

from api.cache_headers import parse_cache_control
from api.client_watch import ClientWatch
from api.cookie_door import CookieDoor
from api.credentials import Credentials
from api.flight import Flight, OnLanded, Question
from api.predict_answer import Answer, answer_of
from api.predict_request import Fields, Headers, check_method, deadline_s, model_of, read_body
from api.prediction_quotas import PredictionQuotas
from api.predictor import Predictor
from api.prefer import prefers_later
from api.presented_token import sent_token, token_of
from api.problems import problem_answer
from api.request_context import bound_to_logs, request_id_of
from shared.access.acting import Acting, acting_as
from shared.access.caller import Caller
from shared.access.permissions import Scope, check_permission
from shared.errors import CallerError
from shared.limits.policy import Limit, RouteClass, limits_for
from shared.settings import Settings

PREFIX: Final = "/api/v1/predict/"


class PredictRoute:
    """ASGI: answers predictions, and passes everything else on, those that are to be answered later too."""

    def __init__(self, app: ASGIApp, settings: Settings, door: CookieDoor) -> None:
        self._app, self._door = app, door
        self._predictor: Predictor
        self._credentials: Credentials
        self._quotas: PredictionQuotas

        @lru_cache(10_000)
        def limits_of(caller: Caller, per_day: int) -> tuple[Limit, ...]:
            check_permission(caller.role, caller.scopes, needed=(Scope.PREDICT,), changing=True)
            return limits_for(settings, RouteClass.PREDICT, caller=caller, client_ip="", per_day=per_day)

        self._limits_of = limits_of  # the same tuple for the same caller: the queue groups by it

    def open(self, predictor: Predictor, credentials: Credentials, quotas: PredictionQuotas) -> None:
        """Answer by these from now on."""
        self._predictor, self._credentials, self._quotas = predictor, credentials, quotas

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != ScopeType.HTTP or not scope["path"].startswith(PREFIX):
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        if b"prefer" in headers and scope["method"] == "POST" and prefers_later(scope["headers"]):
            await self._app(scope, receive, send)  # api/routes/predict_later.py
            return
        request_id = request_id_of(headers.get(b"x-request-id"))
        watch = ClientWatch(receive)
        try:
            status, fields, body = await self._answer(scope, headers, receive, watch)
        except asyncio.CancelledError:
            if not watch.left:
                raise
            return  # nobody is there to be answered
        except Exception as error:  # noqa: BLE001  every error is answered, as everywhere
            with bound_to_logs(request_id):
                status, fields, body = problem_answer(error, path=scope["path"], request_id=request_id)
        finally:
            watch.end()
        fields = [*fields, (b"x-request-id", request_id.encode()), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    def begin(
        self, path: str, query: bytes, fields: Fields, headers: Headers, body: bytes, *, on_end: OnLanded
    ) -> Flight | None:
        """Begin on a request that needs to wait for nothing but the model.

        Args:
            fields: its headers as they came.
            headers: the last of each name.

        Returns:
            None for every other, and for one that is wrong: it has not begun, and `__call__` will tell.

        Raises:
            TransientError: it may not wait.
        """
        try:
            caller = self._credentials.known(token_of(fields))
            if caller is None:
                return None
            question = self._question(caller, path, query, headers, body, watch=None)
            return self._predictor.begin(question, on_end=on_end)
        except (CallerError, HTTPException):
            return None

    def abandon(self, flight: Flight) -> None:
        """The client of a request that has begun has left."""
        self._predictor.abandon(flight)

    async def _answer(
        self, scope: HTTPScope, headers: Headers, receive: Receive, watch: ClientWatch
    ) -> Answer:
        token = sent_token(scope["headers"])
        if token:
            caller = self._credentials.known(token) or await self._credentials.verify(token)
        else:
            caller = await self._door.caller(scope)
        check_method(scope["method"])
        body = await read_body(receive, headers, max_bytes=self._predictor.max_bytes)
        question = self._question(caller, scope["path"], scope["query_string"], headers, body, watch=watch)
        with acting_as(Acting(caller, address="")):  # which nothing on this path asks for
            return answer_of(await self._predictor.predict(question))

    def _question(
        self,
        caller: Caller,
        path: str,
        query: bytes,
        headers: Headers,
        body: bytes,
        *,
        watch: ClientWatch | None,
    ) -> Question:
        return Question(
            caller=caller,
            model=model_of(path, PREFIX),
            body=body,
            deadline=self._predictor.deadline(deadline_s(headers)),
            limits=self._limits_of(caller, self._quotas.of(caller.tenant_id)),
            content_type=headers.get(b"content-type"),
            inference_header=headers.get(b"inference-header-content-length"),
            query=query,
            cache_control=parse_cache_control(headers.get(b"cache-control")),
            on_slow=None if watch is None else watch.begin,
        )
