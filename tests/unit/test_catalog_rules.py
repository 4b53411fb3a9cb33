"""Names of models, example requests, and pages."""

from uuid import UUID

import pytest

from api.paging import InvalidCursor, from_cursor, to_cursor, to_page
from shared.catalog.errors import InvalidModelName
from shared.catalog.naming import check_name
from shared.catalog.signature import example_request
from shared.catalog.verdict import Column, Datatype, Layout, Signature

SOME_ID = UUID("0192f0c1-2d3e-7abc-8def-0123456789ab")


@pytest.mark.parametrize("name", ["iris_classifier", "a", "v1.2-final", "1", "x" * 100, "upload"])
def test_names_of_letters_digits_and_three_marks_are_taken(name):
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "x" * 101,
        "iris classifier",
        "iris/classifier",
        "ïris",
        "iris\n",
        "a\x00b",
        ".",
        "..",
        str(SOME_ID),
        SOME_ID.hex,
        str(SOME_ID).upper(),
    ],
)
def test_other_names_are_refused(name):
    with pytest.raises(InvalidModelName):
        check_name(name)


def signature(*, named: bool) -> Signature:
    columns = [
        Column(name="age", datatype=Datatype.INT64, example=41),
        Column(name="city", datatype=Datatype.BYTES, example="Lyon"),
    ]
    return Signature(inputs=columns, named=named, layout=Layout.TABLE, outputs=[])


def test_an_example_names_the_columns_that_the_model_knows_by_name():
    assert example_request(signature(named=True)) == {"input": {"age": 41, "city": "Lyon"}}


def test_an_example_is_an_array_where_only_the_order_counts():
    assert example_request(signature(named=False)) == {"inputs": [[41, "Lyon"]]}


def test_a_page_ends_in_the_cursor_of_the_next():
    page = to_page([9, 8, 7], 2, item=str, cursor=lambda number: number)

    assert page.items == ["9", "8"]
    assert from_cursor(page.next_cursor, int) == 8


def test_the_last_page_has_no_cursor():
    assert to_page([9, 8], 2, item=str, cursor=lambda number: number).next_cursor is None


@pytest.mark.parametrize("position", [SOME_ID, 17])
def test_a_cursor_comes_back_as_it_went(position):
    assert from_cursor(to_cursor(position), type(position)) == position


@pytest.mark.parametrize(
    "text", ["?", "AAAA", "é", "x" * 1000, to_cursor(SOME_ID), "g" + "A" * 5, "A" * 5 + "B", ""]
)
def test_what_is_no_cursor_is_refused(text):
    with pytest.raises(InvalidCursor):
        from_cursor(text, int)
