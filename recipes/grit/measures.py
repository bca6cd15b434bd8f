"""What GRIT claims of reasoning: how often it points, and where."""

from __future__ import annotations

import math

from mmrl.eval.replicate import Trained
from mmrl.parse.boxes import is_proper_box, parse_boxes
from mmrl.parse.completion import parse_completion
from mmrl.rewards.grounded import union_iou

SAMPLES = 4
"""Sampled completions of an item, as claims.yaml asks; the greedy one behind them is left out."""


def pointing(trained: Trained) -> float:
    """Share of completions whose reasoning holds a proper box."""
    found = [bool(boxes) for _, boxes in _reasoned(trained)]
    return sum(found) / len(found)


def placed(trained: Trained) -> float:
    """Union IoU of those completions that point at all: where the boxes lie, not how often."""
    golds = {s.id: s.meta["boxes"] for s in trained.samples["test"]}
    found = [
        union_iou(boxes, [tuple(map(float, box)) for box in golds[name]])
        for name, boxes in _reasoned(trained)
        if boxes
    ]
    return sum(found) / len(found) if found else math.nan


def _reasoned(trained: Trained) -> list[tuple[str, list[tuple[float, float, float, float]]]]:
    """(item, proper boxes of the reasoning) of every sampled completion."""
    return [
        (
            item.id,
            [b for b in parse_boxes(parse_completion(text).reasoning or "") if is_proper_box(b)],
        )
        for item in trained.evaluations["test"].items
        for text in item.texts[:SAMPLES]
    ]
