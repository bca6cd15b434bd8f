"""Paints a transit map that is laid out: coloured lines, white stops, names and a legend."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from PIL import Image, ImageDraw

from mmrl.tasks.drawing import Picture
from mmrl.tasks.transit.labels import font
from mmrl.tasks.transit.layout import BUSY, Layout, Style
from mmrl.tasks.transit.scene import Point, Rgb, TransitMap

GROUND = (252, 252, 250)
INK = (20, 20, 20)
WHITE = (255, 255, 255)
_SUPER = 2
"""Lines are drawn this many times larger and averaged down."""
_SHIFT = 4
"""Fractional bits of OpenCV's coordinates."""


def paint(shown: TransitMap, layout: Layout, style: Style) -> Picture:
    """The picture [side, side, 3]."""
    canvas = _ground(style.side * _SUPER).copy()
    width = max(1, round(style.line * _SUPER))
    for stroke in layout.strokes:
        ends = _fixed(stroke.a), _fixed(stroke.b)
        cv2.line(canvas, *ends, stroke.line.colour, width, cv2.LINE_AA, _SHIFT)
    for name, at in shown.places.items():
        served = [x.colour for x in shown.lines if any(name in c for c in x.courses)]
        centre = layout.where(at)
        if style.cell:
            _badge(canvas, centre, style.stop, served)
        elif len(served) > 1:
            _disc(canvas, centre, style.stop * BUSY, INK)
            _disc(canvas, centre, style.stop * BUSY - max(1.2, style.stop / 3), WHITE)
        else:
            _disc(canvas, centre, style.stop, served[0])
            _disc(canvas, centre, style.stop - max(1.0, style.stop / 4), WHITE)
    small = cv2.resize(canvas, (style.side, style.side), interpolation=cv2.INTER_AREA)
    return _with_text(small.astype(np.uint8, copy=False), layout, style)


@lru_cache(maxsize=8)
def _ground(size: int) -> Picture:
    return np.full((size, size, 3), GROUND, np.uint8)


def _badge(canvas: Picture, centre: Point, radius: float, colours: list[Rgb]) -> None:
    """A white disc for a letter within a ring of equal parts in the lines' colours."""
    size = round(radius * _SUPER * (1 << _SHIFT))
    for i, colour in enumerate(colours):
        start, end = (-90 + 360 * k / len(colours) for k in (i, i + 1))
        middle, axes = _fixed(centre), (size, size)
        cv2.ellipse(canvas, middle, axes, 0, start, end, colour, -1, cv2.LINE_AA, _SHIFT)
    _disc(canvas, centre, radius - 2.5, WHITE)


def _disc(canvas: Picture, centre: Point, radius: float, colour: Rgb) -> None:
    size = round(radius * _SUPER * (1 << _SHIFT))
    cv2.circle(canvas, _fixed(centre), size, colour, -1, cv2.LINE_AA, _SHIFT)


def _fixed(point: Point) -> tuple[int, int]:
    """A point of the picture on the larger canvas, in OpenCV's fixed-point numbers."""
    half = (_SUPER - 1) / 2
    return (
        round((point[0] * _SUPER + half) * (1 << _SHIFT)),
        round((point[1] * _SUPER + half) * (1 << _SHIFT)),
    )


def _with_text(canvas: Picture, layout: Layout, style: Style) -> Picture:
    image = Image.fromarray(canvas)
    pen = ImageDraw.Draw(image)
    letters = font(style.text)
    # inside of stops letters are bold; on a crowded map names stand on a ground of their own
    stroke, edge = (0.4, INK) if style.cell else (2.0 if style.crowded else 0.0, GROUND)
    for name, (x1, y1, x2, y2) in layout.names.items():
        middle = ((x1 + x2) / 2, (y1 + y2) / 2)
        pen.text(middle, name, INK, letters, anchor="mm", stroke_width=stroke, stroke_fill=edge)
    for line, (x1, y1, _, y2) in layout.legend:
        middle_y = (y1 + y2) // 2
        half = max(2, round(style.line / 2))
        box = (x1, middle_y - half, x1 + round(1.5 * style.text), middle_y + half)
        pen.rectangle(box, fill=line.colour)
        pen.text((box[2] + 4, middle_y), line.name, INK, letters, anchor="lm")
    return np.asarray(image)
