"""Tables for the chart worlds: drawn from a seed, or cut out of real ones.

The splits share no table: a drawn table belongs to a split by its digest, a real one by its file.
"""

from __future__ import annotations

import csv
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np

from mmrl.errors import ConfigError
from mmrl.parse.tables import Table, table_of_columns, table_of_csv

REAL_TABLES = Path(__file__).resolve().parents[2] / "assets" / "charts"
"""The real tables of the repository, with their origins in NOTICE."""
LETTERS = "ABCDEFGHJK"
_SHARES: Mapping[str, tuple[int, int]] = MappingProxyType(
    {"train": (0, 80), "val": (80, 85), "test": (85, 100)}
)
"""Hundredths of all digests that belong to a split."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Topic:
    """What a table is about: names of its rows and of its series."""

    title: str
    key: str
    keys: tuple[str, ...]
    series: tuple[str, ...]
    ordered: bool = False
    """Whether rows follow each other in time, so that they may be cut but not shuffled."""
    top: float = 100.0
    """About the largest value."""


TOPICS: tuple[Topic, ...] = (
    Topic(
        title="Fruit sold (crates)",
        key="fruit",
        keys=("apple", "pear", "plum", "cherry", "grape", "melon", "fig", "lemon", "kiwi", "mango"),
        series=("north", "south", "east", "west"),
    ),
    Topic(
        title="Rainfall (mm)",
        key="month",
        keys=("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
        series=("coast", "hills", "plain", "island"),
        ordered=True,
    ),
    Topic(
        title="Visitors (thousands)",
        key="day",
        keys=("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
        series=("museum", "zoo", "park", "castle"),
        ordered=True,
        top=40.0,
    ),
    Topic(
        title="Goals scored",
        key="team",
        keys=("Reds", "Blues", "Hawks", "Lions", "Bears", "Wolves", "Rams", "Stags", "Foxes"),
        series=("spring", "summer", "autumn", "winter"),
        top=60.0,
    ),
    Topic(
        title="Power made (TWh)",
        key="year",
        keys=tuple(str(year) for year in range(2009, 2024)),
        series=("wind", "solar", "coal", "gas"),
        ordered=True,
        top=80.0,
    ),
    Topic(
        title="Books lent",
        key="subject",
        keys=("art", "law", "maths", "music", "physics", "history", "poetry", "travel", "cooking"),
        series=("adults", "pupils", "seniors", "guests"),
    ),
    Topic(
        title="Trains a day",
        key="station",
        keys=("Aston", "Brill", "Corby", "Diss", "Eden", "Frome", "Gosport", "Hove", "Ilford"),
        series=("2020", "2021", "2022", "2023"),
        top=90.0,
    ),
)


Rows = Literal["names", "ordered", "points"]
"""What rows are: things, steps in time, or points of x and y."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A table to draw, and what is known of it beside its cells."""

    table: Table
    """The first column names the rows, the others are series of numbers."""
    title: str
    rows: Rows


def brief_table(rng: np.random.Generator, split: str, rows: int, series: int) -> Source:
    """Rows A, B, C, … of one column `y`, or of p, q, …: whole numbers from 1 to 9."""
    names = ["y"] if series == 1 else list("pqrs"[:series])

    def draw() -> Source:
        values = {name: [int(v) for v in rng.integers(1, 10, rows)] for name in names}
        table = table_of_columns({"x": list(LETTERS[:rows]), **values})
        return Source(table=table, title="", rows="ordered")

    return of_split(split, draw)


def topic_table(
    rng: np.random.Generator,
    split: str,
    rows: int,
    series: int,
    *,
    of: Sequence[Rows] = ("names", "ordered"),
    decimals: bool = False,
) -> Source:
    """A table about one of `TOPICS`; `of` says what its rows should be."""
    fitting = [t for t in TOPICS if ("ordered" if t.ordered else "names") in of]

    def draw() -> Source:
        topic = fitting[int(rng.integers(len(fitting)))]
        keys = _some(rng, topic.keys, min(rows, len(topic.keys)), topic.ordered)
        names = _some(rng, topic.series, min(series, len(topic.series)), False)
        columns: dict[str, Sequence[object]] = {topic.key: keys}
        for name in names:
            values = _values(rng, len(keys), topic.top, topic.ordered)
            columns[name] = [round(v, 1) if decimals else float(round(v)) for v in values]
        rows_are: Rows = "ordered" if topic.ordered else "names"
        return Source(table=table_of_columns(columns), title=topic.title, rows=rows_are)

    return of_split(split, draw)


