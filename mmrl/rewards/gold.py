"""Reference answers read out of a sample: unparsable gold is a data error, never a reward."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

from mmrl.errors import DataError
from mmrl.parse.boxes import Box, CoordSpace, coord_space, is_proper_box, parse_boxes
from mmrl.parse.choices import parse_choice
from mmrl.parse.points import Point, parse_points
from mmrl.parse.spans import Span, is_proper_span, parse_span
from mmrl.parse.values import normal_text, parse_number
from mmrl.types import Sample

T = TypeVar("T")


def gold_box(sample: Sample) -> Box:
    """The one box of `sample.target`: four numbers, or text that holds one box."""
    boxes = gold_boxes(sample)
    if len(boxes) != 1:
        _refuse(sample, f"one box, got {len(boxes)}")
    return boxes[0]


def gold_boxes(sample: Sample) -> tuple[Box, ...]:
    """All boxes of `sample.target`: one box, a sequence of boxes, or text; at least one."""
    target = sample.target
    if isinstance(target, str):
        boxes: Sequence[Any] = parse_boxes(target)
    elif _is_row(target) and len(target) == 4 and not any(map(_is_row, target)):
        boxes = [target]
    else:
        boxes = target if _is_row(target) else []
    read = tuple(_numbers(sample, box, 4, "a box [x1, y1, x2, y2]") for box in boxes)
    if not read:
        _refuse(sample, "at least one box [x1, y1, x2, y2]")
    for box in read:
        if not is_proper_box(box):  # type: ignore[arg-type]
            _refuse(sample, f"a box with a positive width and height, got {list(box)}")
    return read  # type: ignore[return-value]


def gold_point(sample: Sample) -> Point:
    """The one point of `sample.target`: two finite numbers, or text that holds one point."""
    points = gold_points(sample)
    if len(points) != 1:
        _refuse(sample, f"one point, got {len(points)}")
    return points[0]


def gold_points(sample: Sample) -> tuple[Point, ...]:
    """All points of `sample.target`: one point, a sequence of points, or text; at least one."""
    target = sample.target
    if isinstance(target, str):
        points: Sequence[Any] = parse_points(target)
    elif _is_row(target) and len(target) == 2 and not any(map(_is_row, target)):
        points = [target]
    else:
        points = target if _is_row(target) else []
    read = tuple(_numbers(sample, point, 2, "a point [x, y]") for point in points)
    if not read or not all(math.isfinite(v) for point in read for v in point):
        _refuse(sample, "at least one finite point [x, y]")
    return read  # type: ignore[return-value]


def holds_points(sample: Sample) -> bool:
    """Whether the target is made of points [x, y] (of two numbers, not of four)."""
    target = sample.target
    if isinstance(target, str):
        return bool(parse_points(target)) and not parse_boxes(target)
    if not _is_row(target) or not len(target):
        return False
    if any(map(_is_row, target)):
        return all(_is_row(point) and len(point) == 2 for point in target)
    return len(target) == 2


def gold_space(sample: Sample) -> CoordSpace:
    """The coordinate space of the sample's boxes, a required entry of its `meta`."""
    space = sample.meta.get("coord_space")
    if space is None:
        raise DataError(
            f'sample "{sample.id}" of task "{sample.task}" holds boxes but no meta["coord_space"]; '
            f"say which of {', '.join(s.value for s in CoordSpace)}"
        )
    try:
        return coord_space(space)
    except DataError as error:
        raise DataError(f'sample "{sample.id}", meta["coord_space"]: {error}') from None


def gold_span(sample: Sample) -> Span:
    """The span of `sample.target` in seconds: two numbers or text that holds one span.

    With `meta["span_unit"]` "share" the numbers are shares of `meta["video_length"]` seconds
    (Temporal-R1's rows).
    """
    target = parse_span(sample.target) if isinstance(sample.target, str) else sample.target
    start, end = _numbers(sample, target, 2, "a span [start, end] in seconds")
    match sample.meta.get("span_unit", "seconds"):
        case "seconds":
            pass
        case "share":
            length = sample.meta.get("video_length")
            if not isinstance(length, int | float) or not 0.0 < length < 1e7:
                _refuse(sample, f'a share of meta["video_length"] seconds, which is {length!r:.40}')
            if not 0.0 <= start < end <= 1.0 + 1e-6:
                _refuse(sample, "a span of shares with 0 <= start < end <= 1")
            start, end = start * length, end * length
        case unit:
            _refuse(sample, f'a span in "seconds" or "share", not in {unit!r:.40}')
    if not is_proper_span((start, end)):
        _refuse(sample, f"a span with 0 <= start < end, got [{start}, {end}]")
    return start, end


def gold_choice(sample: Sample) -> str:
    """The capital letter of `sample.target`."""
    return _parsed(sample, parse_choice, "an option letter such as B")


def gold_number(sample: Sample) -> float:
    """The number of `sample.target`: a number, or text that holds one."""
    target = sample.target
    if isinstance(target, int | float) and not isinstance(target, bool) and math.isfinite(target):
        return float(target)
    return _parsed(sample, parse_number, "one finite number")


def gold_texts(sample: Sample) -> tuple[str, ...]:
    """The accepted texts of `sample.target` (one or several), made comparable."""
    target = sample.target
    texts = [target] if isinstance(target, str) else list(target) if _is_row(target) else []
    normal = tuple(normal_text(text) for text in texts if isinstance(text, str))
    if not normal or not all(normal) or len(normal) != len(texts):
        _refuse(sample, "a text that is not blank, or a list of such texts")
    return normal


def _parsed(sample: Sample, parse: Callable[[str], T | None], wanted: str) -> T:
    value = parse(sample.target) if isinstance(sample.target, str) else None
    if value is None:
        _refuse(sample, wanted)
    return value


def _is_row(value: Any) -> bool:
    """Whether `value` is a list, tuple or array, as rows of data sets come."""
    return hasattr(value, "__len__") and not isinstance(value, str | bytes | Mapping)


def _numbers(sample: Sample, value: Any, num: int, wanted: str) -> tuple[float, ...]:
    if not _is_row(value) or len(value) != num:
        _refuse(sample, wanted)
    try:
        return tuple(float(number) for number in value)
    except (TypeError, ValueError):
        _refuse(sample, wanted)


def _refuse(sample: Sample, wanted: str) -> NoReturn:
    raise DataError(
        f'the target of sample "{sample.id}" (task "{sample.task}") should be {wanted}; '
        f"it is {sample.target!r}"
    )
