"""Short clips in which handwritten digits or shapes come, drift and go, for the temporal worlds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmrl.tasks.drawing import (
    COLOURS,
    SHAPES,
    Mask,
    background,
    digit_mask,
    paste,
    shape_mask,
)

SIDE = 56
"""Side of a frame in pixels."""
FPS = 10
"""Frames a second: one for every tenth that an answer can name."""
NUM_FRAMES = 40


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How a clip is made."""

    others: tuple[int, int] = (0, 2)
    """Fewest and most digits besides the wanted one."""
    visible_s: tuple[float, float] = (0.8, 2.8)
    """Shortest and longest time that a digit is seen, in seconds."""
    side: tuple[int, int] = (20, 30)
    """Smallest and largest side of a digit, in pixels."""
    contrast: tuple[float, float] = (70.0, 200.0)
    """Least and most levels (of 255) between ink and background."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Actor:
    mask: Mask
    ink: NDArray[np.float32]
    start: int
    end: int
    origin: NDArray[np.float64]
    drift: NDArray[np.float64]


def draw_clip(
    rng: np.random.Generator,
    split: str,
    digit: int,
    pace: Pace,
    frames: Sequence[int] | None = None,
) -> tuple[NDArray[np.uint8], tuple[float, float]]:
    """Frames [F, 56, 56, 3] (all, or those asked for) and the seconds [start, end) of the digit.

    A digit that shows from frame a up to, not including, frame b is seen from a/10 s to b/10 s.
    """
    dark_ground = bool(rng.integers(2))
    level = float(rng.uniform(10, 90) if dark_ground else rng.uniform(165, 245))
    ground = background(rng, SIDE, level)
    actors = [_actor(rng, split, digit, level, pace)]
    names = [d for d in range(10) if d != digit]
    for _ in range(int(rng.integers(pace.others[0], pace.others[1] + 1))):
        other = names[rng.integers(len(names))]
        actors.append(_actor(rng, split, other, level, pace))
    wanted = actors[0]
    shown = range(NUM_FRAMES) if frames is None else frames
    clip = np.stack([_frame(ground, actors, t) for t in shown])
    return clip, (wanted.start / FPS, wanted.end / FPS)


def _actor(rng: np.random.Generator, split: str, digit: int, level: float, pace: Pace) -> _Actor:
    shortest, longest = (round(s * FPS) for s in pace.visible_s)
    length = int(rng.integers(shortest, longest + 1))
    start = int(rng.integers(0, NUM_FRAMES - length + 1))
    size = int(rng.integers(pace.side[0], pace.side[1] + 1))
    mask = digit_mask(rng, split, digit, size, size)
    step = rng.uniform(*pace.contrast)
    grey = level + step if level < 128 else level - step
    ends = rng.uniform(0, SIDE - size, (2, 2))
    return _Actor(
        mask=mask,
        ink=np.full(3, np.clip(grey, 0, 255), np.float32),
        start=start,
        end=start + length,
        origin=ends[0],
        drift=(ends[1] - ends[0]) / max(1, length - 1),
    )


def draw_shape_clip(
    rng: np.random.Generator,
    shape: str,
    colour: str,
    pace: Pace,
    frames: Sequence[int] | None = None,
) -> tuple[NDArray[np.uint8], tuple[float, float]]:
    """As `draw_clip`, of a coloured shape among others that differ from it in colour and shape."""
    dark_ground = bool(rng.integers(2))
    ground = background(rng, SIDE, float(rng.uniform(10, 60) if dark_ground else 235))
    actors = [_shape_actor(rng, shape, colour, pace)]
    for _ in range(int(rng.integers(pace.others[0], pace.others[1] + 1))):
        shapes = [s for s in SHAPES if s != shape]
        colours = [c for c in COLOURS if c not in (colour, "white")]
        other = shapes[rng.integers(len(shapes))]
        actors.append(_shape_actor(rng, other, colours[rng.integers(len(colours))], pace))
    wanted = actors[0]
    shown = range(NUM_FRAMES) if frames is None else frames
    clip = np.stack([_frame(ground, actors, t) for t in shown])
    return clip, (wanted.start / FPS, wanted.end / FPS)


def _shape_actor(rng: np.random.Generator, shape: str, colour: str, pace: Pace) -> _Actor:
    shortest, longest = (round(s * FPS) for s in pace.visible_s)
    length = int(rng.integers(shortest, longest + 1))
    start = int(rng.integers(0, NUM_FRAMES - length + 1))
    size = int(rng.integers(pace.side[0], pace.side[1] + 1))
    ends = rng.uniform(0, SIDE - size, (2, 2))
    return _Actor(
        mask=shape_mask(shape, size, size),
        ink=np.asarray(COLOURS[colour], np.float32),
        start=start,
        end=start + length,
        origin=ends[0],
        drift=(ends[1] - ends[0]) / max(1, length - 1),
    )


def _frame(ground: NDArray[np.float32], actors: list[_Actor], t: int) -> NDArray[np.uint8]:
    """One frame; the wanted digit is drawn last, so that it is never hidden."""
    canvas = ground.copy()
    for actor in reversed(actors):
        if actor.start <= t < actor.end:
            x, y = np.rint(actor.origin + actor.drift * (t - actor.start)).astype(int)
            paste(canvas, actor.mask, int(x), int(y), actor.ink)
    return np.clip(np.rint(canvas), 0, 255).astype(np.uint8)
