"""Choices about clips: worlds `clip_order`, which needs the order of frames, and `clip_choices`.

Four things are shown one after the other, each for a second, on one ground. `clip_order` asks
which came first (or last, second, third): the options are the four things in an order of their
own, so that the text, a still, or the frames in a shuffled order give chance, 1/4. `clip_choices`
asks which of four colours are seen, and several letters may be right: each is in half of the clips.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmrl.media.write import write_video
from mmrl.seeds import seed_of
from mmrl.tasks.drawing import (
    COLOURS,
    SHAPES,
    Mask,
    background,
    digit_mask,
    finish,
    generator,
    paste,
    shape_mask,
)
from mmrl.types import MediaRef, Sample

SIDE = 56
"""Side of a frame in pixels."""
SEEN_FPS = 4.0
"""Frames a second, of the file and as it is seen."""
HOLD = 4
"""Frames for which each thing is shown: two temporal patches of two."""
SLOTS = 4
PLACES = ("first", "second", "third", "last")
SEEN_COLOURS = tuple(name for name in COLOURS if name != "white")
LETTERS = "ABCD"


def _thing(rng: np.random.Generator, split: str, about: str, name: str, side: int) -> Any:
    """Mask [h, w] and ink (3 levels) of a thing that is called `name`."""
    colour = name if about == "colour" else str(rng.choice(SEEN_COLOURS))
    ink = np.asarray(COLOURS[colour], np.float32)
    if about == "digit":
        return digit_mask(rng, split, int(name), side, side), np.full(3, 20, np.float32)
    shape = name if about == "shape" else str(rng.choice(SHAPES))
    return shape_mask(shape, side, side), ink


def draw_slots(
    rng: np.random.Generator,
    split: str,
    about: str,
    slots: Sequence[str | None],
    *,
    side: tuple[int, int],
    noise: float,
) -> NDArray[np.uint8]:
    """Frames [4 * slots, 56, 56, 3]: in each slot of 4 frames the thing named, or nothing.

    A thing stands still at a place of its own: nothing but the slots tells what came before what.
    """
    ground = background(rng, SIDE, float(rng.uniform(195, 240)))
    frames = []
    for name in slots:
        still = ground.copy()
        if name is not None:
            size = int(rng.integers(side[0], side[1] + 1))
            mask: Mask
            mask, ink = _thing(rng, split, about, name, size)
            x, y = (int(v) for v in rng.integers(1, SIDE - size, 2))
            paste(still, mask, x, y, ink)
        frames += [finish(rng, still, noise) for _ in range(HOLD)]
    return np.stack(frames)


def clip_order_world(
    index: int,
    /,
    *,
    split: str,
    seed: int,
    about: Sequence[str] = ("colour",),
    places: Sequence[str] = ("first", "last"),
    side: Sequence[int] = (26, 46),
    noise: float = 2.0,
    shuffled: bool = False,
) -> Sample:
    """Four things one after the other: which came first, last, …?

    `about` are the kinds asked for (`colour`, `shape`, `digit`), `places` of `first`, `second`,
    `third`, `last`; `side` bounds a thing's side and `noise` is of the pixels. `shuffled` shows the
    same frames in an order of its own: a control that tells whether their order is looked at.
    """
    rng = generator("clip_order", split, seed, index)
    kind = str(rng.choice(list(about)))
    names = {"colour": SEEN_COLOURS, "shape": SHAPES, "digit": tuple("0123456789")}[kind]
    shown = [str(name) for name in rng.choice(names, SLOTS, replace=False)]
    place = str(rng.choice(list(places)))
    right = shown[PLACES.index(place)]
    options = [shown[i] for i in rng.permutation(SLOTS)]
    clip = _clip(draw_slots(rng, split, kind, shown, side=(side[0], side[1]), noise=noise))
    if shuffled:
        order = {"strategy": "shuffled", "seed": seed_of(seed, split, index) & 0x7FFFFFFF}
        clip = replace(clip, options={**clip.options, **order})
    return Sample(
        id=f"clip_order-{split}-{seed}-{index}",
        task="clip_order",
        question=f"which {kind} is {place}: {_listed(options)}",
        media=(clip,),
        target=LETTERS[options.index(right)],
        meta={
            "options": tuple(options),
            "name": f"{' '.join(shown)}, {place} {right}",
            "split": split,
        },
    )


def clip_choices_world(
    index: int,
    /,
    *,
    split: str,
    seed: int,
    side: Sequence[int] = (26, 46),
    noise: float = 2.0,
) -> Sample:
    """Which of four colours are seen in the clip? One to three of them are."""
    rng = generator("clip_choices", split, seed, index)
    options = [str(name) for name in rng.choice(SEEN_COLOURS, SLOTS, replace=False)]
    members = int(rng.integers(1, 2**SLOTS - 1))  # neither none nor all: each is in half of them
    right = [name for i, name in enumerate(options) if members >> i & 1]
    slots: list[str | None] = [*right, *[None] * (SLOTS - len(right))]
    slots = [slots[i] for i in rng.permutation(SLOTS)]
    clip = draw_slots(rng, split, "colour", slots, side=(side[0], side[1]), noise=noise)
    return Sample(
        id=f"clip_choices-{split}-{seed}-{index}",
        task="clip_choices",
        question=f"which colours: {_listed(options)}",
        media=(_clip(clip),),
        target=",".join(LETTERS[options.index(name)] for name in right),
        meta={
            "options": tuple(options),
            "name": " ".join(name for name in slots if name is not None),
            "split": split,
        },
    )


def _listed(options: Sequence[str]) -> str:
    return " ".join(f"{letter} {text}" for letter, text in zip(LETTERS, options, strict=True))


def _clip(frames: NDArray[np.uint8]) -> MediaRef:
    seen = {"fps": SEEN_FPS, "min_pixels": SIDE * SIDE, "max_pixels": SIDE * SIDE}
    return MediaRef(kind="video", data=write_video(frames, fps=SEEN_FPS), options=seen)
