"""Pairs drawn from a seed: two pictures and a wish, or a picture and two statements about it.

The one that does not fit is a near miss: it differs in what is asked for by one attribute (colour,
shape or digit), and where there are several things it may hold both attributes on different ones.
Which side fits is a fair coin, so that text alone gives chance. Every thing lies in its own block
of 56 pixels, two visual tokens wide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from mmrl.errors import ConfigError, nearest
from mmrl.tasks.drawing import (
    COLOURS,
    SHAPES,
    Picture,
    background,
    digit_mask,
    finish,
    paste,
    shape_mask,
)

Order = Literal["drawn", "swapped", "both"]
BLOCK = 56
INKS = tuple(name for name in COLOURS if name != "white")
"""Colours that stand out from every ground."""
DIGITS = tuple("0123456789")
PLACES = ("left", "right", "top", "bottom")


@dataclass(frozen=True, kw_only=True)
class PairLevel:
    """How hard a pair is to tell apart."""

    blocks: int = 2
    """Blocks of 56 pixels on a side of a picture."""
    things: tuple[int, int] = (1, 1)
    """Fewest and most things on a picture (both pictures have the same number)."""
    side: tuple[int, int] = (44, 56)
    """Smallest and largest side of a thing, in pixels."""
    noise: float = 4.0
    """Standard deviation of the pixel noise, in levels of 255."""
    near: float = 0.8
    """Share of pairs that differ from a wish of two attributes in one of them only."""


LEVELS = {
    "tiny": PairLevel(),
    "easy": PairLevel(things=(1, 2)),
    "medium": PairLevel(blocks=3, things=(2, 3), side=(32, 56), noise=8.0, near=0.9),
    "hard": PairLevel(blocks=4, things=(4, 6), side=(24, 48), noise=12.0, near=1.0),
    "shifted": PairLevel(things=(1, 2), side=(32, 50), noise=10.0),
}
"""`shifted` is `easy` in other looks: smaller things in more noise on pictures of the same size."""


class Thing(NamedTuple):
    """What lies in one block."""

    colour: str
    name: str

    def __str__(self) -> str:
        return f"{self.colour} {self.name}"


class Scene(NamedTuple):
    """Things by block, row by row."""

    things: tuple[tuple[int, Thing], ...]

    def __str__(self) -> str:
        return ", ".join(str(thing) for _, thing in self.things)

    def shows(self, wish: tuple[str, ...]) -> bool:
        """Whether one of the things has all attributes of the wish."""
        return any(fits(thing, wish) for _, thing in self.things)


class Pair(NamedTuple):
    """A wish, the scene that fulfils it and the one that does not."""

    wish: tuple[str, ...]
    fit: Scene
    miss: Scene
    differs: str
    """What tells them apart: colour, name, both or crossed."""


def level_of(name: str) -> PairLevel:
    """The level of that name."""
    if name not in LEVELS:
        raise ConfigError(f'no level "{name}" of pairs.{nearest(name, LEVELS)}')
    return LEVELS[name]


def turn(index: int, order: Order) -> tuple[int, bool]:
    """Number of the pair and whether its sides are exchanged, of sample number `index`.

    "both" asks for every pair twice, one order after the other.
    """
    if order not in ("drawn", "swapped", "both"):
        known = nearest(order, ("drawn", "swapped", "both"))
        raise ConfigError(f'no order "{order}" of pairs.{known}')
    return (index // 2, index % 2 == 1) if order == "both" else (index, order == "swapped")


def fits(thing: Thing, wish: tuple[str, ...]) -> bool:
    """Whether a thing has all attributes of the wish."""
    return all(word in thing for word in wish)


def draw_thing(rng: np.random.Generator) -> Thing:
    """A coloured shape or a coloured digit, half each."""
    names = SHAPES if rng.random() < 0.5 else DIGITS
    return Thing(INKS[rng.integers(len(INKS))], names[rng.integers(len(names))])


def altered(rng: np.random.Generator, thing: Thing, *, colour: bool, name: bool) -> Thing:
    """The thing in another colour, as another shape (or digit), or both."""
    if colour:
        others = [c for c in INKS if c != thing.colour]
        thing = thing._replace(colour=others[rng.integers(len(others))])
    if name:
        kin = SHAPES if thing.name in SHAPES else DIGITS
        names = [n for n in kin if n != thing.name]
        thing = thing._replace(name=names[rng.integers(len(names))])
    return thing


def draw_pair(rng: np.random.Generator, level: PairLevel) -> Pair:
    """A wish of one or two attributes with a scene that fulfils it and a near miss."""
    wanted = draw_thing(rng)
    wish = ((wanted.colour,), (wanted.name,), tuple(wanted))[rng.choice(3, p=[0.2, 0.2, 0.6])]
    count = int(rng.integers(level.things[0], level.things[1] + 1))
    one = len(wish) == 2 and rng.random() < level.near
    first = bool(rng.integers(2))
    colour = wanted.colour in wish and (not one or first)
    name = wanted.name in wish and (not one or not first)
    if len(wish) == 1 and rng.random() < 0.5:  # what nobody asked for may differ as well
        colour = name = True
    miss = [altered(rng, wanted, colour=colour, name=name)]
    fit = [wanted]
    differs = "both" if colour and name else "colour" if colour else "name"
    if count > 1 and len(wish) == 2 and rng.random() < 0.5:  # both attributes, on two things
        other = altered(rng, wanted, colour=True, name=True)
        fit.append(other)
        miss = [Thing(wanted.colour, other.name), Thing(other.colour, wanted.name)]
        differs = "crossed"
    for things in (fit, miss):
        while len(things) < count:
            other = draw_thing(rng)
            if not fits(other, wish):
                things.append(other)
    return Pair(wish, placed(rng, fit, level), placed(rng, miss, level), differs)


def placed(rng: np.random.Generator, things: list[Thing], level: PairLevel) -> Scene:
    """The things in random blocks."""
    blocks = rng.permutation(level.blocks**2)[: len(things)]
    return Scene(tuple(sorted((int(b), t) for b, t in zip(blocks, things, strict=True))))


def centre(block: int, level: PairLevel) -> tuple[float, float]:
    """The middle of a block, in pixels."""
    row, column = divmod(block, level.blocks)
    return (column + 0.5) * BLOCK, (row + 0.5) * BLOCK


def places(block: int, level: PairLevel) -> tuple[str, ...]:
    """The halves of the picture that a block lies in, of pictures two blocks wide."""
    row, column = divmod(block, level.blocks)
    return ("left", "right")[column], ("top", "bottom")[row]


def draw_scene(rng: np.random.Generator, split: str, scene: Scene, level: PairLevel) -> Picture:
    """The picture of a scene on a grey ground."""
    side = level.blocks * BLOCK
    ground = float(rng.uniform(10, 80) if rng.integers(2) else rng.uniform(165, 245))
    canvas = background(rng, side, ground)
    for block, thing in scene.things:
        width, height = (int(v) for v in rng.integers(level.side[0], level.side[1] + 1, 2))
        if thing.name in SHAPES:
            mask = shape_mask(thing.name, width, height)
        else:
            mask = digit_mask(rng, split, int(thing.name), width, height)
        x, y = centre(block, level)
        left = round(x - width / 2 + float(rng.uniform(-0.5, 0.5)) * (BLOCK - width))
        top = round(y - height / 2 + float(rng.uniform(-0.5, 0.5)) * (BLOCK - height))
        paste(canvas, mask, left, top, np.asarray(COLOURS[thing.colour], np.float32))
    return finish(rng, canvas, level.noise)


def scene_marks(scene: Scene, level: PairLevel) -> list[list[str | float]]:
    """[kind, word, x, y] of everything on the picture: its colour, and its shape or digit."""
    marks: list[list[str | float]] = []
    for block, thing in scene.things:
        x, y = centre(block, level)
        kind = "shape" if thing.name in SHAPES else "text"
        marks += [["colour", thing.colour, x, y], [kind, thing.name, x, y]]
    return marks
