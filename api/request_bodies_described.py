"""How the OpenAPI document describes bodies that are read as a stream, which Litestar cannot see."""

from dataclasses import dataclass

from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema


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
        "file": binary("The trained model: what joblib or pickle wrote."),
        "name": text("The model's name: letters, digits, `_ - .`", example="iris_classifier"),
        "model_type": text("What you say it is.", example="sklearn"),
        "description": text("What the model is for.", example="Species of iris by their measures"),
        "sample": binary("Rows as CSV or Parquet, to probe the model with."),
    }
    return form_body(parts, required=["file", "name"])


def _raw_body() -> RequestBody:
    content = OpenAPIMediaType(schema=binary("The trained model: what joblib or pickle wrote."))
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
