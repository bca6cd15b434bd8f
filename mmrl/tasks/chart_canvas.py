"""A small drawing surface on matplotlib's figure: artists placed by pixel, no axes, no pyplot.

Axes would draw the same marks twenty times slower, for they rebuild every tick. One figure a size
is kept and cleared; what is drawn does not depend on what was drawn before, nor on the user's
settings of matplotlib.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle, Wedge
from matplotlib.text import Text
from matplotlib.textpath import TextPath
from matplotlib.transforms import IdentityTransform

from mmrl.tasks.drawing import Picture

Rgb = tuple[int, int, int]
Mark = tuple[str, str | Rgb, float, float]
"""Kind, a text or a colour, and the pixel x, y from the upper left corner."""
Across = Literal["left", "center", "right"]
Upright = Literal["bottom", "center", "top"]
INK: Rgb = (40, 40, 40)
GREY: Rgb = (205, 205, 205)
MARK_STEP = 14.0
"""Pixels between two notes of one bar or line (`Canvas.marks`)."""
DPI = 72
"""Dots an inch: a point is a pixel, so that font sizes and line widths are in pixels."""

_LOCK = threading.Lock()
_SETTINGS = {
    key: matplotlib.rcParamsDefault[key]
    for key in matplotlib.rcParamsDefault
    if key.split(".")[0] in ("text", "path", "lines", "patch", "hatch", "agg", "font", "figure")
}


class Canvas:
    """A white square of `side` pixels; places are pixels from the lower left corner."""

    def __init__(self, side: int) -> None:
        self.side = side
        inches = side / DPI
        self._figure = Figure(figsize=(inches, inches), dpi=DPI, facecolor="white")
        self._surface = FigureCanvasAgg(self._figure)
        self.marks: list[Mark] | None = None
        """Where to note what is drawn; None notes nothing."""

    def clear(self) -> None:
        self._figure.clear()
        self.marks = None

    def rectangle(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        colour: Rgb,
        *,
        hatched: bool = False,
    ) -> None:
        """A filled rectangle with a thin edge, hatched with white strokes on request."""
        for step in range(max(1, round(height / MARK_STEP))):
            self._note("colour", colour, x + width / 2, y + min(height, (step + 0.5) * MARK_STEP))
        edge = "white" if hatched else _hex(colour)
        self._add(
            Rectangle(
                (x, y),
                width,
                height,
                facecolor=_hex(colour),
                edgecolor=edge,
                linewidth=0.8,
                hatch="///" if hatched else None,
            )
        )

    def line(
        self,
        xs: Sequence[float],
        ys: Sequence[float],
        colour: Rgb = INK,
        *,
        width: float = 1.0,
        dashed: bool = False,
        marked: bool = False,
    ) -> None:
        """A line through points, with a dot at each when `marked`."""
        for i in range(len(xs) - 1 if self.marks is not None else 0):
            steps = max(1, round(math.dist((xs[i], ys[i]), (xs[i + 1], ys[i + 1])) / MARK_STEP))
            for step in range(steps):
                part = (step + 0.5) / steps
                self._note(
                    "line", colour, xs[i] + part * (xs[i + 1] - xs[i]),
                    ys[i] + part * (ys[i + 1] - ys[i]),
                )  # fmt: skip
        self._add(
            Line2D(
                xs,
                ys,
                color=_hex(colour),
                linewidth=width,
                linestyle=(0, (4, 2.5)) if dashed else "-",
                marker="o" if marked else None,
                markersize=2.5 * width if marked else 0,
                solid_capstyle="butt",
            )
        )

    def dots(self, xs: Sequence[float], ys: Sequence[float], colour: Rgb, size: float) -> None:
        """Filled discs of `size` pixels across."""
        for x, y in zip(xs, ys, strict=True):
            self._note("colour", colour, x, y)
        self._add(Line2D(xs, ys, color=_hex(colour), linestyle="", marker="o", markersize=size))

    def wedge(
        self, x: float, y: float, radius: float, start: float, end: float, colour: Rgb
    ) -> None:
        """A slice between two angles in degrees, anticlockwise from the right."""
        middle = math.radians((start + end) / 2)
        self._note(
            "colour", colour, x + 0.5 * radius * math.cos(middle),
            y + 0.5 * radius * math.sin(middle),
        )  # fmt: skip
        self._add(Wedge((x, y), radius, start, end, facecolor=_hex(colour), edgecolor="white"))

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float,
        *,
        across: Across = "center",
        upright: Upright = "center",
        turned: float = 0.0,
        colour: Rgb = INK,
        bold: bool = False,
    ) -> None:
        """One line of text, `turned` by degrees about its place."""
        if self.marks is not None:
            aside = {"left": 0.5, "center": 0.0, "right": -0.5}[across] * text_width(text, size)
            above = {"bottom": 0.36, "center": 0.0, "top": -0.36}[upright] * size
            sin, cos = math.sin(math.radians(turned)), math.cos(math.radians(turned))
            self._note("text", text, x + aside * cos - above * sin, y + aside * sin + above * cos)
        self._add(
            Text(
                x,
                y,
                text,
                color=_hex(colour),
                fontproperties=_font(size, "bold" if bold else "normal"),
                horizontalalignment=across,
                verticalalignment=upright,
                rotation=turned,
                rotation_mode="anchor",
                parse_math=False,
            )
        )

    def value(self, number: str, x: float, y: float) -> None:
        """Notes the number that a mark shows by its place, and draws nothing."""
        self._note("value", number, x, y)

    def _note(self, kind: str, what: str | Rgb, x: float, y: float) -> None:
        if self.marks is not None:
            self.marks.append((kind, what, x, self.side - y))

    def width(self, text: str, size: float) -> float:
        """Pixels from left to right of a text."""
        return text_width(text, size)

    def picture(self) -> Picture:
        """What was drawn, [side, side, 3]."""
        self._surface.draw()
        return np.ascontiguousarray(np.asarray(self._surface.buffer_rgba())[..., :3])

    def _add(self, artist: Any) -> None:
        artist.set_transform(IdentityTransform())
        artist.set_clip_on(False)
        artist.set_zorder(len(self._figure.get_children()))  # later ones over earlier ones
        self._figure.add_artist(artist)


def draw_on_canvas(side: int, draw: Callable[[Canvas], None]) -> Picture:
    """The picture of `side` pixels that `draw` makes on an empty canvas; one at a time."""
    with _LOCK, matplotlib.rc_context(_SETTINGS):
        canvas = _canvas(side)
        canvas.clear()
        draw(canvas)
        return canvas.picture()


@lru_cache(maxsize=8)
def _canvas(side: int) -> Canvas:
    return Canvas(side)


@lru_cache(maxsize=64)
def _font(size: float, weight: str = "normal") -> FontProperties:
    return FontProperties(family="DejaVu Sans", size=size, weight=weight)


@lru_cache(maxsize=4096)
def text_width(text: str, size: float) -> float:
    """Pixels from left to right of a text of that size."""
    if not text.strip():
        return 0.3 * size * len(text)
    return float(TextPath((0, 0), text, size=size, prop=_font(size)).get_extents().width)


def _hex(colour: Rgb) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
