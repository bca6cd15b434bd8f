"""Boxes in text and their overlap, in five coordinate spaces.

A box is (x1, y1, x2, y2) with x growing to the right and y downwards. What a model writes may be
inverted, flat or infinite: such a box parses, and overlaps with nothing. All patterns use
possessive quantifiers, so that hostile text costs linear time.
"""

from __future__ import annotations

import math
import re
from enum import StrEnum

from mmrl.errors import DataError, nearest

Box = tuple[float, float, float, float]

_NUMBER = r"([-+]?+(?:\d++(?:\.\d*+)?+|\.\d++)(?:[eE][-+]?+\d++)?+)"
_GAP = r"\s*+,\s*+"
_FOUR = _GAP.join([_NUMBER] * 4)
_PAIR = rf"\(\s*+{_NUMBER}{_GAP}{_NUMBER}\s*+\)"
_BOX = re.compile(
    rf"\[\s*+{_FOUR}\s*+\]"  # [x1, y1, x2, y2], bare or inside JSON
    rf"|{_PAIR}\s*+,?+\s*+{_PAIR}"  # (x1,y1),(x2,y2) as Qwen-VL writes
    rf"|\(\s*+{_FOUR}\s*+\)"
)


class CoordSpace(StrEnum):
    """What a coordinate counts: pixels of the file, pixels that the model saw, or shares."""

    ABS_ORIGINAL = "abs_original"
    ABS_RESIZED = "abs_resized"
    NORM_1 = "norm_1"
    NORM_100 = "norm_100"
    NORM_1000 = "norm_1000"


_SHARES = {CoordSpace.NORM_1: 1.0, CoordSpace.NORM_100: 100.0, CoordSpace.NORM_1000: 1000.0}


def coord_space(name: str) -> CoordSpace:
    """The space of that name; an unknown one is a data error naming the nearest."""
    try:
        return CoordSpace(name)
    except ValueError:
        known = [space.value for space in CoordSpace]
        raise DataError(f'no coordinate space "{name}".{nearest(str(name), known)}') from None


def parse_boxes(text: str) -> list[Box]:
    """Every complete box of `text`, in order; numbers too large for a float become infinite."""
    boxes = []
    for match in _BOX.finditer(text):
        x1, y1, x2, y2 = (float(number) for number in match.groups() if number is not None)
        boxes.append((x1, y1, x2, y2))
    return boxes


def without_boxes(text: str) -> str:
    """`text` with every complete box taken out."""
    return _BOX.sub("", text)


def parse_box(text: str) -> Box | None:
    """The last complete box of `text`, or None."""
    boxes = parse_boxes(text)
    return boxes[-1] if boxes else None


def is_proper_box(box: Box) -> bool:
    """Whether all four numbers are finite and the box has a positive width and height."""
    x1, y1, x2, y2 = box
    return all(map(math.isfinite, box)) and x2 > x1 and y2 > y1


def box_iou(a: Box, b: Box) -> float:
    """Intersection over union in [0, 1]; 0 where either box is inverted, flat or not finite."""
    return _overlap(a, b)[0]


def box_giou(a: Box, b: Box) -> float:
    """Generalised IoU in [-1, 1] (arXiv 1902.09630); -1 where either box is improper."""
    iou, union, hull = _overlap(a, b)
    return iou - max(0.0, hull - union) / hull if hull > 0.0 else -1.0


def _overlap(a: Box, b: Box) -> tuple[float, float, float]:
    """IoU, area of the union, area of the hull; zeros where an area is not a positive float."""
    if not (is_proper_box(a) and is_proper_box(b)):
        return 0.0, 0.0, 0.0
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    inter = width * height
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    if not (union > 0.0 and math.isfinite(union) and math.isfinite(hull)):
        return 0.0, 0.0, 0.0  # coordinates at the ends of the float range
    return min(1.0, inter / union), union, hull


def convert_box(
    box: Box,
    from_space: CoordSpace | str,
    to_space: CoordSpace | str,
    original_size: tuple[int, int],
    processed_size: tuple[int, int],
) -> Box:
    """`box` in another space. Sizes are (width, height) in pixels: of the file, and as seen."""
    source, target = coord_space(from_space), coord_space(to_space)
    if source is target:
        return box
    from_x, from_y = _extent(source, original_size, processed_size)
    to_x, to_y = _extent(target, original_size, processed_size)
    x1, x2 = (x * to_x / from_x for x in (box[0], box[2]))
    y1, y2 = (y * to_y / from_y for y in (box[1], box[3]))
    return x1, y1, x2, y2


def _extent(
    space: CoordSpace, original_size: tuple[int, int], processed_size: tuple[int, int]
) -> tuple[float, float]:
    """The coordinates of the lower right corner of the picture."""
    if space in _SHARES:
        return _SHARES[space], _SHARES[space]
    size = original_size if space is CoordSpace.ABS_ORIGINAL else processed_size
    if min(size) <= 0:
        raise DataError(f"a picture of size {size[0]}x{size[1]} has no {space} coordinates")
    return float(size[0]), float(size[1])
