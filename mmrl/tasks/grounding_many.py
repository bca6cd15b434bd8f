"""Several things of a kind: the drawn worlds `many_box`, `shape_point` and `grounded_count`.

`many_box` asks "boxes of all circles" and is answered with a list of boxes, row by row;
`shape_point` "point at the red circle" and is answered with a point; `grounded_count` "count the
circles" and is answered with a number, its reasoning holding a box a thing (GRIT, arXiv
2505.15879). Coordinates are whole hundredths of the sides (norm_100).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from mmrl.parse.boxes import CoordSpace
from mmrl.parse.points import box_centre
from mmrl.rewards.builtin import BOXES_IOU, COUNT_AGREEMENT, GROUNDED_FORMAT, HIT, NUMBER
from mmrl.rewards.exact import number_reward
from mmrl.rewards.gold import gold_box, gold_boxes, gold_number
from mmrl.rewards.grounded import count_agreement_reward, union_overlap
from mmrl.rewards.iou import boxes_iou_reward
from mmrl.rewards.points import hit_reward
from mmrl.tasks.base import SMALL_FORMAT, Task, register_task
from mmrl.tasks.collage import SIDE
from mmrl.tasks.drawing import (
    COLOURS,
    SHAPES,
    Box,
    Drawn,
    Picture,
    background,
    finish,
    free_spot,
    generator,
    number_text,
    paste,
    png_bytes,
    shape_mask,
    tight_box,
)
from mmrl.tasks.grounding import cell_of, point_answer, thing_marks, to_norm_100
from mmrl.tasks.grounding_rows import right_number
from mmrl.tasks.overlay_kinds import BOXES_MARKS, PLACE_MARKS, REASONED_MARKS
from mmrl.types import MediaRef, Sample

Ask = Literal["many_box", "shape_point", "grounded_count"]
PLURALS = {shape: "crosses" if shape == "cross" else f"{shape}s" for shape in SHAPES}


@dataclass(frozen=True, kw_only=True)
class ShapesWorld:
    """Draws coloured shapes that do not touch; `ask` says what is wanted of them."""

    ask: Ask

    def __call__(
        self,
        index: int,
        /,
        *,
        split: str,
        seed: int,
        wanted: Sequence[int] = (1, 3),
        others: Sequence[int] = (0, 3),
        side: Sequence[int] = (16, 30),
        noise: float = 4.0,
        marks: bool = False,
    ) -> Sample:
        rng = generator(self.ask, split, seed, index)
        num = 1 if self.ask == "shape_point" else int(rng.integers(wanted[0], wanted[1] + 1))
        shape = SHAPES[rng.integers(len(SHAPES))]
        rest = int(rng.integers(others[0], others[1] + 1))
        names = _names(rng, self.ask, shape, num, rest)
        picture, drawn = _draw(rng, names, (side[0], side[1]), noise)
        found = sorted(drawn[:num], key=_reading_order)
        meta: dict[str, Any] = {
            "coord_space": CoordSpace.NORM_100.value,
            "answer_space": CoordSpace.NORM_100.value,
            "name": shape,
            "split": split,
        }
        if marks:
            meta["marks"] = thing_marks(drawn)
        boxes = tuple(to_norm_100(thing.box) for thing in found)
        target: Any = boxes
        match self.ask:
            case "many_box":
                question = f"boxes of all {PLURALS[shape]}"
                places = ", ".join("row {} col {}".format(*cell_of(box)) for box in boxes)
                meta["reason"] = f"{num}: {places}"
            case "shape_point":
                question, target = f"point at the {found[0].colour} {shape}", boxes[0]
                meta["reason"] = "row {} col {}".format(*cell_of(boxes[0]))
            case "grounded_count":
                question, target = f"count the {PLURALS[shape]}", num
                meta |= {"boxes": boxes, "reason": " ".join(_listed(box) for box in boxes)}
        return Sample(
            id=f"{self.ask}-{split}-{seed}-{index}",
            task=self.ask,
            question=question,
            media=(MediaRef(kind="image", data=png_bytes(picture)),),
            target=target,
            meta=meta,
        )


def gold_many(sample: Sample) -> str:
    """The completion that lists the sample's boxes, with its line of reasoning."""
    boxes = gold_boxes(sample)
    reason = sample.meta.get("reason") or f"There are {len(boxes)}."
    listed = ",".join(_listed(box) for box in boxes)
    return f"<think>{reason}</think><answer>[{listed}]</answer>"


