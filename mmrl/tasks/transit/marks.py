"""What can be seen on a drawn map and where: for those who train a vision tower on its parts."""

from __future__ import annotations

from itertools import pairwise
from math import hypot

from mmrl.tasks.transit.layout import Layout
from mmrl.tasks.transit.octilinear import LINE_COLOURS
from mmrl.tasks.transit.scene import MapLine, TransitMap

STEP = 14.0
"""Pixels between two marks along a line."""
_WORDS = {rgb: word for word, rgb in LINE_COLOURS.items()}
Mark = list[str | float]
"""[kind, word, x, y] in pixels; kinds: text (a stop's name), colour (of a line that stops there),
line (the colour of a line that passes)."""


def map_marks(shown: TransitMap, layout: Layout) -> list[Mark]:
    """Every name, every colour at every stop, and every line each 14 pixels."""
    marks: list[Mark] = []
    for name, (x1, y1, x2, y2) in layout.names.items():
        marks.append(["text", name, (x1 + x2) / 2, (y1 + y2) / 2])
    for name, at in shown.places.items():
        for line in shown.lines:
            if any(name in course for course in line.courses):
                marks.append(["colour", _word(line), *layout.where(at)])
    seen: set[tuple[str, float, float]] = set()
    for line in shown.lines:
        for path in line.paths:
            for a, b in pairwise([layout.where(point) for point in path]):
                steps = max(1, round(hypot(b[0] - a[0], b[1] - a[1]) / STEP))
                for k in range(steps + 1):
                    x, y = (round(p + (q - p) * k / steps, 1) for p, q in zip(a, b, strict=True))
                    if (line.name, x, y) not in seen:
                        seen.add((line.name, x, y))
                        marks.append(["line", _word(line), x, y])
    return marks


def _word(line: MapLine) -> str:
    return _WORDS.get(line.colour, line.name)
