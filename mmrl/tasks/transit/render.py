"""Draws a transit map: coloured lines, white stops, names where they are free to read, a legend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mmrl.tasks.drawing import Picture
from mmrl.tasks.transit.labels import Rect, font, place_labels, text_size
from mmrl.tasks.transit.scene import MapLine, Point, Rgb, TransitMap

GROUND = (252, 252, 250)
INK = (20, 20, 20)
_SUPER = 2
"""Lines are drawn this many times larger and averaged down."""
_SHIFT = 4
"""Fractional bits of OpenCV's coordinates."""


@dataclass(frozen=True, kw_only=True)
class Style:
    """Sizes in pixels of the finished picture."""

    side: int
    text: int = 12
    line: float = 5.0
    stop: float = 4.5
    """Radius of a stop; an interchange is a third larger."""
    legend: bool = False
    crowded: bool = False
    """Names may lie over lines where there is no other place; a name without any is left out."""
    cell: int = 0
    """Pixels of a map unit where names stand inside their stops; 0: beside them, and the map is
    scaled to fill the picture."""


@dataclass(frozen=True)
class Mapped:
    """Map units to pixels: one scale, one shift."""

    scale: float
    shift: Point

    def __call__(self, point: Point) -> Point:
        return (
            point[0] * self.scale + self.shift[0],
            point[1] * self.scale + self.shift[1],
        )


@dataclass(frozen=True)
class Drawn:
    """A drawn map: the picture [side, side, 3], where each name stands, map units to pixels."""

    picture: Picture
    names: Mapping[str, Rect]
    """Of the stops whose names are on the picture."""
    where: Mapped


def render(shown: TransitMap, style: Style) -> Drawn | None:
    """The map as a picture; None where a name finds no free place (never for a crowded style)."""
    if style.cell:
        return _celled(shown, style)
    entries = _legend(shown, style) if style.legend else []
    floor = style.side - max((rect[3] for _, rect in entries), default=0)
    places = _fit(shown.places, style, floor)
    where = _mapped(shown.places, places)
    canvas = _draw(shown, where, style)
    taken = canvas.min(-1) < min(GROUND) - 12
    if entries:
        taken[floor:] = True
    names = place_labels(
        taken, places, size=style.text, radius=style.stop * 4 / 3, strict=not style.crowded
    )
    if names is None:
        return None
    picture = _with_text(canvas, names, [(line, _down(r, floor)) for line, r in entries], style)
    return Drawn(picture, names, where)


def _celled(shown: TransitMap, style: Style) -> Drawn:
    """Stops with their names inside, each in the middle of its own cell."""
    where = Mapped(style.cell, (style.cell / 2, style.cell / 2))
    names = {}
    for name, at in shown.places.items():
        x, y = where(at)
        half, high = text_size(name, style.text)[0] / 2, style.text / 2
        names[name] = (round(x - half), round(y - high), round(x + half), round(y + high))
    canvas = _draw(shown, where, style)
    return Drawn(_with_text(canvas, names, [], style), names, where)


def _fit(places: Mapping[str, Point], style: Style, floor: int) -> dict[str, Point]:
    """Stops in pixels: one scale for both axes, the middle in the middle, a margin for names."""
    points = np.array(list(places.values()))
    low, high = points.min(0), points.max(0)
    margin = style.stop * 4 / 3 + style.text + 4
    side = min(1.6 * margin, 0.12 * style.side) if style.text < 0.05 * style.side else margin
    room = np.array([style.side - 2 * max(margin, side), floor - 2 * margin])
    scale = float((room / np.maximum(high - low, 1e-9)).min())
    middle = np.array([style.side, floor]) / 2
    at = (points - (low + high) / 2) * scale + middle
    return {name: (float(x), float(y)) for name, (x, y) in zip(places, at, strict=True)}


def _mapped(units: Mapping[str, Point], pixels: Mapping[str, Point]) -> Mapped:
    """The map from units to pixels, from the two stops farthest apart."""
    names = list(units)
    a = names[0]
    b = max(names, key=lambda n: abs(units[n][0] - units[a][0]) + abs(units[n][1] - units[a][1]))
    axis = 0 if abs(units[b][0] - units[a][0]) >= abs(units[b][1] - units[a][1]) else 1
    scale = (pixels[b][axis] - pixels[a][axis]) / (units[b][axis] - units[a][axis])
    return Mapped(scale, (pixels[a][0] - scale * units[a][0], pixels[a][1] - scale * units[a][1]))