def gold_count(sample: Sample) -> str:
    """The completion that counts: a box a thing in the reasoning, the number as the answer."""
    count = number_text(gold_number(sample))
    boxes = sample.meta.get("boxes") or ()
    reason = " ".join(_listed(box) for box in boxes) or f"There are {count}."
    return f"<think>{reason}</think><answer>{count}</answer>"


def _listed(box: Sequence[float]) -> str:
    return f"[{','.join(number_text(v) for v in box)}]"


def _reading_order(thing: Drawn) -> tuple[int, int, float]:
    row, col = cell_of(to_norm_100(thing.box))
    return row, col, thing.box[0]


def _names(
    rng: np.random.Generator, ask: Ask, shape: str, num: int, others: int
) -> list[tuple[str, str]]:
    """(colour, shape) of each thing, the wanted ones first.

    Others of a point differ from it in colour or in shape, half of them in one alone; elsewhere
    they differ in shape.
    """
    colours = [c for c in COLOURS if c != "white"]
    wanted = [(colours[rng.integers(len(colours))], shape) for _ in range(num)]
    rest = []
    for _ in range(others):
        colour = colours[rng.integers(len(colours))]
        other = [s for s in SHAPES if s != shape][rng.integers(len(SHAPES) - 1)]
        if ask == "shape_point" and rng.integers(2):
            if rng.integers(2):
                colour = wanted[0][0]
            else:
                other = shape
                colour = [c for c in colours if c != wanted[0][0]][rng.integers(len(colours) - 1)]
        rest.append((colour, other))
    return wanted + rest


def _draw(
    rng: np.random.Generator, names: list[tuple[str, str]], side: tuple[int, int], noise: float
) -> tuple[Picture, list[Drawn]]:
    """The picture and the things on it, in the order of `names`.

    A thing that finds no room is drawn smaller.
    """
    dark = bool(rng.integers(2))
    ground = background(rng, SIDE, float(rng.uniform(10, 80) if dark else rng.uniform(200, 245)))
    taken: list[Box] = []
    drawn = []
    for colour, shape in names:
        size = int(rng.integers(side[0], side[1] + 1))
        spot = free_spot(rng, size, size, SIDE, taken)
        while spot is None:  # smaller, until it fits
            size = max(6, size - 2)
            spot = free_spot(rng, size, size, SIDE, taken)
        mask = shape_mask(shape, size, size)
        paste(ground, mask, *spot, np.asarray(COLOURS[colour], np.float32))
        taken.append((spot[0] - 1, spot[1] - 1, spot[0] + size + 1, spot[1] + size + 1))
        drawn.append(Drawn(kind="shape", name=shape, box=tight_box(mask, *spot), colour=colour))
    return finish(rng, ground, noise), drawn


MANY_BOX = register_task(
    Task(
        name="many_box",
        template="{question}",
        rewards=(BOXES_IOU, SMALL_FORMAT),
        score=boxes_iou_reward,
        score_name="iou",
        gold=gold_many,
        measures=MappingProxyType({"count": right_number}),
        world=ShapesWorld(ask="many_box"),
        overlay=BOXES_MARKS,
    )
)
SHAPE_POINT = register_task(
    Task(
        name="shape_point",
        template="{question}",
        rewards=(HIT, SMALL_FORMAT),
        score=hit_reward,
        score_name="hit",
        gold=lambda sample: point_answer(box_centre(gold_box(sample))),
        world=ShapesWorld(ask="shape_point"),
        overlay=PLACE_MARKS,
    )
)
GROUNDED_COUNT = register_task(
    Task(
        name="grounded_count",
        template="{question}",
        rewards=(
            NUMBER,
            replace(COUNT_AGREEMENT, weight=0.5),
            replace(GROUNDED_FORMAT, weight=0.5),
            SMALL_FORMAT,
        ),
        score=number_reward,
        score_name="right",
        gold=gold_count,
        measures=MappingProxyType(
            {"agreement": count_agreement_reward, "union_iou": union_overlap}
        ),
        world=ShapesWorld(ask="grounded_count"),
        overlay=REASONED_MARKS,
    )
)
