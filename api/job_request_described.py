"""How the OpenAPI document describes a submission in JSON, which Litestar cannot see."""

from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Schema

from api.request_bodies_described import one_of, text
from shared.jobs.job import FileFormat, OnError, Priority
from shared.jobs.text_encoding import TextEncoding

URL = r"^([Hh][Tt][Tt][Pp][Ss]?|[Ss]3)://"
HOOK = r"^[Hh][Tt][Tt][Pp][Ss]?://"
SPAN = r"^[0-9]{1,9}(\.[0-9]{1,6})?[smhd]?$"

_EXAMPLE = {
    "model": "iris_classifier",
    "input": {"rows": [{"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}]},
    "output": {"format": "jsonl", "include": "none", "outputs": ["probabilities"]},
    "metadata": {"run": 7},
}


def json_submission() -> OpenAPIMediaType:
    """The body."""
    return OpenAPIMediaType(schema=submission_schema())


def submission_schema() -> Schema:
    """What it holds; its fields are those of `shared.jobs.json_request.JobRequest`."""
    properties: dict[str, Schema] = {
        "model": text("Id or name of the model.", example="iris_classifier"),
        "input": _input(),
        "version": Schema(
            type=OpenAPIType.INTEGER,
            minimum=1,
            description="Number of the version; the one that serves if left out.",
        ),
        "format": one_of(
            FileFormat, "What the input is, where that is a file; its bytes say so if left out."
        ),
        "encoding": one_of(TextEncoding, "Of its text, where that is a file."),
        "output": _output(),
        "on_error": one_of(OnError, "`fail` if left out."),
        "priority": one_of(Priority, "`normal` if left out."),
        "callback_url": text(
            "Told when the job has ended.", example="https://example.com/hooks", pattern=HOOK
        ),
        "events": _texts("What `callback_url` is told of beside the end: `job.progress`."),
        "metadata": Schema(
            type=OpenAPIType.OBJECT, description="Your own, given back with the job: 4096 bytes at most."
        ),
        "expires_after": text("How long the job may take, from `1s` to `30d`.", example="2h", pattern=SPAN),
    }
    schema = _object(properties, "As the form, with structure where the form has text.")
    schema.required, schema.examples = ["model", "input"], [_EXAMPLE]
    return schema


def _input() -> Schema:
    row = Schema(
        one_of=[Schema(type=OpenAPIType.OBJECT), Schema(type=OpenAPIType.ARRAY)],
        description="An object by column, or an array of values in the order of the model's columns.",
    )
    rows = Schema(type=OpenAPIType.ARRAY, items=row, min_items=1, description="The rows themselves.")
    properties = {
        "rows": rows,
        "url": text(
            "Where a file lies, `https://…` or `s3://bucket/key`: it is fetched from there.",
            example="https://example.com/flowers.parquet",
            pattern=URL,
        ),
        "upload_id": text("Id of a complete upload.", example="0198c1de-4a64-7c3a-9d3c-1f0e5a7c2b11"),
    }
    schema = _object(properties, "What is to be predicted: exactly one of these.")
    schema.min_properties = schema.max_properties = 1
    return schema


def _output() -> Schema:
    properties = {
        "format": one_of(FileFormat, "That of the input if left out.", but=[FileFormat.ARROW]),
        "include": Schema(
            one_of=[_words("all", "none"), _texts("Names of columns, each once.")],
            description="Input columns to carry into the output.",
        ),
        "outputs": Schema(
            one_of=[_words("all"), _texts("Names, as in the version's `signature.outputs`.")],
            description="Outputs of the model to write beside its prediction; none if left out.",
        ),
    }
    return _object(properties, "What is wanted of the output.")


def _texts(description: str) -> Schema:
    name = Schema(type=OpenAPIType.STRING, min_length=1)
    return Schema(type=OpenAPIType.ARRAY, items=name, description=description)


def _words(*words: str) -> Schema:
    return Schema(type=OpenAPIType.STRING, enum=words)


def _object(properties: dict[str, Schema], description: str) -> Schema:
    return Schema(
        type=OpenAPIType.OBJECT,
        properties={**properties},
        description=description,
        additional_properties=False,
    )
