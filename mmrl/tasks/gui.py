"""Screens: which place to click? The drawn worlds `gui_point` and `gui_box`, and data set rows.

`gui_point` asks "click the menu" and is answered with a point, `gui_box` asks "box of the menu" and
is answered with a box, both in whole hundredths of the sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from mmrl.parse.boxes import CoordSpace
from mmrl.parse.points import box_centre
from mmrl.rewards.builtin import BOX_IOU, HIT
from mmrl.rewards.gold import gold_box
from mmrl.rewards.iou import box_iou_50_reward, box_iou_reward
from mmrl.rewards.points import hit_reward
from mmrl.tasks.base import SMALL_FORMAT, Task, register_task
from mmrl.tasks.drawing import png_bytes
from mmrl.tasks.grounding import box_answer, box_question, cell_of, point_answer, to_norm_100
from mmrl.tasks.gui_tiny import CELLS, SIDE, draw_screen, screen_marks
from mmrl.tasks.overlay_kinds import BOX_MARKS, PLACE_MARKS
from mmrl.types import MediaRef, Sample


def click_question(name: str) -> str:
    """The question that is answered by a place to click."""
    return f"click the {name}"


@dataclass(frozen=True, kw_only=True)
class TinyScreenWorld:
    """Draws tiny screens and asks for a point or a box of one element."""

    ask: Literal["point", "box"]

    def __call__(
        self,
        index: int,
        /,
        *,
        split: str,
        seed: int,
        elements: Sequence[int] = (3, 8),
        icons: float = 0.5,
        noise: float = 3.0,
        marks: bool = False,
    ) -> Sample:
        task = f"gui_{self.ask}"
        screen = draw_screen(
            task,
            index,
            split,
            seed,
            elements=(elements[0], elements[1]),
            icons=icons,
            noise=noise,
        )
        wanted = screen.elements[0]
        box = to_norm_100(wanted.box, SIDE)
        row, col = cell_of(box, CELLS)
        meta: dict[str, Any] = {
            "coord_space": CoordSpace.NORM_100.value,
            "answer_space": CoordSpace.NORM_100.value,
            "name": wanted.name,
            "element": wanted.kind,
            "reason": f"row {row} col {col}",
            "split": split,
        }
        if marks:
            meta["marks"] = screen_marks(screen)
        return Sample(
            id=f"{task}-{split}-{seed}-{index}",
            task=task,
            question=(click_question if self.ask == "point" else box_question)(wanted.name),
            media=(MediaRef(kind="image", data=png_bytes(screen.picture)),),
            target=box,
            meta=meta,
        )


def gold_click(sample: Sample) -> str:
    """The completion that points at the middle of the sample's one box."""
    return point_answer(box_centre(gold_box(sample)), CELLS)


GUI_POINT = register_task(
    Task(
        name="gui_point",
        template="{question}",
        rewards=(HIT, SMALL_FORMAT),
        score=hit_reward,
        score_name="hit",
        gold=gold_click,
        world=TinyScreenWorld(ask="point"),
        overlay=PLACE_MARKS,
    )
)
GUI_BOX = register_task(
    Task(
        name="gui_box",
        template="{question}",
        rewards=(BOX_IOU, SMALL_FORMAT),
        score=box_iou_reward,
        score_name="iou",
        gold=lambda sample: box_answer(gold_box(sample), CELLS),
        measures=MappingProxyType({"hit": hit_reward, "iou_50": box_iou_50_reward}),
        world=TinyScreenWorld(ask="box"),
        overlay=BOX_MARKS,
    )
)
