"""How the OpenAPI document describes bodies that are read as a stream, which Litestar cannot see."""

from dataclasses import dataclass

from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema

_FILE = (
    "The trained model, as its library saved it: pickle, joblib, skops, ONNX, XGBoost, LightGBM, CatBoost, "
    "PyTorch, Keras; or a zip of a SavedModel, of an MLflow folder, or of a Python class. Its content tells "
    "which, not its name."
)


def binary(description: str) -> Schema:
    """A part that holds a file."""
    return Schema(
        type=OpenAPIType.STRING, content_media_type="application/octet-stream", description=description
    )


def text(description: str, *, example: str) -> Schema:
    """A part that holds text."""
    return Schema(type=OpenAPIType.STRING, description=description, examples=[example])


def form_body(parts: dict[str, Schema], *, required: list[str]) -> RequestBody:
    """A multipart form."""
    schema = Schema(type=OpenAPIType.OBJECT, properties=dict(parts), required=required)
    return RequestBody(content={"multipart/form-data": OpenAPIMediaType(schema=schema)}, required=True)


def _upload_form() -> RequestBody:
    parts = {
        "file": binary(_FILE),
        "name": text("The model's name: letters, digits, `_ - .`", example="iris_classifier"),
        "model_type": text(
            "What you say it is, until its content tells; may be left out.", example="sklearn"
        ),
        "description": text("What the model is for.", example="Species of iris by their measures"),
        "sample": binary("Some rows as CSV or Parquet, where the model does not say what it takes."),
    }
    return form_body(parts, required=["file", "name"])


def _raw_body() -> RequestBody:
    content = OpenAPIMediaType(schema=binary(_FILE))
    return RequestBody(content={"application/octet-stream": content}, required=True)


@dataclass
class UploadForm(Operation):
    """An upload as a multipart form."""

    def __post_init__(self) -> None:
        self.request_body = _upload_form()


@dataclass
class RawBody(Operation):
    """An upload as the raw body."""

    def __post_init__(self) -> None:
        self.request_body = _raw_body()
