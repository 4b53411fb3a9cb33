"""Rules of jobs that need no server: options, formats, columns."""

from uuid import UUID

import pytest

from api.byte_range import requested_range
from api.entity_tag import is_among
from shared.catalog.verdict import Column, Datatype, Layout, Output, Signature
from shared.errors import UnsupportedFormat
from shared.jobs.errors import ColumnsDoNotFit, InvalidOption
from shared.jobs.input_format import recognise
from shared.jobs.job import FileFormat
from shared.jobs.options import JobForm
from shared.jobs.order import Order
from workers.jobs.columns import use_columns
from workers.jobs.first_failing import first_failing


@pytest.mark.parametrize(
    ("include", "columns"),
    [
        ("all", None),
        ("none", []),
        ("a, b", ["a", "b"]),
        ('["a, b", "none"]', ["a, b", "none"]),
        ("[]", []),
    ],
)
def test_include_names_the_columns_to_carry(include: str, columns: list[str] | None):
    assert JobForm(model="m", include=include).columns() == columns


@pytest.mark.parametrize("include", ["", "a,,b", "a,a", "[1]", '["a"', "[''"])
def test_an_include_that_cannot_be_read_is_refused(include: str):
    with pytest.raises(InvalidOption, match="include"):
        JobForm(model="m", include=include).columns()


def test_a_format_is_told_by_content_and_not_by_name():
    assert recognise(b"PAR1\x15\x04", "rows.csv").format is FileFormat.PARQUET
    assert recognise(b"a,b\n1,2\n", "rows").format is FileFormat.CSV
    assert recognise(b'\xef\xbb\xbf\n{ "a": 1}', "rows.csv").format is FileFormat.JSONL
    with pytest.raises(UnsupportedFormat, match="zstd"):
        recognise(b"\x28\xb5\x2f\xfd", "rows.csv")


@pytest.mark.parametrize(
    ("head", "name", "says"),
    [
        (b'[\n {"a": 1}]', "rows.json", "a JSON array: write an object a line"),
        (b"a,b\n1,2\n", "rows.ndjson", "not JSON Lines.* though its name says so"),
    ],
)
def test_what_only_looks_like_json_lines_is_explained(head: bytes, name: str, says: str):
    with pytest.raises(UnsupportedFormat, match=says):
        recognise(head, name)


def test_what_the_sender_says_of_a_file_must_be_so():
    assert recognise(b'{"a"', "rows", format_=FileFormat.CSV).format is FileFormat.CSV
    with pytest.raises(UnsupportedFormat, match="not csv, as `format` says, but parquet"):
        recognise(b"PAR1", "rows", format_=FileFormat.CSV)
    with pytest.raises(UnsupportedFormat, match="not parquet, as `format` says, but jsonl"):
        recognise(b'{"a": 1}', "rows", format_=FileFormat.PARQUET)


def test_an_output_that_jobs_do_not_write_is_refused():
    assert JobForm(model="m").output(FileFormat.JSONL) is FileFormat.JSONL
    assert JobForm(model="m").output(FileFormat.ARROW) is FileFormat.PARQUET
    with pytest.raises(InvalidOption, match="output_format"):
        JobForm(model="m", output_format=FileFormat.ARROW).output(FileFormat.CSV)


def order(*names: str, named: bool = True, shape: list[int] | None = None, **changes) -> Order:
    signature = Signature(
        inputs=[Column(name=name, datatype=Datatype.FP64) for name in names],
        named=named,
        layout=Layout.MATRIX,
        outputs=[Output(name="label", datatype=Datatype.INT64, shape=shape or [])],
    )
    given = {"input_format": FileFormat.CSV, "output_format": FileFormat.CSV, "output_columns": None}
    return Order(
        job_id=UUID(int=1),
        input_key="in",
        version_id=UUID(int=2),
        artifact_key="model",
        signature=signature,
        **given | changes,
    )


def test_columns_feed_the_model_by_their_names():
    columns = use_columns(order("b", "a"), ["a", "x", "b"])

    assert columns.fed == [2, 0]
    assert columns.carried == [0, 1, 2]
    assert columns.predictions.names == ["prediction"]


def test_columns_feed_a_model_without_names_by_their_order():
    assert use_columns(order("x0", "x1", named=False), ["p", "q"]).fed == [0, 1]
    assert use_columns(order("x0", "x1", named=False), ["x1", "x0", "id"]).fed == [1, 0]


@pytest.mark.parametrize(
    ("wanted", "names", "says"),
    [
        (order("a", "b"), ["a", "c"], "lacks 'b'"),
        (order("a"), ["a", "a"], "more than one column 'a'"),
        (order("x0", "x1", named=False), ["p", "q", "r"], "takes 2 columns in the order"),
        (order("a", output_columns=["z"]), ["a"], "`include` names 'z'"),
    ],
)
def test_columns_that_do_not_fit_are_named(wanted: Order, names: list[str], says: str):
    with pytest.raises(ColumnsDoNotFit, match=says):
        use_columns(wanted, names)


def test_predictions_leave_the_names_of_the_input_alone():
    assert use_columns(order("a"), ["a", "prediction"]).predictions.names == ["prediction_"]
    assert use_columns(order("a", output_columns=[]), ["a", "prediction"]).predictions.names == ["prediction"]
    assert use_columns(order("a", shape=[2]), ["a"]).predictions.names == ["prediction_0", "prediction_1"]


@pytest.mark.parametrize("bad", [0, 1, 6, 7])
def test_the_first_row_that_spoils_a_batch_is_found(bad: int):
    assert first_failing(8, lambda rows: rows > bad) == bad


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("bytes=0-4", (0, 5)),
        ("bytes=5-", (5, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-30", (0, 10)),
        ("bytes=8-99", (8, 10)),
        ("bytes=5-2", None),
        ("bytes=-", None),
        ("bytes=0-1,4-5", None),
        ("rows=0-1", None),
    ],
)
def test_one_range_of_bytes_is_read_and_others_are_ignored(
    header: str | None, expected: tuple[int, int] | None
):
    """Section 14.2 of RFC 9110: a range that is not understood is ignored."""
    found = requested_range(header, 10)

    assert (found and (found.start, found.end)) == expected


def test_tags_are_compared_weakly():
    assert is_among('W/"a-1"', '"b", W/"a-1"')
    assert is_among('W/"a-1"', '"a-1"')
    assert is_among('"a"', "*")
    assert not is_among('"a"', None)
    assert not is_among('"a"', '"ab"')


@pytest.mark.parametrize(
    ("span", "seconds"),
    [(None, None), ("1", 1), (90, 90), ("90s", 90), ("1.5m", 90), (" 2 h", 7_200), ("30d", 2_592_000)],
)
def test_a_time_that_a_job_may_take_is_read(span: str | float | None, seconds: float | None):
    assert JobForm(model="m", expires_after=span).expires_after_s() == seconds


@pytest.mark.parametrize("span", ["", "0", "0.9s", "31d", "-5", "2 weeks", "1e3", "nan", "PT2H", "٣", 1e9])
def test_a_time_that_is_none_or_out_of_bounds_is_refused(span: str | float):
    with pytest.raises(InvalidOption, match="from one second to 30 days"):
        JobForm(model="m", expires_after=span).expires_after_s()
