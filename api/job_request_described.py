"""How the OpenAPI document describes a submission in JSON, which Litestar cannot see."""

from litestar.openapi.spec import OpenAPIMediaType, OpenAPIType, Schema

from api.request_bodies_described import text

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
        "format": text(
            "What the input is, where that is a file; its bytes say so if left out.", example="csv"
        ),
        "encoding": text("Of its text: `utf-8`, `utf-16`, `latin-1` or `cp1252`.", example="cp1252"),
        "output": _output(),
        "on_error": text("`fail` (the default) or `skip`.", example="skip"),
        "priority": text("`high`, `normal` (the default) or `low`.", example="high"),
        "callback_url": text("Told when the job has ended.", example="https://example.com/hooks"),
        "events": _texts("What `callback_url` is told of beside the end: `job.progress`."),
        "metadata": _object({}, "Your own, given back with the job."),
        "expires_after": text("How long the job may take, from `1s` to `30d`.", example="2h"),
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
        ),
        "upload_id": text("Id of a complete upload.", example="0198c1de-4a64-7c3a-9d3c-1f0e5a7c2b11"),
    }
    return _object(properties, "What is to be predicted: exactly one of these.")


def _output() -> Schema:
    properties = {
        "format": text("`parquet`, `csv` or `jsonl`; that of the input if left out.", example="parquet"),
        "include": Schema(
            one_of=[text("`all` (the default) or `none`.", example="none"), _texts("Names of columns.")],
            description="Input columns to carry into the output.",
        ),
        "outputs": Schema(
            one_of=[text("`all`.", example="all"), _texts("Names, as in the version's `signature.outputs`.")],
            description="Outputs of the model to write beside its prediction; none if left out.",
        ),
    }
    return _object(properties, "What is wanted of the output.")


def _texts(description: str) -> Schema:
    return Schema(type=OpenAPIType.ARRAY, items=Schema(type=OpenAPIType.STRING), description=description)


def _object(properties: dict[str, Schema], description: str) -> Schema:
    return Schema(type=OpenAPIType.OBJECT, properties={**properties} or None, description=description)
