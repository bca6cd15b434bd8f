"""Lines, boxes, points and words on a picture of uint8 [H, W, 3], seen on any ground.

Everything has a dark rim. Coordinates are pixels from the upper left corner of the picture, so that
a box (0, 0, W, H) runs along its border; they may lie outside. Lines are `2 * half` pixels wide.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from math import hypot

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Canvas = NDArray[np.uint8]
Rgb = tuple[int, int, int]
Point = tuple[float, float]

RIM: Rgb = (16, 16, 16)
_RIM_WIDTH = 1
_DASH = 6
"""Half widths that a dash is long; gaps are as long."""
_SHIFT = 4
"""Fractional bits of OpenCV's coordinates."""
_LONGEST_WORD = 24


def box(canvas: Canvas, edges: Sequence[float], colour: Rgb, half: int, *, dashed: bool) -> None:
    """The border of a box, its middle on the edges; dashes begin and end at the corners."""
    height, width = canvas.shape[:2]
    x1, x2 = (_held(edges[i], width, half) for i in (0, 2))
    y1, y2 = (_held(edges[i], height, half) for i in (1, 3))
    for rim, tone in ((_RIM_WIDTH, RIM), (0, colour)):
        reach = half + rim
        along_x = _pattern(x1 - half, x2 + half, half, rim, dashed)
        along_y = _pattern(y1 - half, y2 + half, half, rim, dashed)
        for y in (y1, y2):
            _fill(canvas, x1 - reach, y - reach, y + reach, along_x, tone)
        turned = canvas.transpose(1, 0, 2)
        for x in (x1, x2):
            _fill(turned, y1 - reach, x - reach, x + reach, along_y, tone)


def line(canvas: Canvas, points: Sequence[Point], colour: Rgb, half: int, *, dashed: bool) -> None:
    """A line through points."""
    pieces = list(_dashes(points, _DASH * half) if dashed else pairwise(points))
    for width, tone in ((2 * (half + _RIM_WIDTH), RIM), (2 * half, colour)):
        for a, b in pieces:
            cv2.line(canvas, _fixed(a), _fixed(b), tone, width, cv2.LINE_AA, _SHIFT)


def ring(canvas: Canvas, point: Point, colour: Rgb, half: int) -> None:
    """A circle with a dot in its middle."""
    radius = 5 * half << _SHIFT
    for width, tone in ((2 * (half + _RIM_WIDTH), RIM), (2 * half, colour)):
        cv2.circle(canvas, _fixed(point), radius, tone, width, cv2.LINE_AA, _SHIFT)
    for size, tone in ((half + _RIM_WIDTH, RIM), (half, colour)):
        cv2.circle(canvas, _fixed(point), size << _SHIFT, tone, -1, cv2.LINE_AA, _SHIFT)


def cross(canvas: Canvas, point: Point, colour: Rgb, half: int) -> None:
    """A cross of two diagonals."""
    x, y = point
    arm = 4 * half
    pieces = (((x - arm, y - arm), (x + arm, y + arm)), ((x - arm, y + arm), (x + arm, y - arm)))
    for width, tone in ((2 * (half + _RIM_WIDTH), RIM), (2 * half, colour)):
        for a, b in pieces:
            cv2.line(canvas, _fixed(a), _fixed(b), tone, width, cv2.LINE_AA, _SHIFT)


def tags(image: Image.Image, words: Sequence[tuple[Point, str, Rgb]], half: int) -> None:
    """Words in tags of their colours above their points, inside the picture where they fit."""
    pen, letters = ImageDraw.Draw(image), font(5 * half + 5)
    for (x, y), word, colour in words:
        text = plain(word)
        if not text:
            continue
        wide, high = size_of(text, letters)
        left = min(max(0.0, x), max(0.0, image.width - wide - 6))
        top = min(max(0.0, y - high - 5 - half), max(0.0, image.height - high - 5))
        pen.rectangle((left, top, left + wide + 5, top + high + 4), fill=colour, outline=RIM)
        pen.text((left + 3, top + 2), text, RIM, letters, anchor="lt")


def plain(text: str) -> str:
    """A short text of which every character is seen: controls and marks of direction are boxes."""
    short = text if len(text) <= _LONGEST_WORD else f"{text[: _LONGEST_WORD - 1]}…"
    return "".join(c if c.isprintable() else "\u25a1" for c in short)


@lru_cache(maxsize=32)
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font that comes with Pillow."""
    return ImageFont.load_default(size)


def size_of(text: str, letters: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> tuple[int, int]:
    """Width and height of a text in pixels."""
    left, top, right, bottom = letters.getbbox(text, anchor="lt")
    return round(right - left), round(bottom - top)


def _held(value: float, extent: int, half: int) -> int:
    """A whole coordinate, at most a little outside."""
    return round(min(max(value, -4.0 * half - 4), extent + 4.0 * half + 4))


def _pattern(start: int, end: int, half: int, rim: int, dashed: bool) -> NDArray[np.bool_]:
    """Which pixels of an edge from `start` to `end` are drawn, `rim` more at both ends."""
    length = end - start + 2 * rim
    at = np.arange(length) - rim
    if not dashed:
        return np.ones(length, bool)
    dash = _DASH * half
    # an odd number of equal pieces, so that dashes stand at both corners
    num = max(1, round((end - start) / dash)) | 1
    piece = (end - start) / num
    drawn = np.zeros(length, bool)
    for i in range(0, num, 2):
        drawn |= (at >= round(i * piece) - rim) & (at < round((i + 1) * piece) + rim)
    return drawn


def _fill(
    canvas: Canvas, x: int, top: int, bottom: int, drawn: NDArray[np.bool_], colour: Rgb
) -> None:
    """Colours rows `top` to `bottom` in the columns that `drawn` marks from `x` on."""
    left, right = max(0, x), min(canvas.shape[1], x + len(drawn))
    top, bottom = max(0, top), min(canvas.shape[0], bottom)
    if left < right and top < bottom:
        canvas[top:bottom, left:right][:, drawn[left - x : right - x]] = colour


def _dashes(points: Sequence[Point], dash: float) -> list[tuple[Point, Point]]:
    """Pieces of a line: every other one of length `dash` along it."""
    pieces = []
    done = 0.0
    for a, b in pairwise(points):
        length = hypot(b[0] - a[0], b[1] - a[1])
        at = 0.0
        while at < length:
            phase = (done + at) % (2 * dash)
            step = min(length - at, (dash if phase < dash else 2 * dash) - phase + 1e-6)
            if phase < dash:
                pieces.append((_between(a, b, at / length), _between(a, b, (at + step) / length)))
            at += step
        done += length
    return pieces


def _between(a: Point, b: Point, share: float) -> Point:
    return a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share


def _fixed(point: Point) -> tuple[int, int]:
    """A point in OpenCV's fixed-point numbers, which count from the middle of the first pixel."""
    return round((point[0] - 0.5) * (1 << _SHIFT)), round((point[1] - 0.5) * (1 << _SHIFT))