def _draw(shown: TransitMap, where: Mapped, style: Style) -> Picture:
    size = style.side * _SUPER
    canvas = np.full((size, size, 3), GROUND, np.uint8)
    lanes = _lanes(shown)
    for line in shown.lines:
        for path in line.paths:
            for a, b in pairwise(path):
                shift = lanes[_edge(a, b)].index(line.name) - (len(lanes[_edge(a, b)]) - 1) / 2
                _segment(canvas, where(a), where(b), shift * style.line, line, style)
    busy = set(shown.network.interchanges)
    for name, at in shown.places.items():
        centre = where(at)
        if style.cell:
            colours = [x.colour for x in shown.lines if any(name in c for c in x.courses)]
            _badge(canvas, centre, style.stop, colours)
            continue
        if name in busy:
            _disc(canvas, centre, style.stop * 4 / 3, INK)
            _disc(canvas, centre, style.stop * 4 / 3 - max(1.2, style.stop / 3), (255, 255, 255))
        else:
            colour = next(x.colour for x in shown.lines if any(name in c for c in x.courses))
            _disc(canvas, centre, style.stop, colour)
            _disc(canvas, centre, style.stop - max(1.0, style.stop / 4), (255, 255, 255))
    small: Picture = cv2.resize(
        canvas, (style.side, style.side), interpolation=cv2.INTER_AREA
    ).astype(np.uint8)
    return small


Edge = tuple[Point, Point]


def _edge(a: Point, b: Point) -> Edge:
    return (a, b) if a <= b else (b, a)


def _lanes(shown: TransitMap) -> dict[Edge, list[str]]:
    """The lines along each stretch, in the map's order: they are drawn side by side."""
    lanes: dict[Edge, list[str]] = {}
    for line in shown.lines:
        for path in line.paths:
            for a, b in pairwise(path):
                there = lanes.setdefault(_edge(a, b), [])
                if line.name not in there:
                    there.append(line.name)
    return lanes


def _segment(
    canvas: Picture, a: Point, b: Point, shift: float, line: MapLine, style: Style
) -> None:
    first, then = _edge(a, b)
    dx, dy = then[0] - first[0], then[1] - first[1]
    long = max(1e-9, float(np.hypot(dx, dy)))
    off = (-dy / long * shift, dx / long * shift)
    ends = [_fixed((p[0] + off[0], p[1] + off[1])) for p in (a, b)]
    width = max(1, round(style.line * _SUPER))
    cv2.line(canvas, ends[0], ends[1], line.colour, width, cv2.LINE_AA, _SHIFT)


def _disc(canvas: Picture, centre: Point, radius: float, colour: tuple[int, int, int]) -> None:
    cv2.circle(
        canvas,
        _fixed(centre),
        round(radius * _SUPER * (1 << _SHIFT)),
        colour,
        -1,
        cv2.LINE_AA,
        _SHIFT,
    )


def _badge(canvas: Picture, centre: Point, radius: float, colours: list[Rgb]) -> None:
    """A white disc for a letter within a ring of equal parts in the lines' colours."""
    size = round(radius * _SUPER * (1 << _SHIFT))
    for i, colour in enumerate(colours):
        start, end = (-90 + 360 * k / len(colours) for k in (i, i + 1))
        middle, axes = _fixed(centre), (size, size)
        cv2.ellipse(canvas, middle, axes, 0, start, end, colour, -1, cv2.LINE_AA, _SHIFT)
    _disc(canvas, centre, radius - 2.5, (255, 255, 255))


def _fixed(point: Point) -> tuple[int, int]:
    factor = _SUPER * (1 << _SHIFT)
    half = (_SUPER - 1) / 2
    return (
        round((point[0] * _SUPER + half) * factor / _SUPER),
        round((point[1] * _SUPER + half) * factor / _SUPER),
    )


def _legend(shown: TransitMap, style: Style) -> list[tuple[MapLine, Rect]]:
    """A rectangle for each line's sample and name, in rows from the strip's own top."""
    entries: list[tuple[MapLine, Rect]] = []
    x, y, height = 6, 4, style.text + 4
    for line in shown.lines:
        width = text_size(line.name, style.text)[0] + 2 * style.text + 6
        if x > 6 and x + width > style.side - 4:
            x, y = 6, y + height
        entries.append((line, (x, y, x + width, y + height)))
        x += width + style.text // 2
    return entries


def _down(rect: Rect, by: int) -> Rect:
    return rect[0], rect[1] + by, rect[2], rect[3] + by


def _with_text(
    canvas: NDArray[np.uint8],
    names: Mapping[str, Rect],
    entries: list[tuple[MapLine, Rect]],
    style: Style,
) -> Picture:
    image = Image.fromarray(canvas)
    pen = ImageDraw.Draw(image)
    letters = font(style.text)
    halo = 2 if style.crowded else 0
    for name, (x1, y1, x2, y2) in names.items():
        middle = ((x1 + x2) / 2, (y1 + y2) / 2)
        if style.cell:
            pen.text(middle, name, INK, letters, anchor="mm", stroke_width=0.4, stroke_fill=INK)
        else:
            pen.text(middle, name, INK, letters, anchor="mm", stroke_width=halo, stroke_fill=GROUND)
    for line, (x1, y1, _, y2) in entries:
        middle_y = (y1 + y2) // 2
        half = max(2, round(style.line / 2))
        box = (x1, middle_y - half, x1 + round(1.5 * style.text), middle_y + half)
        pen.rectangle(box, fill=line.colour)
        pen.text((box[2] + 4, middle_y), line.name, INK, letters, anchor="lm")
    return np.asarray(image)
