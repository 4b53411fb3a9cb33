"""Who is let in: what the operator allows of what reading an artifact told."""

from typing import Literal

import msgspec

from shared.catalog.verdict import Contents, EnvironmentRef, Import, Library, Reason, Verdict

Pickles = Literal["refused", "allowlisted", "sandboxed", "any"]

_PICKLED = frozenset({"joblib", "pickle"})
_SHOWN = 5  # names in one message
_REFUSED_STANDINGS: dict[Pickles, tuple[str, ...]] = {
    "allowlisted": ("dangerous", "unknown"),
    "sandboxed": ("dangerous",),
    "any": (),
}


def refusal_of(contents: Contents, pickles: Pickles) -> Reason | None:
    """Why the artifact is not opened; None where it may be.

    Args:
        pickles: the operator's setting.
    """
    if pickles in ("refused", "allowlisted") and contents.hides_code:
        return _code_refused(contents)
    if pickles == "refused":
        return _pickle_refused(contents) if contents.imports_count or contents.format in _PICKLED else None
    refused = [name for name in contents.imports if name.standing in _REFUSED_STANDINGS[pickles]]
    if any(name.standing == "dangerous" for name in refused):
        return _dangerous(refused)
    return _not_allowed(refused) if refused else None


def told_of(verdict: Verdict, contents: Contents) -> Verdict:
    """The verdict, with what reading the artifact told."""
    return msgspec.structs.replace(
        verdict,
        format=verdict.format or contents.format,
        runtime=verdict.runtime or contents.runtime,
        unpacked_bytes=contents.unpacked_bytes,
        imports=contents.imports,
        imports_count=contents.imports_count,
        libraries=_as_served(contents.libraries | verdict.libraries, verdict.environment),
        warnings=[*contents.warnings, *_warnings(verdict, contents.imports), *verdict.warnings],
    )


def _as_served(libraries: dict[str, Library], environment: EnvironmentRef | None) -> dict[str, Library]:
    """What reading looked for beside the platform's libraries, as it is in the version's environment."""
    there = {} if environment is None else environment.packages
    return {
        name: msgspec.structs.replace(
            library, installed=there.get(name) or there.get(f"{name}-cpu") or library.installed
        )
        for name, library in libraries.items()
    }


def _warnings(verdict: Verdict, imports: list[Import]) -> list[str]:
    """Names that were let in all the same."""
    if verdict.status != "ready":
        return []
    warnings = []
    for standing, what in (
        ("dangerous", "can run or reach whatever it is told to; the operator allows that here"),
        ("unknown", "is not on the list of what models of scikit-learn need; it was opened all the same"),
    ):
        names = [name for name in imports if name.standing == standing]
        if names:
            warnings.append(f"The pickle imports what {what}: {_names(names)}.")
    return warnings


def _pickle_refused(contents: Contents) -> Reason:
    return Reason(
        code="pickle_refused",
        message=f"The file is a pickle ({contents.format}), and this platform opens none.",
        remedy="Upload the model as ONNX, skops, or in the own format of its library.",
    )


def _code_refused(contents: Contents) -> Reason:
    return Reason(
        code="code_refused",
        message=f"A file of this kind ({contents.format}) brings code that nobody can list beforehand, and "
        "this platform opens none such.",
        remedy="Upload the model as ONNX, TorchScript or SavedModel, or in the own format of its library.",
    )


def _dangerous(imports: list[Import]) -> Reason:
    names = [name for name in imports if name.standing == "dangerous"]
    return Reason(
        code="dangerous_import",
        message=f"Opening the pickle would run what no model needs: {_names(names)}.",
        remedy="Save the fitted estimator itself, without such functions. If you did not make this file, do "
        "not open it on your machine.",
    )


def _not_allowed(imports: list[Import]) -> Reason:
    return Reason(
        code="import_not_allowed",
        message=f"The pickle imports what is not on this platform's list: {_names(imports)}.",
        remedy="Use scikit-learn's own estimators, upload the model as ONNX or skops, or ask the operator to "
        "allow other pickles.",
    )


def _names(imports: list[Import]) -> str:
    shown = ", ".join(f"{name.module}.{name.name}" for name in imports[:_SHOWN])
    return f"{shown} and {len(imports) - _SHOWN} more" if len(imports) > _SHOWN else shown
