"""A verdict in sentences, for people."""

from collections import Counter

from shared.catalog.verdict import Signature, Verdict

_KIB, _MIB = 1024, 1024 * 1024
_STANDINGS = {
    "allowed": "are what plain models of scikit-learn need",
    "unknown": "are not on that list",
    "dangerous": "can run or reach whatever they are told to",
}


def told(verdict: Verdict) -> list[str]:
    """What was found, in the order in which it was found out."""
    sentences = [_what(verdict), _imports(verdict), *_versions(verdict), *_serving(verdict)]
    if verdict.reason is not None:
        sentences += [f"Rejected: {_ended(verdict.reason.message)}", _ended(verdict.reason.remedy)]
    return [sentence for sentence in sentences if sentence]


def _what(verdict: Verdict) -> str:
    if verdict.format is None:
        return ""
    unpacked = f", {_size(verdict.unpacked_bytes)} when unpacked" if verdict.unpacked_bytes else ""
    holds = f", which holds a {verdict.estimator}" if verdict.estimator else ""
    return f"The file is of format {verdict.format}{unpacked}{holds}."


def _imports(verdict: Verdict) -> str:
    if not verdict.imports_count:
        return ""
    counts: Counter[str] = Counter(each.standing for each in verdict.imports)
    parts = [f"{counts[standing]} {meaning}" for standing, meaning in _STANDINGS.items() if counts[standing]]
    return f"To open it takes {verdict.imports_count} imports: {', '.join(parts)}."


def _versions(verdict: Verdict) -> list[str]:
    sentences = []
    for name, library in verdict.libraries.items():
        if library.installed is None:
            sentences.append(f"It needs {name}, which is not installed here.")
        elif library.artifact == library.installed:
            sentences.append(f"It was made with {name} {library.artifact}, which is what is installed here.")
        elif library.artifact is not None:
            sentences.append(f"It was made with {name} {library.artifact}; here is {library.installed}.")
    return sentences


def _serving(verdict: Verdict) -> list[str]:
    sentences = [] if verdict.signature is None else [_signature(verdict.signature)]
    if verdict.load_time_ms is not None and verdict.memory_bytes is not None:
        memory = _size(verdict.memory_bytes)
        sentences.append(f"Opening it took {verdict.load_time_ms:,.0f} ms and {memory} of memory.")
    if verdict.probe is not None:
        sentences.append(f"It answered a row in {verdict.probe.latency_us:,.0f} µs.")
    if verdict.engine is not None:
        sentences.append(f"Real-time answers are computed by {verdict.engine.name}.")
    return sentences


def _signature(signature: Signature) -> str:
    count = len(signature.inputs)
    columns = f"{count} column{'' if count == 1 else 's'}"
    how = " by name" if signature.named else " by their order" if count > 1 else ""
    outputs = " and ".join(output.name for output in signature.outputs)
    return f"It takes {columns}{how} and answers {outputs}."


def _size(size_bytes: int) -> str:
    if size_bytes < _MIB:
        return f"{size_bytes / _KIB:,.0f} KiB"
    return f"{size_bytes / _MIB:,.1f} MiB"


def _ended(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
