"""Boxes, points and things in the rows of data sets; their coordinate space is the rows' own.

`boxes` asks for all boxes of a kind (BCCD), `pointing` for a place in or at a thing (Super-CLEVR),
`detection` for things with labels (COCO), `boxed_count` for a number whose reasoning holds a box a
thing (GRIT on TallyQA).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from mmrl.parse.boxes import parse_boxes
from mmrl.parse.points import box_centre
from mmrl.rewards.builtin import (
    BOXES_IOU,
    COUNT_AGREEMENT,
    DETECTION,
    GROUNDED_FORMAT,
    HIT,
    NEAR,
    NUMBER,
)
from mmrl.rewards.exact import number_reward
from mmrl.rewards.gold import gold_box, gold_boxes, gold_number, gold_point, holds_points
from mmrl.rewards.grounded import count_agreement_reward, union_overlap
from mmrl.rewards.iou import boxes_iou_reward
from mmrl.rewards.points import hit_reward
from mmrl.rewards.things import detection_reward, gold_things
from mmrl.tasks.base import SMALL_FORMAT, Task, register_task
from mmrl.tasks.drawing import number_text
from mmrl.tasks.overlay_kinds import BOXES_MARKS, PLACE_MARKS, REASONED_MARKS, THING_MARKS
from mmrl.types import Rollout, Sample

THINK = "{question}\nThink first inside <think> </think>, then give "


def gold_place(sample: Sample) -> str:
    """The completion that points at the sample's point, or at the middle of its box."""
    point = gold_point(sample) if holds_points(sample) else box_centre(gold_box(sample))
    return f"<think>It is here.</think><answer>[{numbers(*point)}]</answer>"


def gold_all_boxes(sample: Sample) -> str:
    """The completion that lists the sample's boxes."""
    boxes = gold_boxes(sample)
    listed = ", ".join(f"[{numbers(*box)}]" for box in boxes)
    return f"<think>There are {len(boxes)}.</think><answer>[{listed}]</answer>"


def gold_detection(sample: Sample) -> str:
    """The completion that lists the sample's things as JSON, or says "none"."""
    things = gold_things(sample)
    listed: list[Mapping[str, Any]] = []
    for thing in things:
        said: dict[str, Any] = {"bbox_2d": list(thing.box or ())}
        said |= {"point_2d": list(thing.points[0])} if thing.points else {}
        said |= {"label": thing.label} if thing.label else {}
        listed.append({**said, "confidence": 1.0})
    answer = json.dumps(listed) if listed else "none"
    return f"<think>There are {len(things)}.</think><answer>{answer}</answer>"


def gold_boxed_count(sample: Sample) -> str:
    """The completion that counts, with the boxes of `meta["boxes"]` in its reasoning.

    Rows without boxes (GRIT's are not checked) get as many places in a line, which agree in number.
    """
    count = gold_number(sample)
    boxes = sample.meta.get("boxes") or [(3 * i, 0, 3 * i + 2, 2) for i in range(int(count))]
    if isinstance(boxes, str):
        boxes = parse_boxes(boxes)
    said = " ".join(f"[{numbers(*box)}]" for box in boxes) or "None."
    return f"<think>{said}</think><answer>{number_text(count)}</answer>"


def right_number(rollout: Rollout, sample: Sample) -> float:
    """1 where as many boxes are answered as there are, else 0."""
    return float(len(parse_boxes(rollout.parsed.answer or "")) == len(gold_boxes(sample)))


def numbers(*values: float) -> str:
    """Numbers with commas, exact."""
    return ", ".join(number_text(v) for v in values)


BOXES = register_task(
    Task(
        name="boxes",
        template=THINK + "the bounding boxes of all inside <answer> </answer> as "
        "[[x1, y1, x2, y2], ...].",
        rewards=(BOXES_IOU, SMALL_FORMAT),
        score=boxes_iou_reward,
        score_name="iou",
        gold=gold_all_boxes,
        overlay=BOXES_MARKS,
        measures=MappingProxyType({"count": right_number}),
    )
)
POINTING = register_task(
    Task(
        name="pointing",
        template=THINK + "the point inside <answer> </answer> as [x, y].",
        rewards=(HIT, replace(NEAR, weight=0.2), SMALL_FORMAT),
        score=hit_reward,
        score_name="hit",
        gold=gold_place,
        overlay=PLACE_MARKS,
    )
)
DETECTION_TASK = register_task(
    Task(
        name="detection",
        template=THINK + "every object inside <answer> </answer> as JSON: "
        '[{"bbox_2d": [x1, y1, x2, y2], "label": "..."}, ...], or none.',
        rewards=(DETECTION, SMALL_FORMAT),
        score=detection_reward,
        score_name="iou",
        gold=gold_detection,
        overlay=THING_MARKS,
    )
)
BOXED_COUNT = register_task(
    Task(
        name="boxed_count",
        template=THINK.replace(
            "Think first", "Think first, with the bounding box [x1, y1, x2, y2] of each thing,"
        )
        + "the number inside <answer> </answer>.",
        rewards=(
            NUMBER,
            replace(COUNT_AGREEMENT, weight=0.5),
            replace(GROUNDED_FORMAT, weight=0.5),
            SMALL_FORMAT,
        ),
        score=number_reward,
        score_name="right",
        gold=gold_boxed_count,
        overlay=REASONED_MARKS,
        measures=MappingProxyType(
            {"agreement": count_agreement_reward, "union_iou": union_overlap}
        ),
    )
)
