"""Screens in the rows of data sets: `gui`, `gui_fast`, `gui_action`.

`gui` is answered with a point or a box (ScreenSpot, GUI-R1); `gui_fast` with one JSON block and no
reasoning, rewarded as GUI-G1 does (arXiv 2505.15810, fast thinking template); `gui_action` with a
step (AITZ, as TON asks: 2505.16854).
"""

from __future__ import annotations

import json
from dataclasses import replace
from types import MappingProxyType

from mmrl.parse.actions import parse_action_completion
from mmrl.parse.fenced import parse_fenced
from mmrl.rewards.actions import action_kind_reward, action_place_reward, gold_action
from mmrl.rewards.builtin import ACTION_KIND, ACTION_PLACE, BOX_IOU, BOX_SIZE, HIT
from mmrl.rewards.gold import gold_box
from mmrl.rewards.iou import box_iou_50_reward, box_iou_reward
from mmrl.rewards.points import hit_reward
from mmrl.tasks.base import SMALL_FORMAT, Task, register_task
from mmrl.tasks.grounding_rows import THINK, gold_place
from mmrl.tasks.overlay_kinds import PLACE_MARKS, STEP_MARKS
from mmrl.types import Sample


def gold_block(sample: Sample) -> str:
    """The JSON block that answers with the sample's one box."""
    box = [int(v) if v.is_integer() else v for v in map(float, gold_box(sample))]
    return f"```json\n{json.dumps([{'bbox_2d': box}])}\n```"


def gold_step(sample: Sample) -> str:
    """The completion that answers with the sample's step."""
    gold = gold_action(sample)
    step = {
        "action": gold.name.upper(),
        "value": gold.value or None,
        "position": list(gold.position) if gold.position else None,
    }
    return f"<think>This is the next step.</think><action>{json.dumps(step)}</action>"


GUI = register_task(
    Task(
        name="gui",
        template=THINK + "the place to click inside <answer> </answer> as [x, y].",
        rewards=(HIT, SMALL_FORMAT),
        score=hit_reward,
        score_name="hit",
        gold=gold_place,
        overlay=PLACE_MARKS,
    )
)
GUI_FAST = register_task(
    Task(
        name="gui_fast",
        template='{question}\nOutput the bounding box of the element in JSON: [{"bbox_2d": '
        "[x1, y1, x2, y2]}].",
        parse=parse_fenced,
        rewards=(HIT, replace(BOX_IOU, weight=0.25), replace(BOX_SIZE, weight=0.125)),
        score=hit_reward,
        score_name="hit",
        gold=gold_block,
        overlay=PLACE_MARKS,
        measures=MappingProxyType({"iou": box_iou_reward, "iou_50": box_iou_50_reward}),
    )
)
GUI_ACTION = register_task(
    Task(
        name="gui_action",
        template="{question}\nThink first inside <think> </think>, then give the step inside "
        "<action> </action> as {'action': ..., 'value': ..., 'position': [x, y]}, the position "
        "between 0 and 1.",
        parse=parse_action_completion,
        rewards=(ACTION_KIND, ACTION_PLACE, SMALL_FORMAT),
        score=action_kind_reward,
        score_name="kind",
        gold=gold_step,
        overlay=STEP_MARKS,
        measures=MappingProxyType({"place": action_place_reward}),
    )
)
