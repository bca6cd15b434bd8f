"""Places for the names of stops: beside their stop, off the lines and off each other."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ImageFont

Rect = tuple[int, int, int, int]
"""x1, y1, x2, y2 in pixels, the far edges exclusive."""
Taken = NDArray[np.uint8]
_SIDES = ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (-1, -1), (1, 1), (-1, 1))
"""Where a name stands from its stop, best first: right, left, above, below, then the corners."""
_DX, _DY = (np.array(axis, float) for axis in zip(*_SIDES * 2, strict=True))
_REACH = np.where((_DX != 0) & (_DY != 0), 0.75, 1.0)
_GAP = np.repeat([2.0, 4.0], len(_SIDES))
"""Pixels between a stop's marker and its name: two tries on each side."""


@lru_cache(maxsize=32)
def font(size: int) -> ImageFont.FreeTypeFont:
    """The font that Pillow carries (Aileron, CC0), so that no font file is needed."""
    found = ImageFont.load_default(size)
    assert isinstance(found, ImageFont.FreeTypeFont)
    return found


@lru_cache(maxsize=1 << 14)
def text_size(text: str, size: int) -> tuple[int, int]:
    """Width and height in pixels of a text, with the height of a capital and a descender."""
    left, _, right, _ = font(size).getbbox(text)
    return int(np.ceil(right - left)), size


def place_labels(
    marked: Taken,
    crossed: Taken,
    spots: Mapping[str, tuple[float, float]],
    *,
    size: int,
    radius: float,
    strict: bool = True,
) -> dict[str, Rect] | None:
    """A rectangle for each name, or None where one finds no free place.

    `marked` [H, W] is 1 where a stop or the legend is, `crossed` where a line is, `spots` are the
    stops in pixels, `radius` that of their markers. The names with the fewest free places come
    first. Without `strict` a name may lie over a line (over nothing else), and one without any
    place is left out.
    """
    names = list(spots)
    rects = _options(names, np.array([spots[name] for name in names]), size, radius)
    inside = (rects[..., :2] >= 1).all(-1)
    inside &= (rects[..., 2] < marked.shape[1]) & (rects[..., 3] < marked.shape[0])
    rects = np.where(inside[..., None], rects, 0)
    allowed = inside & (_ink(marked, rects) == 0)
    ink = _ink(crossed, rects)
    free = allowed & (ink == 0)
    # places in the order they are tried: free ones, best first, then by the ink they cover
    order = np.argsort(np.where(allowed, ink, 1 << 30), axis=1, kind="stable")
    tries = (free if strict else allowed).sum(1)
    placed: dict[str, Rect] = {}
    for i in np.argsort(free.sum(1), kind="stable"):
        choices = (tuple(map(int, rects[i, k])) for k in order[i, : tries[i]])
        found = next((c for c in choices if not any(_touch(c, r) for r in placed.values())), None)
        if found is not None:
            placed[names[i]] = (found[0], found[1], found[2], found[3])
        elif strict:
            return None
    return placed


def _options(names: list[str], at: NDArray[np.float64], size: int, radius: float) -> NDArray[Any]:
    """Rectangles [N, 16, 4] around each stop, best first."""
    width = np.array([[text_size(name, size)[0]] for name in names], float)
    gap = (radius + _GAP) * _REACH
    left = np.rint(at[:, :1] + _DX * gap - width * (1 - _DX) / 2)
    top = np.rint(at[:, 1:] + _DY * gap - size * (1 - _DY) / 2)
    return np.stack([left, top, left + width, top + size], -1).astype(int)


def _ink(taken: Taken, rects: NDArray[Any]) -> NDArray[Any]:
    """Pixels taken inside of each rectangle."""
    sums = cv2.integral(taken)
    x1, y1, x2, y2 = np.moveaxis(rects, -1, 0)
    inked: NDArray[Any] = sums[y2, x2] - sums[y1, x2] - sums[y2, x1] + sums[y1, x1]
    return inked


def _touch(a: tuple[int, ...], b: Rect) -> bool:
    """Whether two names are less than 4 pixels apart sideways and 1 up and down."""
    return a[0] < b[2] + 4 and b[0] < a[2] + 4 and a[1] < b[3] + 1 and b[1] < a[3] + 1
