"""The chart world: a seed's number to a table, a look, a picture and a question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import get_args

import numpy as np

from mmrl.errors import ConfigError, nearest
from mmrl.parse.tables import csv_of_table, number_of_text
from mmrl.tasks.chart_draw import chart_marks, draw_chart, values_fit
from mmrl.tasks.chart_grid import GRID_INKS, GRID_KINDS, check_grid, grid_fits, grid_table
from mmrl.tasks.chart_looks import LOOKS_OF, WITHOUT_AXIS, special
from mmrl.tasks.chart_questions import Asked, ask_table
from mmrl.tasks.chart_scene import INKS, KINDS, Kind, Scene, draw_look
from mmrl.tasks.chart_tables import (
    REAL_TABLES,
    Rows,
    Source,
    brief_table,
    points_table,
    real_table,
    topic_table,
)
from mmrl.tasks.drawing import generator, png_bytes
from mmrl.types import MediaRef, Sample

ATTEMPTS = 60
"""Charts that are tried before a level is called impossible."""
_ROWS_OF: Mapping[Kind, tuple[Rows, ...]] = MappingProxyType(
    {"scatter": ("points",), "line": ("ordered",), "pie": ("names",)}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Level:
    """How hard a chart is to read and its question to answer."""

    rows: tuple[int, int]
    """Fewest and most rows; points have two more."""
    series: tuple[int, int]
    """Fewest and most series of lines, grouped and stacked bars (these have at least two)."""
    labels: float
    """Share of charts whose marks carry their numbers."""
    depths: tuple[int, ...]
    """Of the questions that a table answers."""
    side: int
    """Pixels of the picture."""
    decimals: bool = False
    letters: bool = False
    """Rows A, B, C and numbers from 1 to 9 instead of words and larger numbers."""
    grid: bool = False
    """Drawn on a grid of cells (`chart_grid`), with letters."""


LEVELS: Mapping[str, Level] = MappingProxyType(
    {
        "tiny": Level(
            rows=(2, 4),
            series=(1, 1),
            labels=0.7,
            depths=(1, 2, 3),
            side=168,
            letters=True,
            grid=True,
        ),
        "easy": Level(
            rows=(3, 4), series=(1, 2), labels=0.5, depths=(1, 2), side=224, letters=True
        ),
        "medium": Level(rows=(4, 6), series=(1, 3), labels=0.5, depths=(1, 2, 3), side=336),
        "hard": Level(
            rows=(6, 9), series=(2, 4), labels=0.25, depths=(2, 3, 4), side=448, decimals=True
        ),
    }
)


@dataclass(frozen=True, kw_only=True)
class ChartWorld:
    """Draws charts with a question; `brief` asks in a few words."""

    task: str
    brief: bool = False

    def __call__(
        self,
        index: int,
        /,
        *,
        split: str,
        seed: int,
        level: str = "easy",
        kinds: Sequence[str] = KINDS,
        low: float = 0.4,
        rows: Sequence[int] | None = None,
        series: Sequence[int] | None = None,
        labels: float | None = None,
        depths: Sequence[int] | None = None,
        side: int | None = None,
        tables: str = "drawn",
        marks: bool = False,
    ) -> Sample:
        """`low` is the share of low programmability; what is None is the level's.

        `tables` is `drawn`, `real` (those of the repository) or a folder of tables; `marks` puts
        what can be seen, with its place, into `meta["marks"]` (`chart_marks`).
        """
        if level not in LEVELS:
            raise ConfigError(f'no level "{level}".{nearest(level, LEVELS)}')
        wanted = LEVELS[level]
        wanted = replace(
            wanted,
            rows=_pair(rows) or wanted.rows,
            series=_pair(series) or wanted.series,
            labels=wanted.labels if labels is None else labels,
            depths=tuple(depths) if depths else wanted.depths,
            side=side or wanted.side,
        )
        rng = generator("chart", split, seed, index)
        chosen = _kinds(kinds)
        if wanted.grid:
            chosen = tuple(kind for kind in chosen if kind in GRID_KINDS)
            check_grid(chosen, wanted.rows, wanted.series, tables)
        scene, asked = draw_question(rng, split, wanted, chosen, low, tables)
        close = scene.look.values or wanted.letters
        return Sample(
            id=f"{self.task}-{split}-{seed}-{index}",
            task=self.task,
            question=asked.brief if self.brief else asked.text,
            media=(MediaRef(kind="image", data=png_bytes(draw_chart(scene, wanted.side))),),
            target=asked.answer,
            meta={
                "programmable": "high" if asked.high else "low",
                "csv_gt": csv_of_table(scene.source.table),
                "tolerance": _tolerance(scene, asked, close),
                "chart": scene.kind,
                "about": asked.about,
                "depth": asked.depth,
                "split": split,
                **({"marks": chart_marks(scene, wanted.side)} if marks else {}),
            },
        )


def draw_question(
    rng: np.random.Generator,
    split: str,
    level: Level,
    kinds: Sequence[Kind],
    low: float,
    tables: str = "drawn",
) -> tuple[Scene, Asked]:
    """A chart and a question whose answer can be seen on it."""
    find = _low_question if rng.random() < low else _high_question
    for _ in range(ATTEMPTS):
        kind = kinds[int(rng.integers(len(kinds)))]
        source = _source(rng, split, level, kind, tables)
        found = find(rng, level, kind, source)
        if found is not None:
            return found
    raise ConfigError(
        f"no question of depths {list(level.depths)} fits {', '.join(kinds)} with {level.rows} "
        "rows; allow more depths, kinds or rows"
    )


def _source(rng: np.random.Generator, split: str, level: Level, kind: Kind, tables: str) -> Source:
    rows = int(rng.integers(level.rows[0], level.rows[1] + 1))
    series = int(rng.integers(level.series[0], level.series[1] + 1))
    series = 1 if kind in ("bar", "scatter", "pie") else series
    series = max(2, series) if kind in ("grouped", "stacked") else series
    if level.grid:
        return grid_table(rng, split, kind, min(rows + 1, 5) if kind == "scatter" else rows)
    of = _ROWS_OF.get(kind, ("names", "ordered"))
    if tables != "drawn":
        folder = REAL_TABLES if tables == "real" else Path(tables).expanduser()
        rows += 2 if kind == "scatter" else 0
        fewest = 2 if kind in ("grouped", "stacked") else 1
        return real_table(rng, split, folder, rows, (fewest, series), of=of)
    if kind == "scatter":
        return points_table(rng, split, rows + 2, 10 if level.letters else 50)
    if level.letters:
        return brief_table(rng, split, rows, series)
    return topic_table(rng, split, rows, series, of=of, decimals=level.decimals)


def _high_question(
    rng: np.random.Generator, level: Level, kind: Kind, source: Source
) -> tuple[Scene, Asked] | None:
    scene = Scene(
        kind=kind,
        source=source,
        look=draw_look(
            rng,
            kind,
            _marks(kind, source),
            values=bool(rng.random() < level.labels) or kind == "pie",
            special=kind in ("bar", "line") and rng.random() < 0.2,
            plain=bool(rng.random() < 0.5),
            inks=GRID_INKS if level.grid else tuple(INKS),
        ),
        grid=level.grid,
    )
    seen = _legible(scene, level)
    asked = ask_table(rng, seen, level.depths) if seen is not None else None
    return None if asked is None or seen is None else (seen, asked)


def _low_question(
    rng: np.random.Generator, level: Level, kind: Kind, source: Source
) -> tuple[Scene, Asked] | None:
    asks = LOOKS_OF[kind]
    ask = asks[int(rng.integers(len(asks)))]
    bare = ask in WITHOUT_AXIS
    scene = Scene(
        kind=kind,
        source=source,
        look=draw_look(
            rng,
            kind,
            _marks(kind, source),
            values=not bare and (bool(rng.random() < level.labels) or kind == "pie"),
            axis=not bare,
            special=kind in ("bar", "line") and (ask is special or rng.random() < 0.2),
            plain=bool(rng.random() < 0.3),
            inks=GRID_INKS if level.grid else tuple(INKS),
        ),
        grid=level.grid,
    )
    seen = _legible(scene, level)
    asked = ask(rng, seen) if seen is not None else None
    if seen is None or asked is None or asked.depth > max(level.depths):
        return None
    return seen, asked


def _legible(scene: Scene, level: Level) -> Scene | None:
    """The scene, without numbers on marks that have no room; None for slices too thin to see."""
    if scene.grid:
        return scene if grid_fits(scene) else None
    if scene.kind == "pie" and min(scene.values[0]) < 0.06 * sum(scene.values[0]):
        return None
    if scene.look.values and not values_fit(scene, level.side):
        return replace(scene, look=replace(scene.look, values=False))
    return scene


def _tolerance(scene: Scene, asked: Asked, close: bool) -> float:
    """Relative error of a number that is still right: none for counts, 1 % of numbers that are
    written or whole; of others 5 %, or 1.5 % of the axis (5 pixels of 336) where that is more."""
    if asked.exact or close:
        return 0.0 if asked.exact else 0.01
    number, span = number_of_text(asked.answer), scene.ticks[-1] - scene.ticks[0]
    read = 0.015 * span / abs(number) if number else 0.0
    return round(min(0.5, max(0.05, read)), 3)


def _marks(kind: Kind, source: Source) -> int:
    table = source.table
    return table.num_rows if kind in ("bar", "pie") else len(table.columns) - 1


def _pair(given: Sequence[int] | None) -> tuple[int, int] | None:
    return None if given is None else (int(given[0]), int(given[1]))


def _kinds(given: Sequence[str]) -> tuple[Kind, ...]:
    for kind in given:
        if kind not in get_args(Kind):
            raise ConfigError(f'no kind of chart "{kind}".{nearest(kind, KINDS)}')
    return tuple(kind for kind in KINDS if kind in given)
