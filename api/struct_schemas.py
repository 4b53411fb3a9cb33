"""How the OpenAPI document describes structs: as msgspec does, which also reads and writes them.

Litestar has descriptions of its own, which leave out what is asked of the items of a list, a least value of
0, and that fields which there are not are refused.

A struct says what its fields cannot in keywords of JSON Schema, as its class variable `JSON_SCHEMA`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from inspect import cleandoc
from typing import Any, Final, cast

import msgspec
from litestar._openapi.schema_generation import SchemaCreator
from litestar.openapi.spec import OpenAPI, Schema
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition
from msgspec import inspect

REFERENCE: Final = "#/components/schemas/{name}"
SAID_BESIDE: Final = "JSON_SCHEMA"

_ATTRIBUTES: Final = {field.metadata.get("alias", field.name): field.name for field in fields(Schema)}


class StructSchemas(OpenAPISchemaPlugin):
    """Describes every struct that a route takes or answers.

    What these refer to is not among Litestar's schemas: `add_missing` adds that to the document.
    """

    def __init__(self) -> None:
        self._kinds: list[Any] = []

    @staticmethod
    def is_plugin_supported_field(field_definition: FieldDefinition) -> bool:
        """Whether it is a struct, of a kind or of any."""
        return not field_definition.is_union and field_definition.is_subclass_of(msgspec.Struct)

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: SchemaCreator) -> Schema:
        """The schema of a struct, which becomes one of the components."""
        kind = field_definition.annotation
        self._kinds.append(kind)
        schema = schema_creator.schema_registry.get_schema_for_field_definition(field_definition)
        for keyword, value in _described_alone(kind).items():
            setattr(schema, _ATTRIBUTES[keyword], value)
        return schema

    def add_missing(self, document: OpenAPI) -> None:
        """Give the document every schema that those of the structs refer to."""
        add_schemas(document, self._kinds)


def add_schemas(document: OpenAPI, kinds: Sequence[Any]) -> None:
    """Give the document the schemas of these and of what they refer to, but for those it has."""
    _, schemas = _described(kinds)
    present = document.components.schemas
    known = {schema.title for schema in present.values() if hasattr(schema, "title")}
    for name, schema in schemas.items():
        if schema["title"] in known:  # of any kind, such as Page[JobView], which Litestar names otherwise
            continue
        # Litestar passes plain objects on as they are.
        present.setdefault(name, cast("Schema", schema))


def _described_alone(kind: Any) -> dict[str, Any]:
    (reference,), schemas = _described([kind])
    alone: dict[str, Any] = schemas[reference["$ref"].rpartition("/")[2]]
    return alone


def _described(kinds: Sequence[Any]) -> tuple[tuple[dict[str, Any], ...], dict[str, Any]]:
    references, schemas = msgspec.json.schema_components(kinds, ref_template=REFERENCE)
    for struct in _structs(inspect.multi_type_info(kinds), set()):
        if (schema := schemas.get(struct.cls.__name__)) is not None:
            schema.update(getattr(struct.cls, SAID_BESIDE, {}))
            _say_of_fields(schema, struct)
    for schema in schemas.values():
        if "description" in schema:
            schema["description"] = cleandoc(schema["description"])
    return references, schemas


def _structs(found: Sequence[Any], seen: set[type]) -> Iterator[inspect.StructType]:
    """Every struct that these types are made of."""
    for part in found:
        if isinstance(part, inspect.StructType):
            if part.cls in seen:
                continue
            seen.add(part.cls)
            yield part
        if isinstance(part, inspect.Type | inspect.Field):
            yield from _structs([getattr(part, name) for name in part.__struct_fields__], seen)
        elif isinstance(part, tuple):
            yield from _structs(part, seen)


def _say_of_fields(schema: dict[str, Any], struct: inspect.StructType) -> None:
    """Mend what msgspec says of times, which have a zone here, and of sets, which it takes as lists."""
    for field in struct.fields:
        said = schema["properties"][field.encode_name]
        for form in (said, *said.get("anyOf", ())):
            form.pop("uniqueItems", None)
            if form.get("type") == "string" and _is_time(field.type):
                form["format"] = "date-time"


def _is_time(kind: inspect.Type) -> bool:
    kinds = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    bare = [each.type if isinstance(each, inspect.Metadata) else each for each in kinds]
    return any(isinstance(each, inspect.DateTimeType) for each in bare)
