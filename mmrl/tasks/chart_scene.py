"""A chart before it is drawn: its kind, its table and how it looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Literal

import numpy as np

from mmrl.tasks.chart_canvas import Rgb
from mmrl.tasks.chart_tables import Source, row_names

Kind = Literal["bar", "line", "scatter", "pie", "grouped", "stacked"]
GRID_TICKS = (1.0, 3.0, 5.0, 7.0, 9.0)
"""Of charts on cells: they stand in the middle of theirs."""
KINDS: tuple[Kind, ...] = ("bar", "line", "scatter", "pie", "grouped", "stacked")
INKS: Mapping[str, Rgb] = MappingProxyType(
    {
        "red": (214, 39, 40),
        "blue": (31, 99, 200),
        "green": (36, 150, 60),
        "orange": (245, 140, 20),
        "purple": (130, 70, 180),
        "brown": (125, 75, 45),
        "pink": (235, 120, 190),
        "grey": (120, 120, 120),
        "black": (20, 20, 20),
        "cyan": (30, 185, 205),
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What a chart's table does not say."""

    colours: tuple[str, ...]
    """Of each row (bars and slices of one series) or of each series."""
    values: bool
    """Whether marks carry their numbers."""
    axis: bool
    """Whether the value axis has ticks and numbers."""
    special: int | None
    """The bar that is hatched, or the line that is dashed."""
    legend: Literal["left", "right"]
    """Side of the legend, where several series need one."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A chart: kind, source and look, with the short cuts that questions and drawing share."""

    kind: Kind
    source: Source
    look: Look
    grid: bool = False
    """Whether it is drawn on cells, with ticks of its own (`chart_grid`)."""

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the rows; of points, their x."""
        return row_names(self.source.table)

    @property
    def key(self) -> str:
        return self.source.table.columns[0]

    @property
    def series(self) -> tuple[str, ...]:
        return self.source.table.columns[1:]

    @cached_property
    def values(self) -> tuple[tuple[float, ...], ...]:
        """`values[s][r]`, the number of series s in row r."""
        columns = self.source.table.cells[1:]
        return tuple(tuple(v for v in c if isinstance(v, float)) for c in columns)

    @cached_property
    def places(self) -> tuple[float, ...]:
        """x of each row: of points their own, else 0, 1, 2, …"""
        if self.kind == "scatter":
            return tuple(v for v in self.source.table.cells[0] if isinstance(v, float))
        return tuple(float(i) for i in range(len(self.names)))

    @cached_property
    def heights(self) -> tuple[float, ...]:
        """What marks reach: totals of stacked bars, else all numbers."""
        if self.kind == "stacked":
            return tuple(sum(column) for column in zip(*self.values, strict=True))
        return tuple(v for column in self.values for v in column)

    @cached_property
    def ticks(self) -> tuple[float, ...]:
        """Numbers on the value axis, its ends included."""
        if self.grid:
            return GRID_TICKS
        low, high = min(self.heights), max(self.heights)
        from_zero = self.kind not in ("line", "scatter") or low <= 0.6 * high
        return nice_ticks(0.0 if from_zero else low, high)

    @cached_property
    def x_ticks(self) -> tuple[float, ...]:
        """Numbers on the x axis of points, from 0 where they begin near it."""
        low, high = min(self.places), max(self.places)
        return nice_ticks(0.0 if low <= 0.6 * high else low, high)

    @property
    def gap(self) -> float:
        """Difference of two numbers that can be seen; with numbers on the marks, any."""
        if self.kind == "pie":
            return 0.0 if self.look.values else 0.04 * sum(self.values[0])
        return 0.0 if self.look.values else 0.05 * (self.ticks[-1] - self.ticks[0])

    @property
    def by_row(self) -> bool:
        """Whether colours belong to rows instead of series."""
        return self.kind in ("bar", "pie")


def nice_ticks(low: float, high: float, most: int = 6) -> tuple[float, ...]:
    """At most `most` steps of 1, 2 or 5 · 10ⁿ from at most `low` to at least `high`.

    >>> nice_ticks(0, 9)
    (0.0, 2.0, 4.0, 6.0, 8.0, 10.0)
    """
    span = max(high - low, 1e-9)
    scale = 10.0 ** np.floor(np.log10(span / most))
    for factor in (1.0, 2.0, 5.0, 10.0, 20.0):
        step = float(scale * factor)
        first, last = np.floor(low / step + 1e-9), np.ceil(high / step - 1e-9)
        last = max(last, first + 1)
        if last - first <= most:
            break
    return tuple(round(float(i * step), 10) for i in np.arange(first, last + 1))


def draw_look(
    rng: np.random.Generator,
    kind: Kind,
    marks: int,
    *,
    values: bool,
    axis: bool = True,
    special: bool = False,
    plain: bool = False,
    inks: Sequence[str] = tuple(INKS),
) -> Look:
    """Colours for `marks` rows or series and where the rest stands.

    `plain` gives all bars one colour; `special` marks one of them.
    """
    names = [str(n) for n in rng.permutation(list(inks))[: max(1, marks)]]
    colours = names[:1] * marks if plain and kind == "bar" else names
    return Look(
        colours=tuple(colours),
        values=values,
        axis=axis,
        special=int(rng.integers(marks)) if special else None,
        legend="left" if rng.integers(2) else "right",
    )
