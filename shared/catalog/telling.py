"""A verdict in sentences, for people."""

from collections import Counter
from collections.abc import Sequence

from shared.catalog.verdict import Engine, EnvironmentRef, Library, Signature, Verdict

_KIB, _MIB = 1024, 1024 * 1024
_WORTH_TELLING = 1.5  # times as fast
_STANDINGS = {
    "allowed": "that plain models of scikit-learn need",
    "unknown": "of other libraries or of its owner's code",
    "dangerous": "that can run or reach anything",
}


def told(verdict: Verdict) -> list[str]:
    """What was found, in the order in which it was found out."""
    sentences = [_what(verdict), _imports(verdict)]
    sentences += [_version(name, library) for name, library in verdict.libraries.items()]
    sentences += [_environment(verdict.environment), *_serving(verdict)]
    if verdict.reason is not None:
        sentences += [f"Rejected: {_ended(verdict.reason.message)}", _ended(verdict.reason.remedy)]
    return [sentence for sentence in sentences if sentence]


def _what(verdict: Verdict) -> str:
    if verdict.format is None:
        return ""
    unpacked = f", {_size(verdict.unpacked_bytes)} when unpacked" if verdict.unpacked_bytes else ""
    holds = f", which holds {_with_article(verdict.estimator)}" if verdict.estimator else ""
    return f"The file is of format {verdict.format}{unpacked}{holds}."


def _imports(verdict: Verdict) -> str:
    if not verdict.imports_count:
        return ""
    counts: Counter[str] = Counter(each.standing for each in verdict.imports)
    parts = [f"{counts[standing]} {meaning}" for standing, meaning in _STANDINGS.items() if counts[standing]]
    return f"Opening it imports {_counted(verdict.imports_count, 'name')}: {', '.join(parts)}."


def _version(name: str, library: Library) -> str:
    if library.installed is None:
        return f"It needs {name}, which is not installed here."
    if library.artifact is None:
        return ""
    if library.artifact == library.installed:
        return f"It was made with {name} {library.artifact}, and gets the same here."
    return f"It was made with {name} {library.artifact}; here it gets {library.installed}."


def _environment(environment: EnvironmentRef | None) -> str:
    """Of the platform's own there is nothing to say."""
    if environment is None or environment.id is None:
        return ""
    packages = [f"{name} {version}" for name, version in sorted(environment.packages.items())]
    return f"It is served in an environment of its own, with {_listed(packages)}."


def _serving(verdict: Verdict) -> list[str]:
    sentences = [] if verdict.signature is None else [_signature(verdict.signature)]
    if verdict.load_time_ms is not None and verdict.memory_bytes is not None:
        memory = _size(verdict.memory_bytes)
        sentences.append(f"Opening it took {verdict.load_time_ms:,.0f} ms and {memory} of memory.")
    if verdict.probe is not None:
        sentences.append(f"It answered a row in {verdict.probe.latency_us:,.0f} µs.")
    if verdict.engine is not None:
        sentences.append(_engine(verdict.engine))
    return sentences


def _engine(engine: Engine) -> str:
    if not engine.compiled:
        return "Real-time answers are computed by the model itself."
    speed_up = engine.speed_up.get("1", 0.0)
    faster = (
        f", which is {speed_up:,.0f} times as fast as the model itself" if speed_up >= _WORTH_TELLING else ""
    )
    return f"Real-time answers are computed by {engine.name}{faster}."


def _signature(signature: Signature) -> str:
    count = len(signature.inputs)
    how = " by name" if signature.named else " by their order" if count > 1 else ""
    outputs = _listed([output.name for output in signature.outputs])
    return f"It takes {_counted(count, 'column')}{how} and answers {outputs}."


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def _with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'AEIOUaeio' else 'a'} {noun}"


def _size(size_bytes: int) -> str:
    if size_bytes < _MIB:
        return f"{size_bytes / _KIB:,.0f} KiB"
    return f"{size_bytes / _MIB:,.1f} MiB"


def _ended(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
