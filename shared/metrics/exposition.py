"""Metrics in the text format of Prometheus, version 0.0.4.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

import math
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Final

from shared.metrics.family import Family, Kind, Labels

MEDIA_TYPE: Final = "text/plain; version=0.0.4"  # and UTF-8


def exposition(families: Iterable[Family]) -> str:
    """The text."""
    return "".join(f"{line}\n" for family in families for line in _lines(family))


def _lines(family: Family) -> Iterator[str]:
    yield f"# HELP {family.name} {_escaped(family.help)}"
    yield f"# TYPE {family.name} {family.kind}"
    for labels, values in sorted(family.values.items()):
        yield from (
            _histogram(family, labels, values)
            if family.kind is Kind.HISTOGRAM
            else _single(family, labels, values)
        )


def _single(family: Family, labels: Labels, values: list[float]) -> Iterator[str]:
    yield f"{family.name}{_braced(family.labels, labels)} {_number(values[0])}"


def _histogram(family: Family, labels: Labels, values: list[float]) -> Iterator[str]:
    reached = accumulate(values[:-1])
    names = (*family.labels, "le")
    for bound, count in zip((*family.bounds, math.inf), reached, strict=True):
        yield f"{family.name}_bucket{_braced(names, (*labels, _number(bound)))} {_number(count)}"
    yield f"{family.name}_sum{_braced(family.labels, labels)} {_number(values[-1])}"
    yield f"{family.name}_count{_braced(family.labels, labels)} {_number(sum(values[:-1]))}"


def _braced(names: Labels, values: Labels) -> str:
    if not names:
        return ""
    pairs = (f'{name}="{_quotable(value)}"' for name, value in zip(names, values, strict=True))
    return f"{{{','.join(pairs)}}}"


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) else repr(value)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _quotable(text: str) -> str:
    return _escaped(text).replace('"', r"\"")
