"""Tiny screens: 168 x 168 pixels, an element a cell of a 6 x 6 grid, each with a word of its own.

An element is a button (a filled plate), a field (a framed one), a link (the bare word, underlined)
or an icon. The arrangement of a screen (which word in which cell) decides its split, so that no
screen of the test split has an arrangement of the training split.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmrl.tasks.drawing import (
    COLOURS,
    Box,
    Drawn,
    Mask,
    Picture,
    background,
    finish,
    generator,
    paste,
    tight_box,
)
from mmrl.tasks.gui_icons import ICONS, WORDS, icon_mask, word_mask

SIDE = 168
CELL = 28
CELLS = SIDE // CELL
Ink = NDArray[np.float32]
Arrangement = tuple[tuple[str, int], ...]
"""Words with the number of their cell, row by row from 0; the wanted word first."""

_TENTHS = {"train": range(8), "val": range(8, 9), "test": range(9, 10)}


@dataclass(frozen=True, kw_only=True)
class Screen:
    """A drawn screen: the wanted element first."""

    picture: Picture
    elements: tuple[Drawn, ...]
    """`kind` is the element's, `name` its word, `box` in pixels."""


def split_of(arrangement: Arrangement) -> str:
    """The split that a screen belongs to: by a checksum of what lies where, in any order."""
    tenth = zlib.crc32(repr(sorted(arrangement)).encode()) % 10
    return next(split for split, tenths in _TENTHS.items() if tenth in tenths)


def arrange(rng: np.random.Generator, split: str, num: int) -> Arrangement:
    """`num` different words in different cells, drawn anew until they are of this split."""
    while True:
        words, cells = rng.permutation(len(WORDS))[:num], rng.permutation(CELLS**2)[:num]
        made = tuple((WORDS[w], int(c)) for w, c in zip(words, cells, strict=True))
        if split_of(made) == split:
            return made


def draw_screen(
    world: str,
    index: int,
    split: str,
    seed: int,
    *,
    elements: tuple[int, int],
    icons: float,
    noise: float,
) -> Screen:
    """A screen of the split with `elements` things, fewest and most; share `icons` as pictures."""
    rng = generator(world, split, seed, index)
    plan = arrange(rng, split, int(rng.integers(elements[0], elements[1] + 1)))
    dark = bool(rng.integers(2))
    canvas = background(rng, SIDE, float(rng.uniform(25, 70) if dark else rng.uniform(205, 245)))
    drawn = []
    for word, cell in plan:
        row, col = divmod(cell, CELLS)
        as_icon = word in ICONS and rng.random() < icons
        kind = "icon" if as_icon else ("button", "field", "link")[rng.integers(3)]
        box = _draw(rng, canvas, kind, word, col * CELL, row * CELL, dark)
        drawn.append(Drawn(kind=kind, name=word, box=box))
    return Screen(picture=finish(rng, canvas, noise), elements=tuple(drawn))


def screen_marks(screen: Screen) -> list[list[object]]:
    """What is seen where, in pixels: the kind of each element and the word that it means."""
    seen: list[list[object]] = []
    for thing in screen.elements:
        x, y = (thing.box[0] + thing.box[2]) / 2, (thing.box[1] + thing.box[3]) / 2
        seen += [["element", thing.kind, x, y], ["text", thing.name, x, y]]
    return seen


def _draw(
    rng: np.random.Generator, canvas: Ink, kind: str, word: str, left: int, top: int, dark: bool
) -> Box:
    """Draws one element into its cell; returns its box: the plate's, or that of the ink."""
    strong = np.full(3, 245.0 if dark else 20.0, np.float32)
    if kind == "icon":
        side = int(rng.integers(18, 25))
        x, y = left + int(rng.integers(1, CELL - side)), top + int(rng.integers(1, CELL - side))
        mask = icon_mask(word, side)
        paste(canvas, mask, x, y, _colour(rng, dark) if rng.integers(2) else strong)
        return tight_box(mask, x, y)
    width, height = min(24, 7 * len(word)), int(rng.integers(13, 16))
    text = word_mask(word, width, height)
    if kind == "link":
        x = left + int(rng.integers(1, CELL - width))
        y = top + int(rng.integers(2, CELL - height - 3))
        paste(canvas, text, x, y, strong)
        canvas[y + height : y + height + 1, x : x + width] = strong
        return float(x), float(y), float(x + width), float(y + height + 1)
    wide, high = CELL - 2, height + int(rng.integers(5, 10))
    x, y = left + 1, top + int(rng.integers(1, CELL - high))
    plate = canvas[y : y + high, x : x + wide]
    ink = strong
    if kind == "button":
        colour = _colour(rng, dark)
        plate[:] = colour
        ink = np.full(3, 20.0 if colour @ (0.3, 0.59, 0.11) > 140 else 250.0, np.float32)
    else:
        plate[[0, -1], :] = strong
        plate[:, [0, -1]] = strong
    paste(canvas, text, x + (wide - width) // 2, y + (high - height) // 2, ink)
    return float(x), float(y), float(x + wide), float(y + high)


def _colour(rng: np.random.Generator, dark: bool) -> Mask:
    names = [n for n in COLOURS if n != "white" and (n != "yellow" or dark)]
    return np.asarray(COLOURS[names[rng.integers(len(names))]], np.float32)
