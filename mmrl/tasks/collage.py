"""Collages: a wanted thing among others on one canvas, for the grounding and choice worlds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmrl.tasks.drawing import (
    COLOURS,
    LETTERS,
    SHAPES,
    Box,
    Drawn,
    Mask,
    Picture,
    background,
    digit_mask,
    finish,
    free_spot,
    letter_mask,
    paste,
    shape_mask,
    tight_box,
)

SIDE = 112
"""Side of a collage in pixels."""


@dataclass(frozen=True, kw_only=True)
class Difficulty:
    """How hard a collage is to read."""

    others: tuple[int, int] = (0, 0)
    """Fewest and most distractors of the wanted kind (other digits, other letters, …)."""
    shapes: tuple[int, int] = (1, 2)
    """Fewest and most coloured shapes besides, for digits and letters."""
    side: tuple[int, int] = (20, 44)
    """Smallest and largest side of a thing, in pixels."""
    stretch: float = 1.3
    """Largest ratio of height to width (and width to height) that things are stretched by."""
    contrast: tuple[float, float] = (50.0, 200.0)
    """Least and most levels (of 255) between ink and background."""
    noise: float = 4.0
    """Standard deviation of the pixel noise, in levels."""


EASY = Difficulty(others=(0, 0), shapes=(0, 0), side=(26, 48), stretch=1.15, contrast=(90, 200))


def draw_collage(
    rng: np.random.Generator, split: str, kind: str, name: str, difficulty: Difficulty
) -> tuple[Picture, Drawn, tuple[Drawn, ...]]:
    """A picture [112, 112, 3], the wanted thing on it, and the others.

    `kind` is "digit", "letter" or "shape"; no other thing has the wanted name.
    """
    d = difficulty
    dark_ground = bool(rng.integers(2))
    level = float(rng.uniform(10, 90) if dark_ground else rng.uniform(165, 245))
    canvas = background(rng, SIDE, level)
    taken: list[Box] = []
    drawn = [_place(rng, canvas, taken, split, kind, name, level, d)]
    names = [n for n in _names(kind) if n != name]
    for _ in range(int(rng.integers(d.others[0], d.others[1] + 1))):
        other = names[rng.integers(len(names))]
        drawn.append(_place(rng, canvas, taken, split, kind, other, level, d))
    if kind != "shape":
        for _ in range(int(rng.integers(d.shapes[0], d.shapes[1] + 1))):
            other = SHAPES[rng.integers(len(SHAPES))]
            drawn.append(_place(rng, canvas, taken, split, "shape", other, level, d))
    found = [thing for thing in drawn if thing is not None]
    return finish(rng, canvas, d.noise), found[0], tuple(found[1:])


def _names(kind: str) -> list[str]:
    if kind == "digit":
        return list("0123456789")
    return list(LETTERS) if kind == "letter" else list(SHAPES)


def _place(
    rng: np.random.Generator,
    canvas: NDArray[np.float32],
    taken: list[Box],
    split: str,
    kind: str,
    name: str,
    level: float,
    d: Difficulty,
) -> Drawn | None:
    """Draws one thing at a free spot; None when there is none (never for the first thing)."""
    size = rng.uniform(*d.side)
    ratio = np.exp(rng.uniform(-np.log(d.stretch), np.log(d.stretch)) / 2)
    width, height = round(float(size * ratio)), round(float(size / ratio))
    spot = free_spot(rng, width, height, canvas.shape[0], taken)
    if spot is None:
        return None
    mask = _mask(rng, split, kind, name, width, height)
    colour, ink = _ink(rng, kind, level, d.contrast)
    paste(canvas, mask, *spot, ink)
    taken.append((spot[0], spot[1], spot[0] + width, spot[1] + height))
    return Drawn(kind=kind, name=name, box=tight_box(mask, *spot), colour=colour)


def _mask(
    rng: np.random.Generator, split: str, kind: str, name: str, width: int, height: int
) -> Mask:
    if kind == "digit":
        return digit_mask(rng, split, int(name), width, height)
    if kind == "letter":
        return letter_mask(rng, name, width, height)
    return shape_mask(name, width, height)


def _ink(
    rng: np.random.Generator, kind: str, level: float, contrast: tuple[float, float]
) -> tuple[str, NDArray[np.float32]]:
    """A colour's name and levels for shapes; for strokes a grey off the ground, faintly tinted."""
    if kind == "shape":
        seen = [c for c in COLOURS if c != "white" or level < 128]
        name = seen[rng.integers(len(seen))]
        return name, np.asarray(COLOURS[name], np.float32)
    step = rng.uniform(*contrast)
    grey = level + step if level < 128 else level - step
    tint = rng.uniform(-12, 12, 3)
    return "", np.clip(grey + tint, 0, 255).astype(np.float32)
