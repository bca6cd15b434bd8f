"""What an answer draws on its media: boxes, points, spans of time, routes.

A task says how its answers are drawn (`Draws`); `answer_overlay` and `gold_overlay` apply it. x and
y are shares of a picture's width and height (0 to 1, not clipped: an answer may lie outside), spans
are seconds of the clip. Text that is no place draws nothing and raises nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from mmrl.errors import DataError
from mmrl.parse.boxes import Box, CoordSpace, convert_box, coord_space, is_proper_box
from mmrl.parse.points import Point
from mmrl.parse.spans import Span, is_proper_span
from mmrl.rewards.gold import gold_space
from mmrl.rewards.spaces import space_of_answers
from mmrl.types import MediaInfo, Parsed, Rollout, Sample

if TYPE_CHECKING:
    from mmrl.tasks.base import Task

MOST_MARKS = 200
"""Marks of one kind that an overlay keeps; a model may write ten thousand boxes."""
MOST_CORNERS = 500
"""Corners of one route that are kept."""
FARTHEST = 1e6
"""A coordinate this many pictures (or seconds) away is no place."""
_LONGEST = 120
"""Characters of a label."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BoxMark:
    """A box (x1, y1, x2, y2) with a positive width and height on medium number `medium`."""

    box: Box
    medium: int = 0
    label: str = ""


@dataclass(frozen=True, slots=True)
class PointMark:
    """A point (x, y)."""

    point: Point
    medium: int = 0
    label: str = ""


@dataclass(frozen=True, slots=True)
class SpanMark:
    """A span (start, end) in seconds, 0 <= start < end."""

    span: Span
    medium: int = 0
    label: str = ""


@dataclass(frozen=True, slots=True)
class RouteMark:
    """A line through two or more points."""

    line: tuple[Point, ...]
    medium: int = 0
    label: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Overlay:
    """Everything that one answer, or one reference, draws."""

    boxes: tuple[BoxMark, ...] = ()
    points: tuple[PointMark, ...] = ()
    spans: tuple[SpanMark, ...] = ()
    routes: tuple[RouteMark, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is drawn."""
        return not (self.boxes or self.points or self.spans or self.routes)

    def to_json(self) -> dict[str, list[dict[str, Any]]]:
        """Lists of mappings, as run folders keep them: finite numbers with six decimals."""

        def listed(name: str, values: Sequence[Any], marks: Sequence[Any]) -> list[dict[str, Any]]:
            return [
                {"medium": mark.medium, name: value, "label": mark.label}
                for mark, value in zip(marks, values, strict=True)
            ]

        lines = [[_rounded(point) for point in mark.line] for mark in self.routes]
        return {
            "boxes": listed("box", [_rounded(m.box) for m in self.boxes], self.boxes),
            "points": listed("point", [_rounded(m.point) for m in self.points], self.points),
            "spans": listed("span", [_rounded(m.span) for m in self.spans], self.spans),
            "routes": listed("line", lines, self.routes),
        }

    @classmethod
    def from_json(cls, value: Any) -> Overlay:
        """The overlay of such a mapping; what is no proper mark of it is left out."""
        return cls(
            boxes=_read(value, "boxes", "box", BoxMark, _box_of),
            points=_read(value, "points", "point", PointMark, _point_of),
            spans=_read(value, "spans", "span", SpanMark, _span_of),
            routes=_read(value, "routes", "line", RouteMark, _line_of),
        )


@dataclass(frozen=True, slots=True)
class Place:
    """Where coordinates count from: their space, and the media that they are of.

    Boxes and points belong to the first picture (else the first clip), spans to the first clip.
    Methods give None for what is no place there, or where space or sizes are not known.
    """

    space: CoordSpace | None
    media: tuple[MediaInfo, ...] = ()

    @property
    def picture(self) -> int:
        """Number of the medium that boxes belong to."""
        return self._first("image")

    @property
    def clip(self) -> int:
        """Number of the medium that spans belong to."""
        return self._first("video")

    def box(self, box: Sequence[float], label: str = "", *, space: str = "") -> BoxMark | None:
        """The mark of a box in this place's space, or in another one that is named."""
        shares = self._shares((box[0], box[1], box[2], box[3]), space)
        if shares is None or not is_proper_box(shares):
            return None
        return BoxMark(shares, self.picture, label[:_LONGEST])

    def point(
        self, point: Sequence[float], label: str = "", *, space: str = ""
    ) -> PointMark | None:
        """The mark of a point."""
        shares = self._shares((point[0], point[1], point[0], point[1]), space)
        return None if shares is None else PointMark(shares[:2], self.picture, label[:_LONGEST])

    def span(self, span: Span, label: str = "") -> SpanMark | None:
        """The mark of a span in seconds."""
        if not is_proper_span(span) or span[1] > FARTHEST:
            return None
        return SpanMark((span[0], span[1]), self.clip, label[:_LONGEST])

    def _first(self, kind: str) -> int:
        return next((i for i, info in enumerate(self.media) if info.kind == kind), 0)

    def _shares(self, box: Box, named: str) -> Box | None:
        space = coord_space(named) if named else self.space
        if space is None:
            return None
        original = processed = (0, 0)
        if self.media:
            info = self.media[self.picture]
            original, processed = info.original_size, info.processed_size
        sizes = {CoordSpace.ABS_ORIGINAL: original, CoordSpace.ABS_RESIZED: processed}
        if min(sizes.get(space, (1, 1))) <= 0:
            return None
        shares = convert_box(box, space, CoordSpace.NORM_1, original, processed)
        return shares if all(map(_is_near, shares)) else None


Drawing = Callable[[Parsed, Sample, Place], Overlay]
"""What a parsed answer draws."""


@dataclass(frozen=True, kw_only=True)
class Draws:
    """How a task's answers and references are drawn.

    `answer(parsed, sample, place)` must not raise, whatever the answer. `gold(sample, place)` is
    for references that say more than the reference answer (a box that is answered by a point);
    without it the reference answer is drawn like any other.
    """

    answer: Drawing
    gold: Callable[[Sample, Place], Overlay] | None = None


def answer_overlay(task: Task, rollout: Rollout, sample: Sample) -> Overlay | None:
    """What a rollout's answer draws; None where its task draws nothing."""
    if task.overlay is None:
        return None
    prompt = rollout.prompt
    place = Place(answer_space(sample, prompt.coord_space), prompt.media)
    return task.overlay.answer(rollout.parsed, sample, place)


def gold_overlay(task: Task, sample: Sample, media: Sequence[MediaInfo]) -> Overlay | None:
    """What the reference draws; None where the task draws nothing.

    `media` are those of a prompt. A target that cannot be read draws nothing.
    """
    if task.overlay is None:
        return None
    try:
        space = gold_space(sample) if sample.meta.get("coord_space") is not None else None
        place = Place(space, tuple(media))
        if task.overlay.gold is not None:
            return task.overlay.gold(sample, place)
        return task.overlay.answer(task.parse(task.gold(sample)), sample, place)
    except DataError:
        return Overlay()


def answer_space(sample: Sample, family_space: str | None) -> CoordSpace | None:
    """The space in which a model answers this sample, as rewards read it; None where unknown."""
    try:
        return space_of_answers(sample, family_space)
    except DataError:
        return None


def known(marks: Sequence[T | None] | Any) -> tuple[T, ...]:
    """The marks that are none of None, at most `MOST_MARKS`."""
    return tuple(islice((mark for mark in marks if mark is not None), MOST_MARKS))


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(v, 6) for v in values]


