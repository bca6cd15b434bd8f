"""The tiny level: charts on a grid of 6 x 6 cells, one label a cell.

For models of a few million weights: a cell of the picture's sixth (28 pixels of 168) is one visual
token of the Qwen families. Numbers from 1 to 9 reach as many half cells high; the letter of a bar
or point stands in the cell underneath, the odd ticks stand in the middle of their cells at the
left, and a slice of a pie has its letter and its number in one cell inside it. Drawn with
matplotlib, as the other levels (`chart_canvas`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from mmrl.errors import ConfigError
from mmrl.parse.tables import table_of_columns
from mmrl.tasks.chart_canvas import GREY, INK, Canvas, Rgb
from mmrl.tasks.chart_scene import GRID_TICKS, INKS, Kind, Scene
from mmrl.tasks.chart_tables import Source, of_split
from mmrl.tasks.drawing import number_text

CELLS = 6
"""Of a side."""
GRID_KINDS: tuple[Kind, ...] = ("bar", "line", "scatter", "pie")
GRID_LETTERS = "ABCDEFGH"
GRID_INKS = ("red", "blue", "green", "orange", "purple", "black")
COLUMNS: Mapping[int, tuple[int, ...]] = MappingProxyType(
    {2: (2, 4), 3: (1, 3, 5), 4: (1, 2, 4, 5), 5: (1, 2, 3, 4, 5)}
)
"""Columns of the grid that so many bars or points stand in; column 0 has the ticks."""
_RADIUS = 2.6
"""Of a pie, in cells."""
_ROOM = 0.4
"""Least distance of a slice's label from its edges, in cells."""


def check_grid(
    kinds: Sequence[Kind], rows: tuple[int, int], series: tuple[int, int], tables: str
) -> None:
    """ConfigError where a chart would not fit the grid."""
    if tables != "drawn":
        raise ConfigError(f'level tiny draws its own tables; tables is "{tables}"')
    if not kinds:
        raise ConfigError(f"level tiny draws {', '.join(GRID_KINDS)}")
    if not 2 <= rows[0] <= rows[1] <= max(COLUMNS) or series != (1, 1):
        raise ConfigError(
            f"level tiny has room for 2 to {max(COLUMNS)} rows of 1 series; "
            f"wanted rows {list(rows)}, series {list(series)}"
        )


def grid_table(rng: np.random.Generator, split: str, kind: Kind, rows: int) -> Source:
    """Different letters in any order, or points of different x from 1 to 5; numbers 1 to 9.

    Three of four tables of points rise or fall, for half of their questions are about that.
    """

    def draw() -> Source:
        values = rng.integers(1, 10, rows)
        if kind == "scatter":
            order = rng.random()
            if order < 0.75:
                values = np.sort(values)[:: 1 if order < 0.375 else -1]
            xs = np.sort(rng.permutation(5)[:rows]) + 1
            points = table_of_columns({"x": xs.tolist(), "y": values.tolist()})
            return Source(table=points, title="", rows="points")
        letters = [GRID_LETTERS[i] for i in rng.permutation(len(GRID_LETTERS))[:rows]]
        table = table_of_columns({"x": letters, "y": values.tolist()})
        return Source(table=table, title="", rows="ordered" if kind != "pie" else "names")

    return of_split(split, draw)


def grid_fits(scene: Scene) -> bool:
    """Whether each slice of a pie has a cell for its label; other charts always fit."""
    return scene.kind != "pie" or None not in _slice_cells(scene.values[0])


def draw_grid(scene: Scene, canvas: Canvas) -> None:
    """Draws a scene of `grid_table` on the canvas."""
    if scene.kind == "pie":
        _draw_pie(scene, canvas)
        return
    cell = canvas.side / CELLS
    if scene.look.axis:
        for tick in GRID_TICKS:
            y = cell + tick * cell / 2
            canvas.line((cell, canvas.side - 0.1 * cell), (y, y), GREY, width=0.8)
            _text(canvas, 0.5 * cell, y, number_text(tick))
    canvas.line((cell, canvas.side - 0.1 * cell), (cell, cell), width=1.0)
    if scene.kind == "scatter":
        columns = tuple(int(x) for x in scene.places)
        named: Sequence[tuple[int, str]] = [(c, str(c)) for c in range(1, CELLS)]
    else:
        columns = COLUMNS[len(scene.names)]
        named = list(zip(columns, scene.names, strict=True))
    if scene.kind != "scatter" or scene.look.axis:
        for column, name in named:
            _text(canvas, (column + 0.5) * cell, 0.5 * cell, name)
    xs = [(column + 0.5) * cell for column in columns]
    ys = [cell + value * cell / 2 for value in scene.values[0]]
    {"bar": _draw_bars, "line": _draw_line, "scatter": _draw_points}[scene.kind](
        scene, canvas, xs, ys
    )


