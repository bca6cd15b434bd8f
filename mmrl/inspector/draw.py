"""Overlays drawn on a picture, or on a strip of frames with bars of time below.

The reference is green and solid with rings for points, answers are dashed with crosses, so that
neither needs colours to be told apart; where both coincide, the green shows through the gaps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw

from mmrl.inspector import pen
from mmrl.inspector.load import MOST_FRAMES, Frames, evenly, load_medium
from mmrl.inspector.pen import Canvas, Rgb
from mmrl.media.image import shrunk
from mmrl.tasks.overlay import MOST_MARKS, Overlay

__all__ = ["GOLD", "PREDICTED", "Frames", "Layer", "draw_picture", "draw_strip", "load_medium"]

GOLD: Rgb = (0, 170, 110)
PREDICTED: tuple[Rgb, ...] = (
    (255, 120, 40),
    (86, 180, 233),
    (240, 228, 66),
    (204, 121, 167),
    (230, 230, 230),
)
"""Colours of answers (after Okabe and Ito: told apart by the colour-blind), to be used in turn."""
SIDE = 640
FRAME = 128
"""Longer side of a frame of a strip [pixels]."""
MOST_LAYERS = 16
"""Answers that are drawn at once."""
_MOST_TAGS = 40
_COVER = 0.7
"""Opacity of routes: the names of stops are read through them."""
_MOST_CORNERS = 2000
"""Corners of routes of one layer that are drawn."""
_PANEL: Rgb = (30, 31, 34)
_INK: Rgb = (225, 225, 225)
_GAP = 4
_BAR = 12
_Word = tuple[pen.Point, str, Rgb]


@dataclass(frozen=True)
class Layer:
    """What one answer draws, its colour, and a short name of it (such as its number)."""

    overlay: Overlay
    label: str = ""
    colour: Rgb = PREDICTED[0]


def draw_picture(
    image: Image.Image,
    gold: Overlay | None,
    predicted: Sequence[Layer] = (),
    *,
    medium: int = 0,
    side: int = SIDE,
) -> Image.Image:
    """The RGB picture with the marks of medium number `medium` drawn on it.

    Small pictures grow by a whole factor, to at most `side` pixels on their longer side; larger
    ones shrink to it. What lies outside of the picture is not seen.
    """
    shown = scaled(image.convert("RGB"), side)
    canvas = np.array(shown)
    half = max(1, round(max(shown.size) / 320))
    layers = [(Layer(gold, "", GOLD), False)] if gold is not None else []
    layers += [(layer, True) for layer in predicted[:MOST_LAYERS]]
    words: list[_Word] = []
    if any(layer.overlay.routes for layer, _ in layers):
        covered = canvas.copy()
        for layer, dashed in layers:
            _routes(covered, layer, dashed, medium, half)
        canvas = np.rint(_COVER * covered + (1 - _COVER) * canvas).astype(np.uint8)
    for layer, dashed in layers:
        words += _boxes(canvas, layer, dashed, medium, half)
    for layer, dashed in layers:
        words += _points(canvas, layer, dashed, medium, half)
    done = Image.fromarray(canvas)
    pen.tags(done, words[:_MOST_TAGS], half)
    return done


def draw_strip(
    frames: Frames,
    gold: Overlay | None,
    predicted: Sequence[Layer] = (),
    *,
    medium: int = 0,
    side: int = FRAME,
    most: int = MOST_FRAMES,
) -> Image.Image:
    """At most `most` frames in a row, their times below, then spans as bars.

    The left edge of a frame is its time: a bar from 1.0 s begins where the frame of 1.0 s does.
    Times between are interpolated; the last frame lasts as long as the one before. Bars: the
    reference, then an answer a row. Boxes and points are drawn on every frame.
    """
    chosen = evenly(len(frames.images), most)
    pictures = [
        draw_picture(frames.images[i], gold, predicted, medium=medium, side=side) for i in chosen
    ]
    seconds = [frames.seconds[i] for i in chosen]
    rows = [("gold", gold, GOLD)] if gold is not None else []
    rows += [
        (layer.label or "answer", layer.overlay, layer.colour) for layer in predicted[:MOST_LAYERS]
    ]
    bars = [
        (pen.plain(name), overlay, colour)
        for name, overlay, colour in rows
        if overlay.spans and pictures
    ]
    letters = pen.font(11)
    gutter = max((pen.size_of(name, letters)[0] + 10 for name, *_ in bars), default=_GAP)
    high = max((p.height for p in pictures), default=1)
    edges = [gutter]
    for picture in pictures:
        edges.append(edges[-1] + picture.width + _GAP)
    below = high + 2 * _GAP + 14
    size = (edges[-1] + _GAP, below + len(bars) * (_BAR + _GAP) + (_GAP if bars else 0))
    strip = Image.new("RGB", size, _PANEL)
    board = ImageDraw.Draw(strip)
    free = 0.0
    for picture, x, second in zip(pictures, edges, seconds, strict=False):
        strip.paste(picture, (x, _GAP))
        text = f"{second:.2f}".rstrip("0").rstrip(".") + " s"
        if x >= free:
            board.text((x, high + 2 * _GAP), text, _INK, letters)
            free = x + pen.size_of(text, letters)[0] + 4
    axis = _axis(seconds)
    for row, (name, overlay, colour) in enumerate(bars):
        top = below + row * (_BAR + _GAP)
        board.text((_GAP, top + _BAR // 2), name, _INK, letters, anchor="lm")
        board.rectangle((gutter, top, edges[-1] - 1, top + _BAR - 1), fill=(52, 54, 58))
        for mark in overlay.spans[:MOST_MARKS]:
            if mark.medium == medium:
                start, end = (round(float(np.interp(t, axis, edges))) for t in mark.span)
                board.rectangle((start, top, max(start + 1, end - 1), top + _BAR - 1), fill=colour)
    return strip


def scaled(image: Image.Image, side: int) -> Image.Image:
    """The picture on at most `side` pixels: enlarged by a whole factor, or shrunk."""
    factor = side // max(image.size)
    if factor < 1:
        return shrunk(image, side)
    size = (image.width * factor, image.height * factor)
    return image if factor == 1 else image.resize(size, Image.Resampling.NEAREST)


def _axis(seconds: Sequence[float]) -> list[float]:
    """Times of the edges between frames, growing, one more than there are frames."""
    steps = [b - a for a, b in pairwise(seconds) if b > a]
    axis = [*seconds, (seconds[-1] if seconds else 0.0) + (steps[-1] if steps else 1.0)]
    return [float(t) for t in np.maximum.accumulate(axis)]


def _at(point: Sequence[float], canvas: Canvas) -> pen.Point:
    """Shares of the sides as pixels, at most one picture outside."""
    height, width = canvas.shape[:2]
    x, y = (min(max(v, -1.0), 2.0) for v in point)
    return x * width, y * height


def _boxes(canvas: Canvas, layer: Layer, dashed: bool, medium: int, half: int) -> list[_Word]:
    words = []
    for mark in layer.overlay.boxes[:MOST_MARKS]:
        if mark.medium != medium:
            continue
        edges = (*_at(mark.box[:2], canvas), *_at(mark.box[2:], canvas))
        pen.box(canvas, edges, layer.colour, half, dashed=dashed)
        if min(mark.box[2:]) > 0.0 and max(mark.box[:2]) < 1.0:
            words.append((edges[:2], _named(layer, mark.label), layer.colour))
    return words


def _points(canvas: Canvas, layer: Layer, dashed: bool, medium: int, half: int) -> list[_Word]:
    words = []
    for mark in layer.overlay.points[:MOST_MARKS]:
        if mark.medium != medium:
            continue
        x, y = _at(mark.point, canvas)
        (pen.cross if dashed else pen.ring)(canvas, (x, y), layer.colour, half)
        inside = all(0.0 <= v <= 1.0 for v in mark.point)
        if inside and not layer.overlay.boxes:  # else its box has the tag
            beside = (x + 6 * half, y - 3 * half)
            words.append((beside, _named(layer, mark.label), layer.colour))
    return words


def _routes(canvas: Canvas, layer: Layer, dashed: bool, medium: int, half: int) -> None:
    left = _MOST_CORNERS
    wide = half if dashed else 2 * half
    for mark in layer.overlay.routes[:MOST_MARKS]:
        if mark.medium == medium and len(mark.line) <= left:
            left -= len(mark.line)
            points = [_at(point, canvas) for point in mark.line]
            pen.line(canvas, points, layer.colour, wide, dashed=dashed)


def _named(layer: Layer, label: str) -> str:
    return f"{layer.label} {label}".strip()
