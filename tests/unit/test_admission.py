import pytest

from shared.catalog.verdict import Contents, Import, Reason, Verdict
from workers.predict.admission import refusal_of, told_of

ALLOWED = Import(module="numpy", name="ndarray", standing="allowed")
UNKNOWN = Import(module="acme.models", name="Churn", standing="unknown")
DANGEROUS = Import(module="os", name="system", standing="dangerous")


def pickled(*imports: Import) -> Contents:
    return Contents(format="pickle", runtime="sklearn", imports=list(imports), imports_count=len(imports))


def code(reason: Reason | None) -> str | None:
    return reason.code if reason else None


@pytest.mark.parametrize(
    ("pickles", "imports", "refused"),
    [
        ("refused", [ALLOWED], "pickle_refused"),
        ("refused", [], "pickle_refused"),
        ("allowlisted", [ALLOWED], None),
        ("allowlisted", [UNKNOWN, ALLOWED], "import_not_allowed"),
        ("allowlisted", [DANGEROUS], "dangerous_import"),
        ("sandboxed", [UNKNOWN, ALLOWED], None),
        ("sandboxed", [DANGEROUS, ALLOWED], "dangerous_import"),
        ("any", [DANGEROUS, UNKNOWN], None),
    ],
)
def test_the_setting_says_which_pickles_are_opened(pickles, imports, refused):
    assert code(refusal_of(pickled(*imports), pickles)) == refused


@pytest.mark.parametrize(
    ("pickles", "refused"),
    [("refused", "code_refused"), ("allowlisted", "code_refused"), ("sandboxed", None), ("any", None)],
)
def test_code_that_no_import_tells_is_no_way_around_the_setting(pickles, refused):
    assert code(refusal_of(Contents(format="python", runtime="python", hides_code=True), pickles)) == refused


@pytest.mark.parametrize("pickles", ["refused", "allowlisted", "sandboxed", "any"])
def test_what_holds_no_pickle_is_opened_whatever_the_setting(pickles):
    assert refusal_of(Contents(format="onnx", runtime="onnx"), pickles) is None


def test_a_refusal_names_what_it_is_about():
    reason = refusal_of(pickled(DANGEROUS, UNKNOWN), "sandboxed")

    assert reason is not None
    assert "os.system" in reason.message
    assert "acme" not in reason.message


def test_names_that_are_let_in_all_the_same_are_warned_of():
    verdict = told_of(Verdict(status="ready", warnings=["last"]), pickled(DANGEROUS, UNKNOWN, ALLOWED))

    assert [warning.split(":")[-1].strip() for warning in verdict.warnings] == [
        "os.system.",
        "acme.models.Churn.",
        "last",
    ]
    assert verdict.imports == [DANGEROUS, UNKNOWN, ALLOWED]
    assert verdict.imports_count == 3
    assert verdict.format == "pickle"
