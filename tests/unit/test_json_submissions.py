"""Submissions in JSON say what the form says, and rows become lines."""

import json

import msgspec
import pytest

from api.job_request_described import json_submission
from shared.errors import InvalidInput
from shared.jobs.json_request import PLACES, JobRequest, OutputWanted, read_request
from shared.jobs.options import JobForm
from shared.jobs.row_lines import json_lines, rows_digest
from shared.jobs.submission_mark import submission_digest


def raws(*rows: str) -> list[msgspec.Raw]:
    return [msgspec.Raw(row) for row in rows]


async def lines_of(*rows: str, names: tuple[str, ...] = ("a", 'quoted "b"')) -> list[bytes]:
    return b"".join([piece async for piece in json_lines(raws(*rows), names)]).splitlines()


def test_every_option_of_the_form_has_its_place_in_the_body():
    nested = {name for name, place in PLACES.items() if place.split("/")[2] in OutputWanted.__struct_fields__}

    assert set(JobRequest.__struct_fields__) - {"input", "output"} | nested == set(JobForm.__struct_fields__)


def test_the_document_describes_every_field():
    schema = json_submission().schema

    assert set(schema.properties) == set(JobRequest.__struct_fields__)
    assert set(schema.properties["output"].properties) == set(OutputWanted.__struct_fields__)
    assert read_request(json.dumps(schema.examples[0]).encode()).model == "iris_classifier"


def test_the_same_submission_is_the_same_form_through_both_doors():
    body = {
        "model": "m",
        "version": 3,
        "input": {"rows": [[1]]},
        "output": {"format": "csv", "include": ["a, b", "c"], "outputs": ["x, y"]},
        "on_error": "skip",
        "callback_url": "https://example.com",
        "events": ["job.progress"],
        "metadata": {"run": 7},
    }

    form = read_request(json.dumps(body).encode()).form()

    assert form.columns() == ["a, b", "c"]
    assert form.asked_outputs() == ["x, y"]
    assert form.tells_progress()
    assert form.labels() == {"run": 7}
    assert read_request(b'{"model": "m", "input": {"rows": [[1]]}}').form() == JobForm(model="m")


def test_an_error_says_where_in_the_body_it_is():
    with pytest.raises(InvalidInput) as caught:
        read_request(b'{"model": "m", "input": {"rows": []}}')

    assert caught.value.errors[0].pointer == "/input/rows"


async def test_arrays_become_objects_and_digits_stay():
    lines = await lines_of('[ 1.50,\n [12345678901234567890123, "x"] ]', '{"b":\r\n2}')

    assert lines == [b'{"a":1.50,"quoted \\"b\\"":[12345678901234567890123, "x"]}', b'{"b":  2}']


async def test_what_cannot_be_an_object_stands_as_it_is():
    assert await lines_of("[1]", "[1,2,3]", "[]", "null") == [b"[1]", b"[1,2,3]", b"[]", b"null"]


async def test_the_digest_of_rows_is_of_what_they_say():
    spelled = await rows_digest(raws('{"a": 1, "b": [2]}', "1e999"))

    assert await rows_digest(raws('{"b":[2],"a":1}', "1e999")) == spelled
    assert await rows_digest(raws('{"b":[2],"a":2}', "1e999")) != spelled
    assert await rows_digest(raws("1e999", '{"b":[2],"a":1}')) != spelled


def test_a_default_that_is_spelled_out_changes_no_digest():
    plain = submission_digest(JobForm(model="m"), {"file": "ab"})

    assert submission_digest(JobForm(model="m", include="all", version=None), {"file": "ab"}) == plain
    assert submission_digest(JobForm(model="m", include="none"), {"file": "ab"}) != plain
    assert submission_digest(JobForm(model="m"), {"file": "cd"}) != plain
