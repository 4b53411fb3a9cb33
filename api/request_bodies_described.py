"""How the OpenAPI document describes bodies that are read as a stream, which Litestar cannot see."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema

_FILE = (
    "The trained model, as its library saved it: pickle, joblib, skops, ONNX, XGBoost, LightGBM, CatBoost, "
    "PyTorch, Keras; or a zip of a SavedModel, of an MLflow folder, or of a Python class. Its content tells "
    "which, not its name."
)


NAME = r"^[A-Za-z0-9_.-]*[A-Za-z0-9_-][A-Za-z0-9_.-]*$"  # of what a tenant names; together with 100 at most


def binary(description: str, *, may_be_empty: bool = False) -> Schema:
    """A part that holds a file."""
    return Schema(
        type=OpenAPIType.STRING,
        content_media_type="application/octet-stream",
        description=description,
        min_length=None if may_be_empty else 1,
    )


def text(description: str, *, example: str, pattern: str | None = None, most: int | None = None) -> Schema:
    """A part that holds text, of `most` characters at most."""
    return Schema(
        type=OpenAPIType.STRING,
        description=description,
        examples=[example],
        pattern=pattern,
        max_length=most,
    )


def one_of(kind: type[StrEnum], description: str, *, but: Collection[StrEnum] = ()) -> Schema:
    """A part that holds one of some words."""
    words = [word.value for word in kind if word not in but]
    return Schema(type=OpenAPIType.STRING, description=description, enum=words)


def form_body(
    parts: dict[str, Schema], *, required: list[str], alternatives: Sequence[str] = ()
) -> RequestBody:
    """A multipart form, with exactly one of the alternatives in it."""
    schema = Schema(
        type=OpenAPIType.OBJECT,
        properties=dict(parts),
        required=required,
        one_of=[Schema(required=[name]) for name in alternatives] or None,
        additional_properties=False,
    )
    return RequestBody(content={"multipart/form-data": OpenAPIMediaType(schema=schema)}, required=True)


def _upload_form() -> RequestBody:
    parts = {
        "file": binary(_FILE),
        "name": text(
            "The model's name: letters, digits, `_ - .`", example="iris_classifier", pattern=NAME, most=100
        ),
        "model_type": text(
            "What you say it is, until its content tells; may be left out.", example="sklearn"
        ),
        "description": text("What the model is for.", example="Species of iris by their measures"),
        "sample": binary(
            "Some rows as CSV or Parquet, where the model does not say what it takes.", may_be_empty=True
        ),
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


@dataclass
class BodyIfAny(Operation):
    """A body that may be left out, which Litestar describes as needed."""

    def __post_init__(self) -> None:
        if isinstance(self.request_body, RequestBody):
            self.request_body.required = False
