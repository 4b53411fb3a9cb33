"""POST predict/{model}: answer while the client waits.

The one route that is plain ASGI: a typed handler costs more than everything else on this path together
(bench/results). Its place in the OpenAPI document is written out below.
"""

from typing import Annotated, Any, Final, Literal

import msgspec
from litestar import Request, Router, asgi
from litestar.exceptions import MethodNotAllowedException, NotFoundException
from litestar.types import Receive, Scope, Send
from msgspec import UNSET, Meta, UnsetType

from api.auth import caller_of
from api.predictor import Prediction, Predictor
from api.prefer import preferred_wait_s
from api.request_body import JsonRequest, whole_body
from api.request_context import QUIET
from shared.errors import MalformedRequest
from shared.ids import new_id
from shared.json_body import decode_json_as

Row = dict[str, Any] | list[Any]

MAX_WAIT_S: Final = 3600.0  # that a header may ask for; the settings allow less


class PredictRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The rows to predict: `input` for one, `inputs` for several.

    A row is an object with the model's column names, or an array in the model's order.
    """

    input: Row | UnsetType = UNSET
    inputs: list[Row] | UnsetType = UNSET
    version: Annotated[int, Meta(ge=1)] | None = None
    outputs: tuple[Literal["label", "probabilities"], ...] = ("label",)

    @property
    def single(self) -> bool:
        """One row was sent as such, and is answered as such."""
        return not isinstance(self.input, UnsetType)

    def rows(self) -> list[Row]:
        """All rows.

        Raises:
            MalformedRequest: neither field was given, or both.
        """
        if isinstance(self.input, UnsetType) and not isinstance(self.inputs, UnsetType):
            return self.inputs
        if not isinstance(self.input, UnsetType) and isinstance(self.inputs, UnsetType):
            return [self.input]
        raise MalformedRequest('send either `{"input": {…}}` (one row) or `{"inputs": [{…}, …]}` (rows)')


class PredictResponse(msgspec.Struct, frozen=True, kw_only=True):
    """`prediction` for `input`, `predictions` for `inputs`; `probabilities` likewise, by class."""

    prediction: Any | UnsetType = UNSET
    predictions: list[Any] | UnsetType = UNSET
    probabilities: dict[str, float] | list[dict[str, float]] | UnsetType = UNSET
    model: str
    version: int
    prediction_id: str
    cached: bool = False
    warnings: tuple[str, ...] | UnsetType = UNSET


_reader = msgspec.json.Decoder(PredictRequest)
_write = msgspec.json.Encoder().encode


# Mounted, as Litestar finds no plain ASGI route with a parameter in its path for a request that has a method.
@asgi("/predict", is_mount=True, opt=QUIET, copy_scope=False)
async def predict(scope: Scope, receive: Receive, send: Send) -> None:
    """Predict one row or some, while the client waits."""
    request: Request[Any, Any, Any] = JsonRequest(scope, receive)
    model = model_of(request)
    predictor: Predictor = scope["litestar_app"].state.predictor
    asked = await read_request(request, max_bytes=predictor.max_bytes)
    prediction = await predictor.predict(
        caller_of(request),
        model,
        asked.rows(),
        version=asked.version,
        outputs=asked.outputs,
        deadline_s=deadline_s(request),
    )
    body = _write(to_response(prediction, single=asked.single))
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"server-timing", _server_timing(prediction)),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def model_of(request: Request[Any, Any, Any]) -> str:
    """The model's name or id: what follows the route in the path.

    Raises:
        NotFoundException: nothing, or more than one part, follows.
        MethodNotAllowedException: it is not a POST.
    """
    model = request.scope["path"].strip("/")
    if not model or "/" in model:
        raise NotFoundException
    if request.method != "POST":
        raise MethodNotAllowedException(headers={"Allow": "POST"})
    return model


async def read_request(request: Request[Any, Any, Any], *, max_bytes: int) -> PredictRequest:
    """The body.

    Raises:
        TooLarge, MalformedJson, MalformedRequest: it is none that can be answered; the error says why.
    """
    return decode_json_as(_reader, await whole_body(request, max_bytes=max_bytes))


def deadline_s(request: Request[Any, Any, Any]) -> float | None:
    """How long the client will wait, by `X-Deadline-Ms` or `Prefer: wait=`; None if it does not say.

    Raises:
        MalformedRequest: the header is no number of milliseconds.
    """
    if (text := request.headers.get("x-deadline-ms")) is not None:
        if not (text.isascii() and text.isdigit() and int(text)):
            raise MalformedRequest("X-Deadline-Ms is a whole number of milliseconds, 1 or more")
        return int(text) / 1000
    return preferred_wait_s(request.headers.get("prefer"), default_s=0, most_s=MAX_WAIT_S) or None


def to_response(prediction: Prediction, *, single: bool) -> PredictResponse:
    """What the caller is told."""
    outputs = prediction.reply.outputs or {}
    version = prediction.route.version
    probabilities = _by_class(outputs.get("probabilities"), version.signature.classes)
    labels: list[Any] | UnsetType = outputs.get("label", UNSET)
    return PredictResponse(
        prediction=labels[0] if single and not isinstance(labels, UnsetType) else UNSET,
        predictions=UNSET if single else labels,
        probabilities=probabilities[0]
        if single and not isinstance(probabilities, UnsetType)
        else probabilities,
        model=version.model_name,
        version=version.number,
        prediction_id=str(new_id()),
        warnings=prediction.warnings or UNSET,
    )


def _by_class(rows: list[Any] | None, classes: list[Any] | None) -> list[dict[str, float]] | UnsetType:
    if rows is None or classes is None:
        return UNSET
    names = [str(name) for name in classes]
    return [dict(zip(names, row, strict=True)) for row in rows]


def _server_timing(prediction: Prediction) -> bytes:
    """Durations in milliseconds. Source: the W3C's Server Timing."""
    total_ms, compute_ms = prediction.total_us / 1000, prediction.reply.compute_us / 1000
    return b"queue;dur=%.2f, compute;dur=%.2f, total;dur=%.2f" % (
        total_ms - compute_ms,
        compute_ms,
        total_ms,
    )


predictions_routes = Router("/", route_handlers=[predict])
