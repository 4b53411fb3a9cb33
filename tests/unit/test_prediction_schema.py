"""What the columns of a job's predictions are called."""

from typing import Any
from uuid import UUID

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from shared.catalog.verdict import Datatype, Output, Signature
from shared.jobs.errors import ColumnsDoNotFit, InvalidOption
from shared.jobs.further_outputs import further_outputs
from shared.jobs.job import FileFormat
from shared.jobs.order import Order
from tests.unit.signatures import iris
from workers.hosting.call import Prediction
from workers.jobs.batch import rows_a_batch
from workers.jobs.prediction_columns import prediction_columns
from workers.jobs.prediction_schema import prediction_schema

LABEL = Output(name="label", datatype=Datatype.BYTES)


def output(name: str, *shape: int, classes: list[Any] | None = None, datatype=Datatype.FP64) -> Output:
    return Output(name=name, datatype=datatype, shape=list(shape), classes=classes)


def signature(*further: Output, classes: list[Any] | None = None) -> Signature:
    return msgspec.structs.replace(iris(), outputs=[LABEL, *further], classes=classes)


def order(given: Signature, output_format: FileFormat = FileFormat.PARQUET) -> Order:
    return Order(
        job_id=UUID(int=1),
        input_key="in",
        input_format=FileFormat.CSV,
        output_format=output_format,
        output_columns=[],
        further_outputs=[output.name for output in given.outputs[1:]],
        version_id=UUID(int=2),
        artifact_key="model",
        signature=given,
    )


def names(*further: Output, classes: list[Any] | None = None, taken: tuple[str, ...] = ()) -> list[str]:
    return prediction_schema(order(signature(*further, classes=classes)), taken).names[1:]


@pytest.mark.parametrize(
    ("classes", "columns"),
    [
        (["a", "b,\n"], ["probability_a", "probability_b,\n"]),
        ([-1, 1], ["probability_-1", "probability_1"]),
        ([False, True], ["probability_False", "probability_True"]),
        ([0.0, 1.5], ["probability_0.0", "probability_1.5"]),
        (["1", 1], ["probability_1", "probability_1_"]),
        (["", None], ["probability_", "probability_None"]),
        (["x", "x_", "x"], ["probability_x", "probability_x_", "probability_x__"]),
        (None, ["probability_0", "probability_1"]),
        (["a", "b", "c"], ["probability_0", "probability_1"]),  # not one for each number
    ],
)
def test_probabilities_are_called_by_their_classes(classes: list[Any] | None, columns: list[str]):
    width = max(2, len(set(columns)))

    assert names(output("probabilities", width), classes=classes) == columns


@pytest.mark.parametrize(
    ("further", "columns"),
    [
        (output("probabilities_1", 2, classes=["no", "yes"]), ["probability_1_no", "probability_1_yes"]),
        (output("scores"), ["score"]),
        (output("scores", 2), ["score_u", "score_v"]),
        (output("scores", 3), ["score_0", "score_1", "score_2"]),
        (output("scores_of_mine", 2), ["scores_of_mine_0", "scores_of_mine_1"]),
        (output("lower"), ["lower"]),
        (output("heat", 3, 2), ["heat"]),
        (output("prediction"), ["prediction_"]),
    ],
)
def test_further_outputs_are_called_by_what_they_hold(further: Output, columns: list[str]):
    assert names(further, classes=["u", "v"]) == columns


def test_a_name_that_is_taken_gets_underscores():
    taken = ("score_u", "score_u_")

    assert names(output("scores", 2), output("score_v"), classes=["u", "v"], taken=taken) == [
        "score_u__",
        "score_v",
        "score_v_",
    ]


def test_arrays_are_not_written_as_csv():
    given = signature(output("heat", 3, 2))

    with pytest.raises(ColumnsDoNotFit, match="the output 'heat' has arrays of shape"):
        prediction_schema(order(given, FileFormat.CSV), ())


def test_each_output_fills_its_own_columns():
    given = signature(
        output("lower", datatype=Datatype.FP32), output("heat", 2, 2), output("probabilities", 2)
    )
    heat, probabilities = np.arange(8.0).reshape(2, 2, 2), np.array([[0.25, np.nan], [1.0, 0.0]])
    answered = {
        "probabilities": probabilities,
        "heat": heat,
        "lower": np.array([0.1, 7]),
        "label": ["a", None],
    }

    schema = prediction_schema(order(given), ())
    columns = prediction_columns(Prediction(outputs=answered, compute_ns=1), given.outputs, schema)

    table = pa.table(columns, schema=schema)
    assert table["prediction"].to_pylist() == ["a", None]
    assert table["lower"].to_pylist() == [np.float32(0.1), 7]
    assert table["heat"].to_pylist() == heat.tolist()
    np.testing.assert_array_equal(table["probability_1"], probabilities[:, 1])


def test_all_outputs_together_say_how_many_rows_make_a_batch():
    wide = [output("probabilities", 5_000), output("scores", 3_000), output("heat", 16, 12)]

    assert rows_a_batch(wide, 10_000) == 512


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("all", ["lower", "upper"]),
        ([], []),
        (["label"], []),
        (["upper", "label", "lower", "upper"], ["upper", "lower"]),
    ],
)
def test_what_is_asked_for_stands_beside_the_main_output_once(asked: Any, found: list[str]):
    assert further_outputs(asked, signature(output("lower"), output("upper"))) == found


def test_too_many_columns_are_refused():
    wide = signature(output("probabilities", 8_000), output("scores", 8_000))

    assert further_outputs(["scores"], wide) == ["scores"]
    with pytest.raises(InvalidOption, match="make 16,000 columns, and may make 10,000"):
        further_outputs("all", wide)
