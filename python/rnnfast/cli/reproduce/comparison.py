"""Published numbers beside measured ones: what counts as reproduced, the printed table, the JSON.

A comparison holds the published numbers as they were printed, so that the number of digits is part of the
target. Not here: any measured number, and how numbers are measured.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import Any, Protocol


class Bound(Protocol):
    """When a measured number counts as reproduced."""

    def holds(self, published: str, measured: float) -> bool:
        """Whether `measured` is good enough."""
        ...

    def __str__(self) -> str: ...


def band(text: str) -> tuple[float, float]:
    """Lower and upper end of a number as printed, "1,234.5", or of a band of numbers, "low–high"."""
    low, _, high = text.replace(",", "").rpartition("–")
    return float(low or high), float(high)


def number(text: str) -> float:
    """A number as printed; of a band its upper end."""
    return band(text)[1]


def printed_like(published: str, measured: float) -> str:
    """`measured` with the decimals and the thousands separators of `published`."""
    decimals = len(published.rpartition("–")[2].partition(".")[2])
    return f"{measured:{',' if ',' in published else ''}.{decimals}f}"


@dataclass(frozen=True)
class AllDigits:
    """Every printed digit is the same."""

    def holds(self, published: str, measured: float) -> bool:
        """Whether `measured`, rounded to the digits of `published`, reads the same."""
        return printed_like(published, measured) == published

    def __str__(self) -> str:
        return "all digits"


@dataclass(frozen=True)
class Within:
    """|measured − published| ≤ tolerance·published."""

    tolerance: float

    def holds(self, published: str, measured: float) -> bool:
        """Whether the relative difference is within the tolerance."""
        return abs(measured - number(published)) <= self.tolerance * number(published)

    def __str__(self) -> str:
        return f"within {self.tolerance:.0e}".replace("e-0", "e-")


@dataclass(frozen=True)
class AtMost:
    """measured ≤ factor·published and, where given, measured < below, which was measured as well."""

    factor: float
    below: float = math.inf
    below_name: str = ""

    def holds(self, published: str, measured: float) -> bool:
        """Whether `measured` is small enough; NaN is not."""
        return measured <= self.factor * number(published) and measured < self.below

    def __str__(self) -> str:
        limit = f", < {self.below_name}" if self.below < math.inf else ""
        return f"≤ {self.factor:g}× published{limit}"


@dataclass(frozen=True)
class Finite:
    """measured is a finite number: all that can be asked where none is published."""

    def holds(self, published: str, measured: float) -> bool:
        """Whether `measured` is neither NaN nor infinite."""
        return math.isfinite(measured)

    def __str__(self) -> str:
        return "finite"


@dataclass(frozen=True)
class Comparison:
    """One line of the table.

    Args:
        row: what was computed, for instance the model's name.
        quantity: which of its numbers.
        published: the numbers as printed by their author; empty where none are at hand.
        measured: the same numbers, just computed.
        bound: what they must fulfil, each.
        printed_as: numbers whose digits the measured ones are printed with; those published, if any are.
    """

    row: str
    quantity: str
    published: tuple[str, ...]
    measured: tuple[float, ...]
    bound: Bound
    printed_as: tuple[str, ...]

    def holds(self) -> bool:
        """Whether all numbers are within the bound."""
        return all(map(self.bound.holds, self.printed_as, self.measured))

    def published_text(self) -> str:
        """The published numbers, or that there are none."""
        return " ".join(self.published) or "not at hand"

    def measured_text(self) -> str:
        """The measured numbers, with as many digits as the published ones."""
        return " ".join(map(printed_like, self.printed_as, self.measured))

    def miss(self) -> str:
        """One line that says which bound was missed, for a comparison that does not hold."""
        return (
            f"{self.row}, {self.quantity}: measured {self.measured_text()}, "
            f"published {self.published_text()}, expected {self.bound}"
        )


@dataclass
class Report:
    """All comparisons of one published table.

    Args:
        name: of the table, for instance "ridership".
        source: who published the numbers, one line.
        facts: what else belongs into the JSON: seed, data file, threads.
    """

    name: str
    source: str
    facts: dict[str, Any] = field(default_factory=dict)
    comparisons: list[Comparison] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def add(
        self,
        row: str,
        quantity: str,
        published: tuple[str, ...],
        measured: tuple[float, ...],
        bound: Bound,
    ) -> None:
        """Add one comparison; see :class:`Comparison`."""
        self.comparisons.append(Comparison(row, quantity, published, measured, bound, printed_as=published))

    def add_unpublished(
        self, row: str, quantity: str, measured: tuple[float, ...], printed_as: tuple[str, ...]
    ) -> None:
        """Add measured numbers that have no published ones to be compared with; see :class:`Comparison`."""
        self.comparisons.append(Comparison(row, quantity, (), measured, Finite(), printed_as))

    def misses(self) -> list[str]:
        """One line for each comparison that does not hold."""
        return [comparison.miss() for comparison in self.comparisons if not comparison.holds()]

    def table(self) -> str:
        """The table as text: published beside measured."""
        header = ("row", "quantity", "published", "measured", "difference", "expected", "")
        lines = [header] + [
            (
                c.row,
                c.quantity,
                c.published_text(),
                c.measured_text(),
                _difference(c),
                str(c.bound),
                "ok" if c.holds() else "MISSED",
            )
            for c in self.comparisons
        ]
        widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
        text = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        ]
        text.insert(1, "-" * max(map(len, text)))
        times = ", ".join(f"{row} {seconds:.1f} s" for row, seconds in self.seconds.items())
        return "\n".join(
            [self.source, "", *text, "", f"time: {times}; {sum(self.seconds.values()):.1f} s in all"]
        )

    def to_json(self) -> str:
        """The same with all digits, as JSON."""
        rows = [
            {
                "row": c.row,
                "quantity": c.quantity,
                "published": [number(text) for text in c.published],
                "published_text": list(c.published),
                "measured": list(c.measured),
                "expected": str(c.bound),
                "holds": c.holds(),
            }
            for c in self.comparisons
        ]
        document = {
            "name": self.name,
            "source": self.source,
            **self.facts,
            "rows": rows,
            "seconds": self.seconds,
        }
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _difference(comparison: Comparison) -> str:
    """The largest relative difference, a shortfall negative; "none" where all printed digits agree; empty
    where nothing is published.
    """
    if not comparison.published:
        return ""
    if comparison.measured_text() == " ".join(comparison.published):
        return "none"
    differences = map(_relative_difference, comparison.published, comparison.measured)
    largest = max(differences, key=abs)
    if largest == 0:
        return "within"
    return f"{largest:+.1e}" if abs(largest) < 1e-3 else f"{largest:+.1%}"


def _relative_difference(published: str, measured: float) -> float:
    """To the nearest number of the published band; 0 inside it."""
    low, high = band(published)
    nearest = min(max(measured, low), high)
    return measured / nearest - 1
