"""How the OpenAPI document describes predict, which is plain ASGI: Litestar cannot see what it takes."""

from typing import Any, cast

import msgspec
from litestar import Litestar
from litestar.openapi.spec import (
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Parameter,
    PathItem,
    Reference,
    RequestBody,
    Schema,
)

from api.openapi import PROBLEM_TEXTS
from api.predict_answer import PredictResponse
from api.problems import PROBLEM_JSON, Problem
from shared.predictions.json_reader import PredictRequest

PATH = "/api/v1/predict/{model}"
_SCHEMAS = "#/components/schemas/{name}"
_EXAMPLE = {"input": {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}}


def describe_predict(app: Litestar) -> None:
    """Add the route to the document."""
    document = app.openapi_schema
    components = document.components
    for name, schema in _schemas().items():
        components.schemas.setdefault(name, schema)
    document.paths = {**(document.paths or {}), PATH: PathItem(post=_operation())}


def _operation() -> Operation:
    return Operation(
        operation_id="Predict",
        tags=["Predictions"],
        summary="Predict",
        description="Predict one row or some, while the client waits.",
        parameters=_parameters(),
        request_body=RequestBody(
            content={"application/json": _json(PredictRequest, _EXAMPLE)}, required=True
        ),
        responses={
            "200": OpenAPIResponse(
                description="The prediction.", content={"application/json": _json(PredictResponse)}
            ),
            **{str(status): _problem(status) for status in (400, 401, 404, 409, 413, 422, 503, 504)},
        },
    )


def _parameters() -> list[Parameter | Reference]:
    text, number = Schema(type=OpenAPIType.STRING), Schema(type=OpenAPIType.INTEGER, minimum=1)
    return [
        Parameter(
            name="model", param_in="path", required=True, schema=text, description="Name or id of the model."
        ),
        Parameter(
            name="X-Deadline-Ms",
            param_in="header",
            required=False,
            schema=number,
            description="How long to wait, in milliseconds; `Prefer: wait=n` says it in seconds.",
        ),
    ]


def _json(kind: type, example: Any = None) -> OpenAPIMediaType:
    return OpenAPIMediaType(schema=Reference(ref=_SCHEMAS.format(name=kind.__name__)), example=example)


def _problem(status: int) -> OpenAPIResponse:
    content = {PROBLEM_JSON: OpenAPIMediaType(schema=Reference(ref=_SCHEMAS.format(name=Problem.__name__)))}
    return OpenAPIResponse(description=PROBLEM_TEXTS[status], content=content)


def _schemas() -> dict[str, Schema]:
    """JSON Schemas as msgspec writes them; Litestar passes plain objects on as they are."""
    _, schemas = msgspec.json.schema_components([PredictRequest, PredictResponse], ref_template=_SCHEMAS)
    return cast("dict[str, Schema]", schemas)
