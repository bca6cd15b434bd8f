"""Draws a layout as a picture, and says which of its elements can be asked for by name."""

from __future__ import annotations

from collections import Counter

import cv2
import numpy as np

from mmrl.tasks.drawing import COLOURS, Box, Picture
from mmrl.tasks.gui_icons import icon_mask
from mmrl.tasks.gui_layout import Element, Layout

Colour = tuple[int, int, int]
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_LEAST_SCALE = 0.3
"""Letters of about 7 pixels; smaller ones are drawn and not asked for."""
_LUMINANCE = np.array([0.299, 0.587, 0.114])
_LEAST_CONTRAST = 80.0
"""Levels of luminance between letters and their ground."""
_WORDS = {"BUTTON": "button", "TEXT": "text", "LABEL": "text"}


def draw_layout(rng: np.random.Generator, layout: Layout, width: int, height: int) -> Picture:
    """The picture [height, width, 3]; colours are drawn, a light or a dark theme."""
    dark = bool(rng.integers(2))
    ground = int(rng.integers(20, 50) if dark else rng.integers(225, 256))
    ink: Colour = (235, 235, 235) if dark else (25, 25, 25)
    soft: Colour = (ground + 40,) * 3 if dark else (ground - 35,) * 3
    names = [name for name in COLOURS if name not in ("white", "yellow")]
    accent: Colour = COLOURS[names[rng.integers(len(names))]]
    canvas = np.full((height, width, 3), ground, np.uint8)
    for element in layout:
        _draw(canvas, element, pixels(element, width, height), ink, soft, accent)
    return canvas


def pixels(element: Element, width: int, height: int) -> Box:
    """The element's box in whole pixels, at least two wide and high, inside the picture."""
    x1, y1, x2, y2 = element.box
    left = min(width - 2, max(0, round(x1 * width / 1000)))
    top = min(height - 2, max(0, round(y1 * height / 1000)))
    right = min(width, max(left + 2, round(x2 * width / 1000)))
    bottom = min(height, max(top + 2, round(y2 * height / 1000)))
    return float(left), float(top), float(right), float(bottom)


def askable(layout: Layout, width: int, height: int) -> list[tuple[str, Element]]:
    """Names with their elements: those that are unique on the screen and can be read."""
    named = []
    for element in layout:
        box = pixels(element, width, height)
        if element.icon and min(box[2] - box[0], box[3] - box[1]) >= 8:
            named.append((f'icon "{element.icon}"', element))
        elif element.kind in _WORDS and element.text and _scale(element.text, box) >= _LEAST_SCALE:
            named.append((f'{_WORDS[element.kind]} "{element.text}"', element))
    seen = Counter(element.icon or element.text for element in layout)
    return [(name, e) for name, e in named if seen[e.icon or e.text] == 1]


def _draw(
    canvas: Picture, element: Element, box: Box, ink: Colour, soft: Colour, accent: Colour
) -> None:
    x1, y1, x2, y2 = (int(v) for v in box)
    corner, far = (x1, y1), (x2 - 1, y2 - 1)
    text = ink
    match element.kind:
        case "TOOLBAR" | "NAVIGATION_BAR" | "IMAGE":
            cv2.rectangle(canvas, corner, far, soft, -1)
            height, width = canvas.shape[:2]
            behind = (x2 - x1) * (y2 - y1) > 0.4 * width * height  # what lies on it must stay clear
            if element.kind == "IMAGE" and not behind:
                cv2.line(canvas, corner, far, ink, 1)
        case "LIST_ITEM":
            cv2.line(canvas, (x1, far[1]), far, soft, 1)
        case "BUTTON":
            cv2.rectangle(canvas, corner, far, accent, -1)
            text = (250, 250, 250)
        case "TEXT_INPUT" | "CHECKBOX":
            cv2.rectangle(canvas, corner, far, ink, 1)
        case "RADIO_BUTTON":
            cv2.circle(canvas, ((x1 + x2) // 2, (y1 + y2) // 2), max(2, (y2 - y1) // 3), ink, 1)
        case "SWITCH":
            cv2.rectangle(canvas, corner, far, accent, 1)
            cv2.rectangle(canvas, ((x1 + x2) // 2, y1), far, accent, -1)
        case "PICTOGRAM":
            _icon(canvas, element.icon, box, legible(canvas, box, ink), soft)
            return
    if element.text:
        _write(canvas, element.text, box, legible(canvas, box, text))


def legible(canvas: Picture, box: Box, ink: Colour) -> Colour:
    """`ink`, or light or dark where it would hardly show on what is there: text lies on buttons."""
    x1, y1, x2, y2 = (int(v) for v in box)
    under = float((canvas[y1:y2, x1:x2] @ _LUMINANCE).mean())
    if abs(float(np.asarray(ink) @ _LUMINANCE) - under) >= _LEAST_CONTRAST:
        return ink
    return (250, 250, 250) if under < 128.0 else (25, 25, 25)


def _icon(canvas: Picture, name: str, box: Box, ink: Colour, soft: Colour) -> None:
    x1, y1, x2, y2 = (int(v) for v in box)
    side = max(2, min(x2 - x1, y2 - y1))
    left, top = (x1 + x2 - side) // 2, (y1 + y2 - side) // 2
    if not name or side < 8:
        cv2.rectangle(canvas, (left, top), (left + side - 1, top + side - 1), soft, 1)
        return
    view = canvas[top : top + side, left : left + side].astype(np.float32)
    mask = icon_mask(name, side)[: view.shape[0], : view.shape[1], None]
    view += mask * (np.asarray(ink, np.float32) - view)
    canvas[top : top + side, left : left + side] = np.rint(view).astype(np.uint8)


def _scale(text: str, box: Box) -> float:
    """Size of letters that fit the box in both directions."""
    (width, _), _ = cv2.getTextSize(text, _FONT, 1.0, 1)
    return min((box[2] - box[0]) / max(1, width), (box[3] - box[1]) / 30.0, 0.6)


def _write(canvas: Picture, text: str, box: Box, colour: Colour) -> None:
    scale = _scale(text, box)
    if scale < 0.1:
        return
    (width, high), _ = cv2.getTextSize(text, _FONT, scale, 1)
    x = int(box[0] + (box[2] - box[0] - width) / 2)
    y = int((box[1] + box[3] + high) / 2)
    cv2.putText(canvas, text, (x, y), _FONT, scale, colour, 1, cv2.LINE_AA)
