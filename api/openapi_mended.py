"""What Litestar's OpenAPI document says of every route and is not so, said as it is."""

from collections.abc import Iterator
from dataclasses import fields, replace

from litestar.openapi.spec import (
    OpenAPI,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Parameter,
    PathItem,
    Reference,
    Schema,
)

_WITHOUT_BODY = ("204", "304", "307")


def mend(document: OpenAPI) -> None:
    """Answers without a body have none, and no parameter is null: it is left out."""
    for item in (document.paths or {}).values():
        for operation in operations_of(item):
            for status, answer in (operation.responses or {}).items():
                if isinstance(answer, OpenAPIResponse) and (
                    operation is item.head or status in _WITHOUT_BODY
                ):
                    answer.content = None
            for parameter in operation.parameters or ():
                if isinstance(parameter, Parameter) and isinstance(parameter.schema, Schema):
                    parameter.schema = _without_null(parameter.schema)


def operations_of(item: PathItem) -> Iterator[Operation]:
    """Those that the address takes."""
    for operation in (item.get, item.put, item.post, item.delete, item.head, item.patch):
        if operation is not None:
            yield operation


def _without_null(schema: Schema) -> Schema:
    if schema.type == [OpenAPIType.NULL, OpenAPIType.STRING] and schema.enum:
        words = [word for word in schema.enum if word is not None]
        return replace(schema, type=OpenAPIType.STRING, enum=words)
    kinds = [kind for kind in schema.one_of or () if not _is_null(kind)]
    if len(kinds) != 1:
        return schema
    return _joined(replace(schema, one_of=None), kinds[0])


def _joined(schema: Schema, kind: Schema | Reference) -> Schema:
    """One schema that says what both say."""
    if isinstance(kind, Reference):
        return replace(schema, all_of=[kind])
    said = {field.name: getattr(schema, field.name) for field in fields(schema)}
    return replace(kind, **{name: value for name, value in said.items() if value is not None})


def _is_null(kind: Schema | Reference) -> bool:
    return isinstance(kind, Schema) and kind.type == OpenAPIType.NULL