def _draw_bars(scene: Scene, canvas: Canvas, xs: list[float], ys: list[float]) -> None:
    cell = canvas.side / CELLS
    for r, (x, y) in enumerate(zip(xs, ys, strict=True)):
        canvas.rectangle(
            x - 0.36 * cell, cell, 0.72 * cell, y - cell, INKS[scene.look.colours[r]],
            hatched=scene.look.special == r,
        )  # fmt: skip
        _number(scene, canvas, r, x, y + cell / 4)


def _draw_line(scene: Scene, canvas: Canvas, xs: list[float], ys: list[float]) -> None:
    cell = canvas.side / CELLS
    canvas.line(xs, ys, INKS[scene.look.colours[0]], width=0.08 * cell, marked=True)
    for r, (x, y) in enumerate(zip(xs, ys, strict=True)):
        from_above = r > 0 and ys[r - 1] > y
        to_above = r < len(ys) - 1 and ys[r + 1] > y
        if from_above and to_above:
            _number(scene, canvas, r, x, y - 0.32 * cell)
        else:
            aside = 0.25 * cell * (int(from_above) - int(to_above))
            _number(scene, canvas, r, x + aside, y + 0.3 * cell)


def _draw_points(scene: Scene, canvas: Canvas, xs: list[float], ys: list[float]) -> None:
    cell = canvas.side / CELLS
    if scene.look.axis:
        for column in range(1, CELLS):
            x = (column + 0.5) * cell
            canvas.line((x, x), (cell, canvas.side - 0.1 * cell), GREY, width=0.8)
    canvas.dots(xs, ys, INKS[scene.look.colours[0]], 0.36 * cell)
    for r, (x, y) in enumerate(zip(xs, ys, strict=True)):
        canvas.value(number_text(scene.values[0][r]), x, y)


def _draw_pie(scene: Scene, canvas: Canvas) -> None:
    cell, middle = canvas.side / CELLS, canvas.side / 2
    values, start = scene.values[0], 90.0
    cells = _slice_cells(values)
    for r, value in enumerate(values):
        turn = 360.0 * value / sum(values)
        ink = INKS[scene.look.colours[r]]
        canvas.wedge(middle, middle, _RADIUS * cell, start - turn, start, ink)
        start -= turn
        place = cells[r]
        if place is None:
            raise ValueError(f"slice {r} of {values} has no room for its label")
        x, y = (middle + cell * part for part in place)
        aside = 0.22 * cell if scene.look.values else 0.0
        light = 0.3 * ink[0] + 0.59 * ink[1] + 0.11 * ink[2] > 140
        over: Rgb = INK if light else (255, 255, 255)
        _text(canvas, x - aside, y, scene.names[r], colour=over)
        if scene.look.values:
            canvas.value(number_text(value), x, y)
            _text(canvas, x + aside, y, number_text(value), colour=over)


def _slice_cells(values: Sequence[float]) -> list[tuple[float, float] | None]:
    """For each slice, the middle of the cell that lies deepest in it (in cells from the pie's own
    middle, upwards), or None where none has `_ROOM` to every side."""
    middles = np.arange(CELLS) - (CELLS - 1) / 2
    xs, ys = (axis.ravel() for axis in np.meshgrid(middles, middles))
    far = np.hypot(xs, ys)
    clockwise = (90.0 - np.degrees(np.arctan2(ys, xs))) % 360.0
    found: list[tuple[float, float] | None] = []
    start = 0.0
    for value in values:
        turn = 360.0 * value / sum(values)
        after, before = (clockwise - start) % 360.0, (start + turn - clockwise) % 360.0
        nearest = np.minimum(np.minimum(after, before), 90.0)
        depth = np.where(
            after < turn, np.minimum(_RADIUS - far, far * np.sin(np.radians(nearest))), -1.0
        )
        best = int(np.argmax(np.round(depth, 6)))
        found.append((float(xs[best]), float(ys[best])) if depth[best] >= _ROOM else None)
        start += turn
    return found


def _number(scene: Scene, canvas: Canvas, r: int, x: float, y: float) -> None:
    told = number_text(scene.values[0][r])
    canvas.value(told, x, y)
    if scene.look.values:
        _text(canvas, x, y, told)


def _text(canvas: Canvas, x: float, y: float, text: str, *, colour: Rgb = INK) -> None:
    canvas.text(x, y, text, round(canvas.side / 13, 1), colour=colour, bold=True)
