"""What is wrong with one of several files is told by its name, with both numbers of the row."""

from shared.jobs.errors import ColumnsDoNotFit, UnreadableInput
from workers.hosting.errors import HostTimedOut
from workers.jobs.faults import FatalRow, RowsRefused, job_error
from workers.jobs.file_errors import located


def test_a_row_has_its_number_among_all_and_in_its_file():
    error = UnreadableInput("'wide' is not a number", row=3, column="x")

    told = job_error(located(error, "b.csv", before=1000))

    assert (told.code, told.row, told.column) == ("unreadable_input", 1003, "x")
    assert told.message == "row 1003, column 'x': in 'b.csv' (its row 3): 'wide' is not a number"


def test_what_is_no_rows_fault_names_the_file_and_keeps_its_code():
    told = job_error(located(ColumnsDoNotFit("the file lacks 'x'", column="x"), "b.csv", before=0))

    assert (told.code, told.row, told.column) == ("columns_do_not_fit", None, "x")
    assert told.message == "in 'b.csv': the file lacks 'x'"


def test_errors_of_the_model_and_of_its_process_are_told_likewise():
    refused = job_error(located(RowsRefused("ValueError: no", row=0), "b.csv", before=7))
    ended = job_error(located(FatalRow(HostTimedOut(5.0), row=2), "b.csv", before=7))

    assert (refused.code, refused.row) == ("model_failed", 7)
    assert (ended.code, ended.row) == ("time_limit", 9)
    assert ended.message.startswith("row 9: in 'b.csv' (its row 2): ")
