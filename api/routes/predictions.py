"""POST predict/{model}: answer while the client waits."""

from typing import Annotated, Any, Literal

import msgspec
from litestar import Response, Router, post
from litestar.di import NamedDependency
from litestar.params import HeaderParameter, JSONBody, PathParameter
from msgspec import UNSET, Meta, UnsetType

from api.predictor import Prediction, Predictor
from api.request_context import QUIET
from shared.access.caller import Caller
from shared.errors import MalformedRequest
from shared.ids import new_id

Row = dict[str, Any] | list[Any]


class PredictRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The rows to predict: `input` for one, `inputs` for several.

    A row is an object with the model's column names, or an array in the model's order.
    """

    input: Row | UnsetType = UNSET
    inputs: list[Row] | UnsetType = UNSET
    version: Annotated[int, Meta(ge=1)] | None = None
    outputs: tuple[Literal["label", "probabilities"], ...] = ("label",)

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


@post("/predict/{model:str}", status_code=200, tags=["Predictions"], opt=QUIET)
async def predict(
    model: Annotated[str, PathParameter(description="Name or id of the model.")],
    data: JSONBody[PredictRequest],
    caller: NamedDependency[Caller],
    predictor: NamedDependency[Predictor],
    deadline_ms: Annotated[
        int | None,
        HeaderParameter(
            name="X-Deadline-Ms", ge=1, description="How long to wait for the answer, in milliseconds."
        ),
    ] = None,
) -> Response[PredictResponse]:
    """Predict one row or some, while the client waits."""
    prediction = await predictor.predict(
        caller,
        model,
        data.rows(),
        version=data.version,
        outputs=data.outputs,
        deadline_s=None if deadline_ms is None else deadline_ms / 1000,
    )
    single = not isinstance(data.input, UnsetType)
    return Response(
        to_response(prediction, single=single), headers={"Server-Timing": _server_timing(prediction)}
    )


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


def _server_timing(prediction: Prediction) -> str:
    """Durations in milliseconds. Source: the W3C's Server Timing."""
    total_ms, compute_ms = prediction.total_us / 1000, prediction.reply.compute_us / 1000
    return f"queue;dur={total_ms - compute_ms:.2f}, compute;dur={compute_ms:.2f}, total;dur={total_ms:.2f}"


predictions_routes = Router("/", route_handlers=[predict])
