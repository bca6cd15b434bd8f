"""Scenes to pictures: bars, lines, points and slices with their axes, names and legend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from mmrl.tasks.chart_canvas import (
    GREY,
    INK,
    Across,
    Canvas,
    Mark,
    Rgb,
    Upright,
    draw_on_canvas,
    text_width,
)
from mmrl.tasks.chart_grid import draw_grid
from mmrl.tasks.chart_scene import INKS, Scene
from mmrl.tasks.drawing import Picture, number_text

TURN = 40.0
"""Degrees by which names of rows are turned that do not fit side by side."""


def draw_chart(scene: Scene, side: int) -> Picture:
    """The picture [side, side, 3] of a scene: the same scene, the same pixels."""
    return draw_on_canvas(side, partial(_draw, scene))


def chart_marks(scene: Scene, side: int) -> list[list[str | float]]:
    """What can be seen on the picture of a scene, and where: [kind, word, x, y] in pixels.

    `text` a word that is written there, `colour` of a bar, slice or point, `line` a coloured line
    that passes, `value` the number that a bar's top, a point or a slice stands for.
    """
    names = {ink: name for name, ink in INKS.items()}
    noted: list[Mark] = []

    def draw(canvas: Canvas) -> None:
        canvas.marks = noted
        _draw(scene, canvas)

    draw_on_canvas(side, draw)
    return [
        [kind, word, round(x, 1), round(y, 1)]
        for kind, what, x, y in noted
        if (word := what if isinstance(what, str) else names.get(what)) is not None
    ]


def font_size(side: int) -> float:
    """Size of names and numbers in pixels."""
    return round(8 + side / 75, 1)


def values_fit(scene: Scene, side: int) -> bool:
    """Whether every mark has room for its number."""
    if scene.kind in ("scatter", "pie"):
        return scene.kind == "pie"
    if scene.kind == "line":
        return len(scene.series) == 1
    frame, small = _frame(scene, side), 0.8 * font_size(side)
    if scene.kind == "stacked":
        least = min(min(column) for column in scene.values)
        return frame.up(least) - frame.up(0.0) >= small + 2 and _widest(scene, small) < frame.bar
    return frame.bar >= small


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """Where a plot lies on its canvas, in pixels, and what its axes span."""

    left: float
    right: float
    bottom: float
    top: float
    x_span: tuple[float, float]
    y_span: tuple[float, float]
    bar: float
    """Width of one bar."""
    turned: bool
    """Whether names of rows are turned."""

    def across(self, x: float) -> float:
        low, high = self.x_span
        return self.left + (x - low) / (high - low) * (self.right - self.left)

    def up(self, y: float) -> float:
        low, high = self.y_span
        return self.bottom + (y - low) / (high - low) * (self.top - self.bottom)


def _frame(scene: Scene, side: int) -> Frame:
    size, pad = font_size(side), 0.03 * side
    left, right = pad, side - pad
    if len(scene.series) > 1:
        room = _legend_width(scene, side) + pad
        left, right = (left + room, right) if scene.look.legend == "left" else (left, right - room)
    if scene.look.axis:
        left += max(text_width(number_text(t), size) for t in scene.ticks) + 4
    top = side - pad - (1.6 * size if scene.source.title else 0)
    if scene.look.values and scene.kind != "stacked":
        top -= size  # the number on the highest mark
    low, high = scene.ticks[0], scene.ticks[-1]
    if scene.kind == "scatter":
        ticks = scene.x_ticks
        margin = 0.03 * (ticks[-1] - ticks[0])
        x_span = (ticks[0] - margin, ticks[-1] + margin)
        bottom = pad + (1.5 * size if scene.look.axis else 0)
        named = scene.source.title and scene.look.axis
        bottom, top = (bottom + 1.3 * size, top - 1.2 * size) if named else (bottom, top)
        return Frame(
            left=left, right=right, bottom=bottom, top=top, x_span=x_span,
            y_span=(low - 0.03 * (high - low), high + 0.03 * (high - low)), bar=0.0, turned=False,
        )  # fmt: skip
    slot = (right - left) / len(scene.names)
    widest = max(text_width(name, size) for name in scene.names)
    turned = widest > 0.92 * slot
    tall = widest * np.sin(np.radians(TURN)) + 0.8 * size if turned else size
    if turned:  # the first name leans out to the left
        left = max(left, 0.75 * widest - 0.4 * slot)
        slot = (right - left) / len(scene.names)
    bars = len(scene.series) if scene.kind == "grouped" else 1
    return Frame(
        left=left, right=right, bottom=pad + float(tall) + 4, top=top,
        x_span=(-0.5, len(scene.names) - 0.5), y_span=(low, high),
        bar=0.76 * slot / bars, turned=turned,
    )  # fmt: skip


def _draw(scene: Scene, canvas: Canvas) -> None:
    if scene.grid:
        draw_grid(scene, canvas)
        return
    size = font_size(canvas.side)
    if scene.source.title:
        fitting = min(1.0, 0.94 * canvas.side / (canvas.width(scene.source.title, size) + 1))
        canvas.text(
            canvas.side / 2, 0.975 * canvas.side, scene.source.title, size * fitting, upright="top"
        )
    if scene.kind == "pie":
        _draw_pie(scene, canvas, size)
        return
    frame = _frame(scene, canvas.side)
    _draw_axes(scene, canvas, frame, size)
    {
        "bar": _draw_bars,
        "grouped": _draw_bars,
        "stacked": _draw_stacks,
        "line": _draw_lines,
        "scatter": _draw_points,
    }[scene.kind](scene, canvas, frame, 0.8 * size)
    if len(scene.series) > 1:
        _draw_legend(scene, canvas, size)


def _draw_axes(scene: Scene, canvas: Canvas, frame: Frame, size: float) -> None:
    if scene.look.axis:
        for tick in scene.ticks:
            y = frame.up(tick)
            canvas.line((frame.left, frame.right), (y, y), GREY, width=0.8)
            canvas.text(frame.left - 3, y, number_text(tick), size, across="right")
        canvas.line((frame.left, frame.left), (frame.bottom, frame.top), width=1.0)
    canvas.line((frame.left, frame.right), (frame.bottom, frame.bottom), width=1.0)
    if scene.kind == "scatter":
        _draw_x_axis(scene, canvas, frame, size)
        return
    for i, name in enumerate(scene.names):
        x = frame.across(i)
        if frame.turned:
            canvas.text(
                x + 0.3 * size, frame.bottom - 4, name, size,
                across="right", upright="top", turned=TURN,
            )  # fmt: skip
        else:
            canvas.text(x, frame.bottom - 4, name, size, upright="top")


def _draw_x_axis(scene: Scene, canvas: Canvas, frame: Frame, size: float) -> None:
    if not scene.look.axis:
        return
    for tick in scene.x_ticks:
        x = frame.across(tick)
        canvas.line((x, x), (frame.bottom, frame.top), GREY, width=0.8)
        canvas.text(x, frame.bottom - 4, number_text(tick), size, upright="top")
    if scene.source.title:
        middle = (frame.left + frame.right) / 2
        canvas.text(middle, 0.02 * canvas.side, scene.key, size, upright="bottom")
        canvas.text(0.02 * canvas.side, frame.top + 4, scene.series[0], size,
                    across="left", upright="bottom")  # fmt: skip


def _draw_bars(scene: Scene, canvas: Canvas, frame: Frame, small: float) -> None:
    count = len(scene.series)
    room = 1.25 * frame.bar if count == 1 else frame.bar - 2  # bars of a group touch
    upright = _widest(scene, small) > room
    for s, column in enumerate(scene.values):
        for r, value in enumerate(column):
            x = frame.across(r) + (s - count / 2) * frame.bar
            height = frame.up(value) - frame.bottom
            i = r if scene.by_row else s
            canvas.rectangle(
                x + 0.5, frame.bottom, frame.bar - 1, height, _ink(scene, i),
                hatched=scene.look.special == i,
            )  # fmt: skip
            middle, y = x + frame.bar / 2, frame.bottom + height + 2
            told = number_text(value)
            _value(scene, canvas, told, middle, y)
            if scene.look.values:
                if upright:
                    canvas.text(middle, y, told, small, across="left", turned=90.0)
                else:
                    canvas.text(middle, y, told, small, upright="bottom")


def _draw_stacks(scene: Scene, canvas: Canvas, frame: Frame, small: float) -> None:
    for r in range(len(scene.names)):
        under, x = 0.0, frame.across(r) - frame.bar / 2
        for s, column in enumerate(scene.values):
            y, height = frame.up(under), frame.up(under + column[r]) - frame.up(under)
            canvas.rectangle(x, y, frame.bar, height, _ink(scene, s))
            _value(scene, canvas, number_text(column[r]), x + frame.bar / 2, y + height / 2)
            if scene.look.values:
                _on_colour(canvas, x + frame.bar / 2, y + height / 2, column[r], small,
                           _ink(scene, s))  # fmt: skip
            under += column[r]


def _draw_lines(scene: Scene, canvas: Canvas, frame: Frame, small: float) -> None:
    width = 1.2 + canvas.side / 400
    for s, column in enumerate(scene.values):
        xs = [frame.across(x) for x in scene.places]
        ys = [frame.up(y) for y in column]
        dashed = scene.look.special == s
        canvas.line(xs, ys, _ink(scene, s), width=width, dashed=dashed, marked=True)
        for x, y, value in zip(xs, ys, column, strict=True):
            _value(scene, canvas, number_text(value), x, y)
        if scene.look.values:
            for r, (x, y) in enumerate(zip(xs, ys, strict=True)):
                valley = 0 < r < len(ys) - 1 and y < min(ys[r - 1], ys[r + 1])
                valley = valley and y - frame.bottom > small + 4
                canvas.text(
                    x, y - 4 if valley else y + 4, number_text(column[r]), small,
                    upright="top" if valley else "bottom",
                )  # fmt: skip


def _draw_points(scene: Scene, canvas: Canvas, frame: Frame, small: float) -> None:
    xs = [frame.across(x) for x in scene.places]
    ys = [frame.up(y) for y in scene.values[0]]
    canvas.dots(xs, ys, _ink(scene, 0), 0.8 * small)
    for x, y, value in zip(xs, ys, scene.values[0], strict=True):
        _value(scene, canvas, number_text(value), x, y)


def _draw_pie(scene: Scene, canvas: Canvas, size: float) -> None:
    side, values = canvas.side, scene.values[0]
    widest = max(canvas.width(name, size) for name in scene.names)
    room = side - (1.6 * size if scene.source.title else 0)
    radius = min(0.47 * room - 1.4 * size, side / 2 - 1.08 * widest - 8)
    x, y, start = side / 2, room / 2, 90.0
    for i, value in enumerate(values):
        turn = 360.0 * value / sum(values)
        canvas.wedge(x, y, radius, start - turn, start, _ink(scene, i))
        middle = np.radians(start - turn / 2)
        cos, sin = float(np.cos(middle)), float(np.sin(middle))
        across: Across = "left" if cos > 0.2 else "right" if cos < -0.2 else "center"
        upright: Upright = "bottom" if sin > 0.5 else "top" if sin < -0.5 else "center"
        canvas.text(x + (radius + 4) * cos, y + (radius + 4) * sin, scene.names[i], size,
                    across=across, upright=upright)  # fmt: skip
        _value(scene, canvas, number_text(value), x + 0.7 * radius * cos, y + 0.7 * radius * sin)
        if scene.look.values:
            _on_colour(canvas, x + 0.7 * radius * cos, y + 0.7 * radius * sin, value, size,
                       _ink(scene, i))  # fmt: skip
        start -= turn


def _draw_legend(scene: Scene, canvas: Canvas, size: float) -> None:
    side, pad, small = canvas.side, 0.02 * canvas.side, 0.9 * size
    x = pad if scene.look.legend == "left" else side - pad - _legend_width(scene, side)
    top = side - (2.6 * size if scene.source.title else size)
    for s, name in enumerate(scene.series):
        y, ink = top - 1.6 * s * size, _ink(scene, s)
        if scene.kind == "line":
            dashed = scene.look.special == s
            canvas.line((x, x + 1.2 * size), (y, y), ink, width=2.0, dashed=dashed)
        else:
            canvas.rectangle(x + 0.2 * size, y - 0.4 * size, 0.8 * size, 0.8 * size, ink)
        canvas.text(x + 1.4 * size, y, name, small, across="left")


def _legend_width(scene: Scene, side: int) -> float:
    size = font_size(side)
    return 1.6 * size + max(text_width(name, 0.9 * size) for name in scene.series)


def _on_colour(canvas: Canvas, x: float, y: float, value: float, size: float, ground: Rgb) -> None:
    """A number in the middle of a filled mark, light on dark or dark on light."""
    light = 0.3 * ground[0] + 0.59 * ground[1] + 0.11 * ground[2] > 140
    canvas.text(x, y, number_text(value), size, colour=INK if light else (255, 255, 255))


def _value(scene: Scene, canvas: Canvas, number: str, x: float, y: float) -> None:
    """Notes a number where it can be read, from its label or off the axis."""
    if scene.look.values or (scene.look.axis and scene.kind != "pie"):
        canvas.value(number, x, y)


def _widest(scene: Scene, size: float) -> float:
    return max(text_width(number_text(v), size) for column in scene.values for v in column)


def _ink(scene: Scene, i: int) -> Rgb:
    colours: Sequence[str] = scene.look.colours
    return INKS[colours[i]]
