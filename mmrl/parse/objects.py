"""Lists of things in an answer: `[{"bbox_2d": [x1, y1, x2, y2], "label": "cat"}, …]`.

The forms of Qwen2.5-VL (`bbox_2d`, `point_2d`, `label`), Visual-RFT (`Position`, `Confidence`) and
Seg-Zero (`bbox`, `points_1`, `points_2`). Each object `{…}` is read on its own as strict JSON, else
once more with single quotes and Python's `None` mended: one that is cut off or broken is skipped
and spoils no other. What a value should not be (a text where a number belongs, three numbers for a
box) makes it absent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmrl.parse.boxes import Box
from mmrl.parse.points import Point

BOX_KEYS = ("bbox_2d", "bbox", "box", "Position", "position")
POINT_KEYS = ("point_2d", "point", "points_1", "points_2")
LABEL_KEYS = ("label", "name", "category")
CONFIDENCE_KEYS = ("Confidence", "confidence", "score")

_OBJECT = re.compile(r"\{[^{}]*+\}")
_KEY = re.compile(rf"[\"'](?:{'|'.join((*BOX_KEYS, *POINT_KEYS))})[\"']")
_LONGEST = 2000
"""Characters of one object; a longer one is no thing."""


@dataclass(frozen=True, slots=True)
class Thing:
    """What is said of one thing; at least a box or a point."""

    box: Box | None = None
    points: tuple[Point, ...] = ()
    label: str = ""
    confidence: float | None = None


def parse_things(text: str) -> list[Thing]:
    """The things of `text`, in order; those without a box or point are none."""
    read = (_thing_of(match[0]) for match in _OBJECT.finditer(text))
    return [thing for thing in read if thing is not None]


def without_things(text: str) -> str:
    """`text` with every object that describes a thing taken out."""
    return _OBJECT.sub(lambda match: match[0] if _thing_of(match[0]) is None else "", text)


def _thing_of(piece: str) -> Thing | None:
    if len(piece) > _LONGEST or not _KEY.search(piece):
        return None
    return read_thing(_loaded(piece))


def read_thing(value: Any) -> Thing | None:
    """The thing that an object describes, or None."""
    if not isinstance(value, Mapping):
        return None
    box = next((_numbers(value[key], 4) for key in BOX_KEYS if key in value), None)
    points = [_numbers(value[key], 2) for key in POINT_KEYS if key in value]
    known = tuple(point for point in points if point is not None)
    if box is None and not known:
        return None
    label = next((value[key] for key in LABEL_KEYS if key in value), "")
    sure = next((value[key] for key in CONFIDENCE_KEYS if key in value), None)
    return Thing(
        box=box,  # type: ignore[arg-type]
        points=known,  # type: ignore[arg-type]
        label=label if isinstance(label, str) else "",
        confidence=float(sure) if sure is not None and _is_number(sure) else None,
    )


def _loaded(piece: str) -> Any:
    for text in (piece, _mended(piece)):
        try:
            return json.loads(text, parse_int=float)
        except (json.JSONDecodeError, RecursionError):
            continue
    return None


def _mended(piece: str) -> str:
    return re.sub(r"\bNone\b", "null", piece.replace("'", '"'))


def _numbers(value: Any, num: int) -> tuple[float, ...] | None:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != num:
        return None
    return tuple(float(v) for v in value) if all(map(_is_number, value)) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
