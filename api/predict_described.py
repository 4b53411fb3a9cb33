"""How the OpenAPI document describes predict, which is plain ASGI: Litestar cannot see what it takes."""

from litestar import Litestar
from litestar.openapi.spec import (
    OpenAPI,
    OpenAPIHeader,
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

from api.openapi_mended import mend
from api.predict_answer import PredictResponse
from api.refusals_described import add_refusals, problem_described
from api.request_bodies_described import binary
from api.struct_schemas import REFERENCE, StructSchemas, add_schemas
from shared.jobs.view import JobView
from shared.predictions.json_reader import PredictRequest
from shared.predictions.v2 import HEADER, V2Response
from shared.predictions.v2_request import InferenceRequest

PATH = "/api/v1/predict/{model}"
_OPERATION = "Predict"
_EXAMPLE = {"input": {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}}
_DESCRIPTION = (
    "Predict one row or some, while the client waits. Rows come as JSON, as an Arrow IPC stream, or as "
    "tensors of the Open Inference Protocol, which are answered in its form.\n\n"
    "With `Prefer: respond-async` the answer to rows in JSON is a job, unless it comes within the seconds of "
    "`wait=n`; its result, asked for as `application/json`, is what this route answers at once."
)
_PROBLEMS = (404, 409, 415, 504)
_KINDS = [PredictRequest, PredictResponse, InferenceRequest, V2Response]
_TEXT, _NUMBER = Schema(type=OpenAPIType.STRING), Schema(type=OpenAPIType.INTEGER, minimum=1)
_QUERY = [
    ("version", _NUMBER, "Of a body without options (Arrow, tensors): the version asked for."),
    ("outputs", _TEXT, "Of an Arrow stream: names of the model's outputs, with commas between."),
    ("key", _TEXT, "Of an Arrow stream: requests of one key go to the same version."),
]
_HEADERS = [
    ("X-Deadline-Ms", _NUMBER, "How long to wait, in milliseconds; `Prefer: wait=n` says it in seconds."),
    ("Prefer", _TEXT, "`wait=n`: how many seconds to wait. `respond-async`: a job will do (202)."),
    ("Idempotency-Key", _TEXT, "With `respond-async`: the same under the same key is the same job."),
    (HEADER, _NUMBER, "How many bytes of the body are JSON; raw tensors follow."),
]


_JOB_HEADERS = [("Location", "Where the job is."), ("Preference-Applied", "`respond-async`.")]


class DescribedApp(Litestar):
    """Litestar, whose OpenAPI document has this route too.

    It is made when somebody asks for it first: it takes as long as all the rest of a start.
    """

    @property
    def openapi_schema(self) -> OpenAPI:
        """The document."""
        document = super().openapi_schema
        if not _is_described(document):
            self.plugins.get(StructSchemas).add_missing(document)
            _describe(document)
            add_refusals(document)
            mend(document)
        return document


def _is_described(document: OpenAPI) -> bool:
    path = (document.paths or {}).get(PATH)
    return path is not None and path.post is not None and path.post.operation_id == _OPERATION


def _describe(document: OpenAPI) -> None:
    add_schemas(document, _KINDS)
    document.paths = {**(document.paths or {}), PATH: PathItem(post=_operation())}


def _operation() -> Operation:
    return Operation(
        operation_id=_OPERATION,
        tags=["Predictions"],
        summary="Predict",
        description=_DESCRIPTION,
        parameters=_parameters(),
        request_body=_body(),
        responses={
            "200": _answer(),
            "202": _job(),
            **{str(status): problem_described(status) for status in _PROBLEMS},
        },
    )


def _body() -> RequestBody:
    """Every form; a request of the Open Inference Protocol is answered by one of its answers."""
    content = {
        "application/json": OpenAPIMediaType(
            schema=Schema(one_of=[_reference(PredictRequest), _reference(InferenceRequest)]), example=_EXAMPLE
        ),
        "application/vnd.apache.arrow.stream": OpenAPIMediaType(
            schema=binary("Rows as an Arrow IPC stream, with the model's column names.")
        ),
        "application/octet-stream": OpenAPIMediaType(
            schema=binary(
                f"An InferenceRequest as JSON, of as many bytes as {HEADER} says, then its tensors."
            )
        ),
    }
    return RequestBody(content=content, required=True)


def _answer() -> OpenAPIResponse:
    schema = Schema(one_of=[_reference(PredictResponse), _reference(V2Response)])
    return OpenAPIResponse(
        description="The prediction.",
        content={
            "application/json": OpenAPIMediaType(schema=schema),
            "application/octet-stream": OpenAPIMediaType(
                schema=binary("A V2Response as JSON, then its tensors.")
            ),
        },
    )


def _job() -> OpenAPIResponse:
    """What `POST jobs` answers, whose schemas are in the document already."""
    headers: dict[str, OpenAPIHeader | Reference] = {
        name: OpenAPIHeader(schema=_TEXT, description=description) for name, description in _JOB_HEADERS
    }
    return OpenAPIResponse(
        description="With `Prefer: respond-async`: the job that will answer.",
        headers=headers,
        content={"application/json": OpenAPIMediaType(schema=_reference(JobView))},
    )


def _parameters() -> list[Parameter | Reference]:
    return [
        Parameter(
            name="model", param_in="path", required=True, schema=_TEXT, description="Name or id of the model."
        ),
        *(
            Parameter(name=name, param_in="query", required=False, schema=schema, description=description)
            for name, schema, description in _QUERY
        ),
        *(
            Parameter(name=name, param_in="header", required=False, schema=schema, description=description)
            for name, schema, description in _HEADERS
        ),
    ]


def _reference(kind: type) -> Reference:
    return Reference(ref=REFERENCE.format(name=kind.__name__))