def _is_near(value: float) -> bool:
    return math.isfinite(value) and abs(value) <= FARTHEST


def _read(
    value: Any, key: str, name: str, kind: Callable[..., T], read: Callable[[Any], Any]
) -> tuple[T, ...]:
    rows = value.get(key) if isinstance(value, Mapping) else None
    found = []
    for row in islice(rows, MOST_MARKS) if isinstance(rows, list | tuple) else ():
        place = read(row.get(name)) if isinstance(row, Mapping) else None
        if place is None:
            continue
        medium, label = row.get("medium", 0), row.get("label", "")
        if isinstance(medium, int) and not isinstance(medium, bool) and medium >= 0:
            found.append(kind(place, medium, label[:_LONGEST] if isinstance(label, str) else ""))
    return tuple(found)


def _numbers_of(value: Any, num: int) -> tuple[float, ...] | None:
    if not isinstance(value, list | tuple) or len(value) != num:
        return None
    if any(isinstance(v, bool) or not isinstance(v, int | float) for v in value):
        return None
    return tuple(map(float, value)) if all(abs(v) <= FARTHEST for v in value) else None


def _box_of(value: Any) -> Box | None:
    found = _numbers_of(value, 4)
    if found is None:
        return None
    x1, y1, x2, y2 = found
    return (x1, y1, x2, y2) if is_proper_box((x1, y1, x2, y2)) else None


def _point_of(value: Any) -> Point | None:
    found = _numbers_of(value, 2)
    return None if found is None else (found[0], found[1])


def _span_of(value: Any) -> Span | None:
    span = _point_of(value)
    return span if span is not None and is_proper_span(span) else None


def _line_of(value: Any) -> tuple[Point, ...] | None:
    if not isinstance(value, list | tuple):
        return None
    points = [_point_of(point) for point in value[:MOST_CORNERS]]
    line = tuple(point for point in points if point is not None)
    return line if len(line) == len(points) and len(line) > 1 else None
