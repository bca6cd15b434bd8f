"""Boxes: where is it? The drawn worlds `digit_box`, `letter_box`, `shape_box`, and `grounding`.

A world asks "box of the 7" on a collage and is answered in whole hundredths of the picture's sides
(`coord_space` norm_100). `grounding` is the same question for the rows of a data set, in the
coordinate space that its rows declare.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from mmrl.parse.boxes import CoordSpace
from mmrl.rewards.builtin import BOX_IOU
from mmrl.rewards.gold import gold_box, gold_space
from mmrl.rewards.iou import box_iou_50_reward, box_iou_reward
from mmrl.rewards.points import hit_reward
from mmrl.tasks.base import SMALL_FORMAT, Task, register_task
from mmrl.tasks.collage import SIDE, Difficulty, draw_collage
from mmrl.tasks.drawing import (
    LETTERS,
    SHAPES,
    Box,
    Drawn,
    Picture,
    generator,
    number_text,
    png_bytes,
)
from mmrl.tasks.overlay_kinds import BOX_MARKS
from mmrl.types import MediaRef, Sample

IntBox = tuple[int, int, int, int]
CELLS = 4
"""Rows and columns of the coarse grid that the reasoning names."""
KINDS = {"digit": "0123456789", "letter": LETTERS, "shape": SHAPES}


def to_norm_100(box: Box, side: int = SIDE) -> IntBox:
    """Pixels to whole hundredths of the side, nearest, at most 99 (two digits)."""
    x1, y1, x2, y2 = (min(99, round(100 * v / side)) for v in box)
    return x1, y1, x2, y2


def cell_of(box: Sequence[float], cells: int = CELLS) -> tuple[int, int]:
    """Row and column, from 1, of the cell that holds the centre of a norm_100 box."""
    x, y = (min(cells - 1, int((box[i] + box[i + 2]) * cells // 200)) for i in (0, 1))
    return y + 1, x + 1


def box_question(name: str) -> str:
    """The question about the thing of that name."""
    return f"box of the {name}"


def box_answer(box: Sequence[float], cells: int = CELLS) -> str:
    """The completion that answers with a norm_100 box: coarse place first, then the box."""
    row, col = cell_of(box, cells)
    return f"<think>row {row} col {col}</think>{_answer(box)}"


def point_answer(point: Sequence[float], cells: int = CELLS) -> str:
    """The completion that answers with a norm_100 point, rounded: coarse place first."""
    row, col = cell_of((*point, *point), cells)
    whole = [min(99, round(v)) for v in point]
    return f"<think>row {row} col {col}</think>{_answer(whole)}"


def gold_box_answer(sample: Sample) -> str:
    """The reference answer of any sample with one box."""
    box = gold_box(sample)
    if gold_space(sample) is CoordSpace.NORM_100:
        return box_answer(box)
    return f"<think>It is here.</think>{_answer(box)}"


def _answer(box: Sequence[float]) -> str:
    return f"<answer>[{','.join(number_text(v) for v in box)}]</answer>"


def draw_box_question(
    kind: str, index: int, split: str, seed: int, difficulty: Difficulty
) -> tuple[Picture, str, IntBox]:
    """A collage, the name of the wanted thing on it, and its box in norm_100."""
    picture, name, things = draw_things(kind, index, split, seed, difficulty)
    return picture, name, to_norm_100(things[0].box)


def draw_things(
    kind: str, index: int, split: str, seed: int, difficulty: Difficulty
) -> tuple[Picture, str, tuple[Drawn, ...]]:
    """A collage, the name of the wanted thing on it, and all things, the wanted one first."""
    rng = generator(f"{kind}_box", split, seed, index)
    names = KINDS[kind]
    name = names[int(rng.integers(len(names)))]
    picture, wanted, others = draw_collage(rng, split, kind, name, difficulty)
    return picture, name, (wanted, *others)


def thing_marks(things: Sequence[Drawn]) -> list[list[Any]]:
    """What is seen where, in pixels: [kind, word, x, y] of each thing and of its colour."""
    marks: list[list[Any]] = []
    for thing in things:
        x, y = (thing.box[0] + thing.box[2]) / 2, (thing.box[1] + thing.box[3]) / 2
        marks.append(["shape" if thing.kind == "shape" else "text", thing.name, x, y])
        if thing.colour:
            marks.append(["colour", thing.colour, x, y])
    return marks


@dataclass(frozen=True, kw_only=True)
class BoxWorld:
    """Draws collages of one kind of thing; the options are those of `Difficulty`."""

    kind: str

    def __call__(
        self,
        index: int,
        /,
        *,
        split: str,
        seed: int,
        others: Sequence[int] = Difficulty.others,
        shapes: Sequence[int] = Difficulty.shapes,
        side: Sequence[int] = Difficulty.side,
        stretch: float = Difficulty.stretch,
        contrast: Sequence[float] = Difficulty.contrast,
        noise: float = Difficulty.noise,
        marks: bool = False,
    ) -> Sample:
        difficulty = Difficulty(
            others=(others[0], others[1]),
            shapes=(shapes[0], shapes[1]),
            side=(side[0], side[1]),
            stretch=stretch,
            contrast=(contrast[0], contrast[1]),
            noise=noise,
        )
        picture, name, things = draw_things(self.kind, index, split, seed, difficulty)
        box = to_norm_100(things[0].box)
        task = f"{self.kind}_box"
        meta = {
            "coord_space": CoordSpace.NORM_100.value,
            "answer_space": CoordSpace.NORM_100.value,
            "name": name,
            "split": split,
        }
        return Sample(
            id=f"{task}-{split}-{seed}-{index}",
            task=task,
            question=box_question(name),
            media=(MediaRef(kind="image", data=png_bytes(picture)),),
            target=box,
            meta={**meta, "marks": thing_marks(things)} if marks else meta,
        )


def _box_task(name: str, template: str, world: Any = None) -> Task:
    return Task(
        name=name,
        template=template,
        rewards=(BOX_IOU, SMALL_FORMAT),
        score=box_iou_reward,
        score_name="iou",
        gold=gold_box_answer,
        threshold=0.5,
        measures=MappingProxyType({"hit": hit_reward, "iou_50": box_iou_50_reward}),
        world=world,
        overlay=BOX_MARKS,
    )


DIGIT_BOX = register_task(_box_task("digit_box", "{question}", BoxWorld(kind="digit")))
LETTER_BOX = register_task(_box_task("letter_box", "{question}", BoxWorld(kind="letter")))
SHAPE_BOX = register_task(_box_task("shape_box", "{question}", BoxWorld(kind="shape")))
GROUNDING = register_task(
    _box_task(
        "grounding",
        "{question}\nThink first inside <think> </think>, then give the bounding box inside "
        "<answer> </answer> as [x1, y1, x2, y2].",
    )
)