def points_table(rng: np.random.Generator, split: str, rows: int, top: int) -> Source:
    """Points of different whole x; most tables rise or fall clearly, some do neither."""

    def draw() -> Source:
        xs = np.sort(rng.choice(np.arange(1, top), rows, replace=False))
        slope = rng.choice([-1.0, 0.0, 1.0], p=[0.4, 0.2, 0.4])
        spread = 0.12 if slope else 0.3
        level = 0.5 + slope * (xs / top - 0.5) * 0.85
        ys = np.clip(np.rint(top * (level + rng.normal(0, spread, rows))), 1, top - 1)
        table = table_of_columns({"x": xs.tolist(), "y": ys.tolist()})
        return Source(table=table, title="", rows="points")

    return of_split(split, draw)


def belongs(split: str, table: Table) -> bool:
    """Whether a drawn table is of that split: 80 % of all are train, 5 % val, 15 % test."""
    low, high = _SHARES[split]
    return low <= zlib.crc32(repr(table.cells).encode()) % 100 < high


def real_table(
    rng: np.random.Generator,
    split: str,
    folder: Path,
    rows: int,
    series: tuple[int, int],
    *,
    of: Sequence[Rows] = ("names", "ordered"),
) -> Source:
    """At most `rows` rows and the fewest to the most `series`, cut out of a table of the split."""
    fitting = [
        entry.source
        for entry in real_tables(folder)
        if entry.split == split
        and entry.source.rows in of
        and len(entry.source.table.columns) > series[0]
    ]
    if not fitting:
        raise ConfigError(
            f'{folder}/tables.json: no table of split "{split}" with {series[0]} series whose rows '
            f"are {' or '.join(of)}"
        )
    source = fitting[int(rng.integers(len(fitting)))]
    table = source.table
    width = min(series[1], len(table.columns) - 1)
    picked = sorted(int(c) + 1 for c in rng.permutation(len(table.columns) - 1)[:width])
    names = row_names(table)
    kept = set(_some(rng, names, min(rows, len(names)), source.rows == "ordered"))
    indices = [r for r, name in enumerate(names) if name in kept]
    cells = tuple(tuple(table.cells[c][r] for r in indices) for c in (0, *picked))
    columns = (table.columns[0], *(table.columns[c] for c in picked))
    return Source(table=Table(columns, cells), title=source.title, rows=source.rows)


@dataclass(frozen=True, kw_only=True, slots=True)
class RealTable:
    """A table of a folder, with the split that may draw it."""

    source: Source
    split: str


@lru_cache(maxsize=8)
def real_tables(folder: Path) -> tuple[RealTable, ...]:
    """The tables that `tables.json` of a folder lists: file, title, split, ordered."""
    index = folder / "tables.json"
    if not index.is_file():
        raise ConfigError(
            f"{index}: no such file; real tables lie in a folder of CSV files with a tables.json "
            '(a list of {"file", "title", "split", "rows"}), as in assets/charts of the '
            "repository. Name it as `tables: <folder>`, or use `tables: drawn`"
        )
    found = []
    for entry in json.loads(index.read_text()):
        path = folder / str(entry["file"])
        try:
            table = table_of_csv(path.read_text())
        except (OSError, ValueError, csv.Error) as error:
            raise ConfigError(f"{path}: not a table: {error}") from None
        source = Source(table=table, title=str(entry["title"]), rows=entry["rows"])
        found.append(RealTable(source=source, split=str(entry["split"])))
    return tuple(found)


def row_names(table: Table) -> tuple[str, ...]:
    """The names of the rows as they are drawn and asked for: years without a point."""
    return tuple(
        str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
        for cell in table.cells[0]
    )


def of_split(split: str, draw: Callable[[], Source]) -> Source:
    """The first drawn table that belongs to the split."""
    for _ in range(5_000):
        source = draw()
        if belongs(split, source.table):
            return source
    raise ConfigError(f'no table of that size belongs to split "{split}"; ask for more rows')


def _some(rng: np.random.Generator, names: Sequence[str], count: int, ordered: bool) -> list[str]:
    """`count` of the names: a run of neighbours when `ordered`, else any, in their order."""
    if ordered:
        start = int(rng.integers(len(names) - count + 1))
        return list(names[start : start + count])
    return [names[i] for i in sorted(rng.permutation(len(names))[:count])]


def _values(rng: np.random.Generator, rows: int, top: float, ordered: bool) -> list[float]:
    """Numbers from a tenth of `top` to `top`; ordered ones walk, the others jump."""
    if not ordered:
        return [float(v) for v in rng.uniform(0.1 * top, top, rows)]
    steps = np.cumsum(rng.normal(rng.uniform(-0.12, 0.12), 0.16, rows))
    walk = rng.uniform(0.25, 0.75) + steps - steps.mean()
    return [float(v) for v in np.clip(walk, 0.08, 1.0) * top]
