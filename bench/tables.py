"""What measurements print: Markdown."""

from collections.abc import Iterable, Sequence

import msgspec


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A figure and its bound."""

    what: str
    measured: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def is_met(self) -> bool:
        """Whether the figure is within its bound; one that could not be measured is not."""
        if self.at_least is not None:
            return self.measured >= self.at_least
        return self.at_most is not None and self.measured <= self.at_most

    @property
    def bound(self) -> str:
        """The bound in signs."""
        return f"≥ {self.at_least:,g}" if self.at_least is not None else f"≤ {self.at_most:,g}"


def print_table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table: words on the left, figures on the right."""
    print("| " + " | ".join(titles) + " |")
    print("|---|" + "---:|" * (len(titles) - 1))
    for row in rows:
        print("| " + " | ".join(_cell(value) for value in row) + " |")


def print_wanted(wanted: Iterable[Wanted]) -> None:
    """Print a table of figures and their bounds."""
    print()
    rows = [(one.what, one.measured, one.bound, "yes" if one.is_met else "**no**") for one in wanted]
    print_table(["", "measured", "wanted", "met"], rows)


def _cell(value: object) -> str:
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) else str(value)
    if value != value:  # noqa: PLR0124  what could not be measured
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.2f}"
