"""What GUI-G1 claims: the size of boxes beside the reference, and hits on the smallest things."""

from __future__ import annotations

import math
from collections.abc import Iterator

from mmrl.eval.replicate import Trained
from mmrl.parse.boxes import is_proper_box, parse_box
from mmrl.parse.completion import parse_completion

SAMPLES = 4
"""Sampled completions of an item, as claims.yaml asks; the greedy one behind them is left out."""


def area_ratio(trained: Trained) -> float:
    """Geometric mean of answered area / reference area: below 1, boxes are too small.

    A mean of the ratios themselves would rise with their spread: of 1/2 and 2 it is 1.25.
    """
    logs = list(log_ratios(trained))
    return math.exp(sum(logs) / len(logs)) if logs else math.nan


def size_error(trained: Trained) -> float:
    """Mean |log(answered area / reference area)|: 0 where every box has the right size."""
    logs = list(log_ratios(trained))
    return sum(map(abs, logs)) / len(logs) if logs else math.nan


def hit_smallest(trained: Trained) -> float:
    """Hit rate of the third of the items with the smallest reference boxes."""
    items = sorted(trained.evaluations["test"].items, key=lambda item: area(item.target))
    third = items[: len(items) // 3]
    return sum(item.values["hit"] for item in third) / len(third)


def log_ratios(trained: Trained) -> Iterator[float]:
    """log(answered area / reference area) of every sampled completion with a proper box."""
    for item in trained.evaluations["test"].items:
        for text in item.texts[:SAMPLES]:
            box = parse_box(parse_completion(text).answer or "")
            if box is not None and is_proper_box(box):
                yield math.log(area(box) / area(item.target))


def area(box: tuple[float, float, float, float]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
