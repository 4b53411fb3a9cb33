"""The same rows are the same to a model, or the same refusal, whatever format they come in."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from shared.catalog.verdict import Datatype, Layout, Signature
from shared.errors import CallerError
from shared.jobs.errors import UnreadableInput
from tests.fixtures.formats import Submitted, Table, call_of, offline, online, seen_by_model
from tests.unit.signatures import signature
from workers.host.protocol import Predict, encode
from workers.host.rows import RowReader

FLOATS = st.floats() | st.sampled_from([0.1, -0.0, 5e-324, 1.7976931348623157e308, 2.0**53 + 2])
WHOLE = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63)])
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=6) | st.sampled_from(
    ["", "NA", "null", "nan", "1", "true", "a,b", 'say "no"', "two\nlines", " padded "]
)
FITTING = {
    Datatype.FP64: FLOATS | st.none() | st.integers(-(2**53), 2**53),
    Datatype.FP32: st.floats(width=32) | st.none() | st.integers(-(2**24), 2**24),
    Datatype.BOOL: st.booleans() | st.none(),
    Datatype.BYTES: TEXTS | st.none(),
}
# What no format can hand to a model of the datatype.
UNFIT = {
    Datatype.FP64: st.just("many"),
    Datatype.FP32: st.sampled_from([1e39, -3.5e38, "many"]),
    Datatype.INT64: st.sampled_from([1.5, float("inf"), 2**63, -(2**63) - 1, 10**30, 2.0**60, "many"]),
    Datatype.BOOL: st.sampled_from([5, 0.5, "perhaps"]),
}


@st.composite
def rows_of(draw, datatype: Datatype, count: int) -> list[Any]:
    """Beside missing values, a model cannot be given whole numbers that a float cannot hold."""
    if datatype is not Datatype.INT64:
        return draw(st.lists(FITTING[datatype], min_size=count, max_size=count))
    gaps = st.integers(-(2**53), 2**53) | st.none()
    return draw(st.lists(draw(st.sampled_from([WHOLE, gaps])), min_size=count, max_size=count))


@st.composite
def tables(draw) -> tuple[Signature, Table]:
    layout = draw(st.sampled_from([Layout.MATRIX, Layout.TABLE]))
    kinds = [Datatype.FP64] if layout is Layout.MATRIX else list(Datatype)
    datatypes = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=4))
    names = draw(st.permutations(["a", "größe", "c d", "e.f"]))
    count = draw(st.integers(1, 5))
    columns = [draw(rows_of(datatype, count)) for datatype in datatypes]
    made = signature(dict(zip(names, datatypes, strict=False)), layout=layout)
    return made, [list(row) for row in zip(*columns, strict=True)]


def given_to_model(made: Signature, body) -> Any:
    call = call_of(made, body)
    source = b"".join(call.matrix) if call.matrix is not None else encode(call.columns)
    return read(made, "matrix" if call.matrix is not None else "columns", source, call.rows)


def given_by_job(made: Signature, submitted: Submitted) -> Any:
    [(call, area)] = submitted.calls
    return read(made, call.slot.kind, area, call.rows)


def read(made: Signature, kind: str, source: bytes, rows: int) -> Any:
    call = Predict(1, rows, ["label"], kind, 0, False, len(source), False, 0, 0)
    return seen_by_model(RowReader(made, frozenset()).read(call, memoryview(source)))


@settings(deadline=None, max_examples=150)
@given(tables())
def test_rows_that_fit_reach_the_model_bit_by_bit_the_same(sent):
    made, rows = sent

    seen = {name: given_by_job(made, way(rows)) for name, way in offline(made).items()}
    for name, way in online(made).items():
        body = way(rows)
        if body is not None:
            seen[name] = given_to_model(made, body)

    for name, columns in seen.items():
        assert columns == seen["JSON by name"], name


@settings(deadline=None, max_examples=150)
@given(tables(), st.data())
def test_a_value_that_does_not_fit_is_refused_in_every_format_and_its_column_named(sent, data):
    made, rows = sent
    at = data.draw(st.integers(0, len(made.inputs) - 1))
    assume(made.inputs[at].datatype in UNFIT)
    rows[data.draw(st.integers(0, len(rows) - 1))][at] = data.draw(UNFIT[made.inputs[at].datatype])
    column = made.inputs[at].name

    for name, way in {**offline(made), **online(made)}.items():
        if name == "V2 in binary":  # its tensors have types, which refuse for themselves
            continue
        with pytest.raises(CallerError) as refused:
            way(rows)
        error = refused.value
        named = error.column if isinstance(error, UnreadableInput) else error.errors[0].column
        assert named == column, name


def test_single_floats_are_the_nearest_to_what_was_sent():
    made = signature({"x": Datatype.FP32}, layout=Layout.TABLE)

    seen = given_to_model(made, online(made)["JSON by name"]([[0.1], [None], [float("inf")]]))

    assert seen == [("float32", np.array([0.1, np.nan, np.inf], np.float32).tobytes())]
