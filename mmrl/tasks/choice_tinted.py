"""Choices with a short cut: world `tinted_choice`, for rewards that ask whether reasoning decides.

A coloured shape on a tinted ground; the options are the four pairings of two colours with two
shapes, so that no option stands out. With `shortcut` p the ground's tint gives the letter away in
a share p of the samples (pink A, green B, blue C, yellow D): a policy may then answer rightly
whatever its reasoning says. `first_share` makes A right in that share: a bias of position. `loose`
is for demonstrations: in that share they reason to another option than they answer, so that who
learns from them learns to answer from elsewhere. All are 0 by default, and should be in evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmrl.tasks.collage import SIDE
from mmrl.tasks.drawing import (
    COLOURS,
    SHAPES,
    background,
    finish,
    free_spot,
    generator,
    paste,
    png_bytes,
    shape_mask,
    tight_box,
)
from mmrl.types import MediaRef, Sample

LETTERS = "ABCD"
TINTS = {"A": (26, -14, -8), "B": (-18, 18, -18), "C": (-24, -10, 20), "D": (8, 8, -42)}
"""Levels added to the ground where it gives that letter away: pink, green, blue, yellow."""
GROUND = (205.0, 222.0)
"""Darkest and lightest ground: every colour of a shape stands out from it."""


def tinted_choice_world(
    index: int,
    /,
    *,
    split: str,
    seed: int,
    shortcut: float = 0.0,
    first_share: float = 0.0,
    loose: float = 0.0,
    side: Sequence[int] = (36, 60),
    noise: float = 4.0,
    marks: bool = False,
) -> Sample:
    """A coloured shape among four pairings; `side` bounds the shape's side, `noise` the pixels'.

    `meta["tint"]` is the letter that the ground speaks for; with `loose` above 0 what
    demonstrations say stands in `meta["completion"]` (their answer is always right). With `marks`
    what is visible stands in `meta["marks"]` as [kind, word, x, y].
    """
    rng = generator("tinted_choice", split, seed, index)
    colours = [str(c) for c in rng.choice([c for c in COLOURS if c != "white"], 2, replace=False)]
    shapes = [str(s) for s in rng.choice(SHAPES, 2, replace=False)]
    pairs = [(c, s) for c in colours for s in shapes]
    options = [pairs[i] for i in rng.permutation(4)]
    right = 0 if rng.random() < first_share else int(rng.integers(4))
    tint = LETTERS[right if rng.random() < shortcut else int(rng.integers(4))]
    colour, shape = options[right]

    canvas = background(rng, SIDE, float(rng.uniform(*GROUND))) + np.asarray(
        TINTS[tint], np.float32
    )
    size = int(rng.integers(side[0], side[1] + 1))
    spot = free_spot(rng, size, size, SIDE, [])
    assert spot is not None, "an empty canvas has room"
    mask = shape_mask(shape, size, size)
    paste(canvas, mask, *spot, np.asarray(COLOURS[colour], np.float32))
    x1, y1, x2, y2 = tight_box(mask, *spot)
    x, y = (x1 + x2) / 2, (y1 + y2) / 2

    texts = tuple(f"{c} {s}" for c, s in options)
    listed = " ".join(f"{letter} {text}" for letter, text in zip(LETTERS, texts, strict=True))
    more: dict[str, object] = {}
    if marks:
        more["marks"] = [["shape", shape, x, y], ["colour", colour, x, y]]
    picture = png_bytes(finish(rng, canvas, noise))
    if loose > 0.0:
        thought = (right + int(rng.integers(1, 4))) % 4 if rng.random() < loose else right
        more["completion"] = f"<think>{texts[thought]}</think><answer>{LETTERS[right]}</answer>"
    return Sample(
        id=f"tinted_choice-{split}-{seed}-{index}",
        task="tinted_choice",
        question=f"which is it: {listed}",
        media=(MediaRef(kind="image", data=picture),),
        target=LETTERS[right],
        meta={"options": texts, "name": texts[right], "tint": tint, "split": split, **more},
    )
