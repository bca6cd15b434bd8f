"""Rewards for boxes and time spans: overlap with the reference, in [0, 1].

An answer that holds no box or span, or an inverted, flat or infinite one, earns 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmrl.parse.boxes import (
    Box,
    CoordSpace,
    box_giou,
    box_iou,
    parse_box,
    parse_boxes,
)
from mmrl.parse.spans import parse_span, span_iou
from mmrl.rewards.gold import gold_box, gold_boxes, gold_space, gold_span
from mmrl.rewards.matching import matched_mean, pair_scores
from mmrl.rewards.spaces import to_gold_space
from mmrl.types import Rollout, Sample


@dataclass(frozen=True, kw_only=True)
class BoxIou:
    """Overlap of the answer's last box with the one reference box.

    The reference is in `sample.meta["coord_space"]`. The answer is in `answer_space`, else in
    `sample.meta["answer_space"]` (for questions that say which), else in the space of the model's
    family, and where that is not known in the same space; it is converted with the sizes that the
    first picture of the prompt really had. `generalised` gives (GIoU + 1) / 2, which still tells
    near from far where boxes do not touch; `above` makes it a hit or a miss (iou@0.5).
    """

    answer_space: CoordSpace | None = None
    generalised: bool = False
    above: float | None = None
    """Least overlap, itself too little, that earns 1; what has less earns 0."""

    def __call__(
        self,
        rollout: Rollout,
        sample: Sample,
        /,
    ) -> float:
        gold = gold_box(sample)
        box = parse_box(rollout.parsed.answer or "")
        space = gold_space(sample)
        if box is None:
            return 0.0
        box = to_gold_space(box, rollout, sample, self.answer_space, space)
        if self.generalised:
            return (box_giou(box, gold) + 1.0) / 2.0
        overlap = box_iou(box, gold)
        return overlap if self.above is None else float(overlap > self.above)


@dataclass(frozen=True, kw_only=True)
class BoxesIou:
    """Mean overlap of boxes matched one to one, over max(predicted, reference) boxes.

    Pairs count where they overlap by more than `above` (Visual-RFT: 0.5).
    """

    answer_space: CoordSpace | None = None
    above: float = 0.0

    def __call__(
        self,
        rollout: Rollout,
        sample: Sample,
        /,
    ) -> float:
        golds = gold_boxes(sample)
        space = gold_space(sample)
        boxes = [
            to_gold_space(box, rollout, sample, self.answer_space, space)
            for box in parse_boxes(rollout.parsed.answer or "")
        ]
        return matched_iou(boxes, golds, self.above)


def span_iou_reward(
    rollout: Rollout,
    sample: Sample,
    /,
) -> float:
    """Overlap in time of the answer's last span with the reference span."""
    gold = gold_span(sample)
    span = parse_span(rollout.parsed.answer or "")
    return span_iou(span, gold) if span is not None else 0.0


def matched_iou(boxes: Sequence[Box], golds: Sequence[Box], above: float = 0.0) -> float:
    """Sum of IoU under the best one-to-one matching, over the larger of the two counts."""
    return matched_mean(pair_scores(boxes, golds, lambda a, b: gated(box_iou(a, b), above)))


def gated(overlap: float, above: float) -> float:
    """The overlap where it is greater than `above`, else 0."""
    return overlap if overlap > above else 0.0


box_iou_reward = BoxIou()
box_iou_50_reward = BoxIou(above=0.5)
box_giou_reward = BoxIou(generalised=True)
boxes_iou_reward = BoxesIou()
