"""Where the parts of a map come to stand on a picture: its scale, the names, the legend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import hypot

import cv2
import numpy as np

from mmrl.tasks.transit.labels import Rect, Taken, place_labels, text_size
from mmrl.tasks.transit.scene import MapLine, Point, TransitMap

BUSY = 4 / 3
"""Radius of an interchange in radii of a stop."""


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
class Stroke:
    """A straight piece of a line, in pixels; lines along one stretch are moved apart."""

    line: MapLine
    a: Point
    b: Point


@dataclass(frozen=True)
class Layout:
    """A map on its picture: map units to pixels, the lines, where names and legend stand."""

    where: Mapped
    strokes: tuple[Stroke, ...]
    names: Mapping[str, Rect]
    """Of the stops whose names are on the picture."""
    legend: tuple[tuple[MapLine, Rect], ...]


def lay_out(shown: TransitMap, style: Style) -> Layout | None:
    """The layout; None where a name finds no free place or a stop lies on a line not its own.

    A crowded style rather leaves names out.
    """
    if style.cell:
        where = Mapped(style.cell, (style.cell / 2, style.cell / 2))
        names = {name: _inside(name, where(at), style) for name, at in shown.places.items()}
        return Layout(where, tuple(_strokes(shown, where, style)), names, ())
    entries = _legend(shown, style) if style.legend else []
    floor = style.side - max((rect[3] for _, rect in entries), default=0)
    where = _fit(shown, style, floor)
    strokes = tuple(_strokes(shown, where, style))
    spots = {name: where(at) for name, at in shown.places.items()}
    if not _is_clear(shown, spots, strokes, style):
        return None
    marked, crossed = _masks(shown, spots, strokes, style)
    marked[floor:] = 1
    placed = place_labels(
        marked, crossed, spots, size=style.text, radius=style.stop * BUSY, strict=not style.crowded
    )
    if placed is None:
        return None
    legend = tuple((line, (x1, y1 + floor, x2, y2 + floor)) for line, (x1, y1, x2, y2) in entries)
    return Layout(where, strokes, placed, legend)


def _inside(name: str, spot: Point, style: Style) -> Rect:
    half, high = text_size(name, style.text)[0] / 2, style.text / 2
    x, y = spot
    return (round(x - half), round(y - high), round(x + half), round(y + high))


def _fit(shown: TransitMap, style: Style, floor: int) -> Mapped:
    """One scale for both axes, the middle in the middle, a margin for names."""
    points = [*shown.places.values(), *(p for x in shown.lines for path in x.paths for p in path)]
    low, high = np.min(points, 0), np.max(points, 0)
    margin = style.stop * BUSY + style.text + 4
    wide = min(1.6 * margin, 0.12 * style.side) if style.text < 0.05 * style.side else margin
    room = np.array([style.side - 2 * max(margin, wide), floor - 2 * margin])
    scale = float((room / np.maximum(high - low, 1e-9)).min())
    shift = np.array([style.side, floor]) / 2 - (low + high) / 2 * scale
    return Mapped(scale, (float(shift[0]), float(shift[1])))


def _strokes(shown: TransitMap, where: Mapped, style: Style) -> Iterator[Stroke]:
    lanes = _lanes(shown)
    for line in shown.lines:
        for path in line.paths:
            for a, b in pairwise(path):
                there = lanes[_edge(a, b)]
                shift = (there.index(line.name) - (len(there) - 1) / 2) * style.line
                (x1, y1), (x2, y2) = _edge(a, b)
                long = max(1e-9, hypot(x2 - x1, y2 - y1))
                aside = (-(y2 - y1) / long * shift, (x2 - x1) / long * shift)
                ends = [(x + aside[0], y + aside[1]) for x, y in (where(a), where(b))]
                yield Stroke(line, *ends)


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


def _is_clear(
    shown: TransitMap, spots: Mapping[str, Point], strokes: tuple[Stroke, ...], style: Style
) -> bool:
    """Whether stops stand apart, also from lines that do not serve them, and no line hides one."""
    at = np.array(list(spots.values()))
    gaps = np.linalg.norm(at[:, None] - at[None], axis=-1) + 1e9 * np.eye(len(at))
    if gaps.min() < 2 * style.stop * BUSY + 2:
        return False
    a, b = (np.array([getattr(s, end) for s in strokes]) for end in "ab")
    along = b - a
    reach = ((at[:, None] - a) * along).sum(-1) / np.maximum((along**2).sum(-1), 1e-9)
    foot = a + np.clip(reach, 0, 1)[..., None] * along
    near = np.linalg.norm(at[:, None] - foot, axis=-1) < style.stop + style.line / 2 + 1
    serving = shown.network.serving
    own = np.array([[s.line.name in {x.name for x in serving[n]} for s in strokes] for n in spots])
    if (near & ~own).any():
        return False
    # a stroke whose middle lies on another line's, in one direction with it, hides that line
    middle, unit = (a + b) / 2, along / np.maximum(np.linalg.norm(along, axis=1), 1e-9)[:, None]
    off = middle[:, None] - a
    ahead = (off * unit).sum(-1)
    beside = np.abs(off[..., 0] * unit[:, 1] - off[..., 1] * unit[:, 0])
    over = (beside < 0.8 * style.line) & (ahead > 0) & (ahead < np.linalg.norm(along, axis=1))
    names = np.array([s.line.name for s in strokes])
    return not bool((over & (np.abs(unit @ unit.T) > 0.97) & (names[:, None] != names)).any())


def _masks(
    shown: TransitMap, spots: Mapping[str, Point], strokes: tuple[Stroke, ...], style: Style
) -> tuple[Taken, Taken]:
    """Where stops are and where lines are, each a pixel wider than drawn."""
    marked, crossed = (np.zeros((style.side, style.side), np.uint8) for _ in range(2))
    width = round(style.line) + 3
    for stroke in strokes:
        ends = [(round(x), round(y)) for x, y in (stroke.a, stroke.b)]
        cv2.line(crossed, ends[0], ends[1], 1, width)
    busy = set(shown.network.interchanges)
    for name, (x, y) in spots.items():
        radius = style.stop * (BUSY if name in busy else 1)
        cv2.circle(marked, (round(x), round(y)), int(np.ceil(radius)) + 1, 1, -1)
    return marked, crossed


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
