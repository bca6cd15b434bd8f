"""Points in text, and whether they lie in a box.

A point is (x, y) with x growing to the right and y downwards, written `[x, y]` or `(x, y)`, bare or
inside JSON. Four numbers in a row are a box and no point: its corners are never read as points.
"""

from __future__ import annotations

import math
import re
from itertools import pairwise

from mmrl.parse.boxes import Box, CoordSpace, convert_box, is_proper_box, parse_boxes

Point = tuple[float, float]

_NUMBER = r"([-+]?+(?:\d++(?:\.\d*+)?+|\.\d++)(?:[eE][-+]?+\d++)?+)"
_INNER = rf"\s*+{_NUMBER}\s*+,\s*+{_NUMBER}\s*+"
_POINT = re.compile(rf"\[{_INNER}\]|\({_INNER}\)")
_CORNERS = re.compile(r"\)\s*+,?+\s*+\(")


def parse_points(text: str) -> list[Point]:
    """Every complete point of `text`, in order.

    Pairs as Qwen-VL writes the corners of a box, `(x1,y1),(x2,y2)`, are no points.
    """
    found = list(_POINT.finditer(text))
    corner: set[int] = set()
    for i, (a, b) in enumerate(pairwise(found)):
        round_ones = text[a.end() - 1] == ")" and text[b.start()] == "("
        if i not in corner and round_ones and _CORNERS.fullmatch(text, a.end() - 1, b.start() + 1):
            corner |= {i, i + 1}
    return [_point(m) for i, m in enumerate(found) if i not in corner]


def parse_target(text: str) -> Point | None:
    """Where an answer points: its last point, else the centre of its last proper box, else None.

    The centre of a box that is inverted, flat or infinite is no place.
    """
    points = parse_points(text)
    if points:
        return points[-1]
    boxes = parse_boxes(text)
    return box_centre(boxes[-1]) if boxes and is_proper_box(boxes[-1]) else None


def box_centre(box: Box) -> Point:
    """The middle of a box."""
    return (box[0] + box[2]) / 2.0, (box[1] + box[3]) / 2.0


def in_box(point: Point, box: Box) -> bool:
    """Whether a finite point lies in a proper box, its edges included."""
    x, y = point
    if not (is_proper_box(box) and math.isfinite(x) and math.isfinite(y)):
        return False
    return box[0] <= x <= box[2] and box[1] <= y <= box[3]


def point_distance(a: Point, b: Point) -> float:
    """Euclidean distance; infinite where a coordinate is not finite."""
    distance = math.hypot(a[0] - b[0], a[1] - b[1])
    return distance if math.isfinite(distance) else math.inf


def convert_point(
    point: Point,
    from_space: CoordSpace | str,
    to_space: CoordSpace | str,
    original_size: tuple[int, int],
    processed_size: tuple[int, int],
) -> Point:
    """`point` in another space; sizes are (width, height) as for `convert_box`."""
    x, y, *_ = convert_box((*point, *point), from_space, to_space, original_size, processed_size)
    return x, y


def _point(match: re.Match[str]) -> Point:
    x, y = (float(number) for number in match.groups() if number is not None)
    return x, y
