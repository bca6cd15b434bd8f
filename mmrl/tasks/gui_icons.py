"""Words and icons of drawn screens, as soft masks.

Sixteen words, nine of which also have an icon that means them. A word is drawn large and averaged
down to its place, so that short words are bold and long ones narrow.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from mmrl.tasks.drawing import Mask

WORDS = (
    *("menu", "home", "back", "next", "play", "stop", "add", "find"),
    *("mail", "save", "send", "edit", "help", "user", "file", "lock"),
)
ICONS = ("menu", "home", "back", "next", "play", "stop", "add", "find", "mail")
"""The words that an icon can stand for."""


@lru_cache(maxsize=512)
def word_mask(word: str, width: int, height: int) -> Mask:
    """The word in capital-height letters, stretched to height x width."""
    font, scale, thick = cv2.FONT_HERSHEY_SIMPLEX, 2.0, 7
    (w, h), base = cv2.getTextSize(word, font, scale, thick)
    canvas = np.zeros((h + 2 * base + 20, w + 20), np.uint8)
    cv2.putText(canvas, word, (10, h + 10), font, scale, 255, thick, cv2.LINE_AA)
    columns = np.flatnonzero((canvas > 60).any(0))
    top, bottom = 10 + h - 46, 10 + h + 18  # from ascenders to descenders, the same for all words
    cut = canvas[max(0, top) : bottom, columns[0] : columns[-1] + 1]
    small = cv2.resize(cut, (width, height), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32) / 255.0


@lru_cache(maxsize=256)
def icon_mask(name: str, side: int) -> Mask:
    """The icon in a square of `side` pixels; its strokes reach all four edges of its ink's box."""
    big = np.zeros((96, 96), np.uint8)
    match name:
        case "menu":
            for y in (8, 40, 72):
                cv2.rectangle(big, (4, y), (91, y + 15), 255, -1)
        case "home":
            cv2.fillPoly(big, [np.array([[48, 2], [94, 46], [2, 46]], np.int32)], 255)
            cv2.rectangle(big, (16, 46), (79, 92), 255, -1)
            cv2.rectangle(big, (38, 60), (57, 92), 0, -1)
        case "back" | "next":
            cv2.fillPoly(big, [np.array([[2, 48], [46, 6], [46, 90]], np.int32)], 255)
            cv2.rectangle(big, (46, 36), (93, 59), 255, -1)
            if name == "next":
                big = np.ascontiguousarray(big[:, ::-1])
        case "play":
            cv2.fillPoly(big, [np.array([[12, 2], [12, 93], [90, 48]], np.int32)], 255)
        case "stop":
            cv2.rectangle(big, (10, 10), (85, 85), 255, -1)
        case "add":
            cv2.rectangle(big, (38, 4), (57, 91), 255, -1)
            cv2.rectangle(big, (4, 38), (91, 57), 255, -1)
        case "find":
            cv2.circle(big, (38, 38), 29, 255, 13)
            cv2.line(big, (60, 60), (86, 86), 255, 16)
        case "mail":
            cv2.rectangle(big, (6, 18), (89, 77), 255, 9)
            cv2.polylines(big, [np.array([[6, 20], [48, 52], [89, 20]], np.int32)], False, 255, 9)
        case _:
            raise ValueError(f'no icon "{name}"')
    small = cv2.resize(big, (side, side), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32) / 255.0
