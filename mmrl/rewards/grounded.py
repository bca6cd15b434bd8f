"""Rewards for reasoning that holds boxes: GRIT (arXiv 2505.15879).

`grounded_format` asks for a box in the reasoning, `count_agreement` for as many boxes as the
reference counts (what the model itself answers is judged elsewhere). Departures, each a hole of the
published code: boxes are complete and proper (not any four numbers with commas), near copies of a
box count once, and an answer is needed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmrl.errors import DataError
from mmrl.parse.boxes import Box, box_iou, is_proper_box, parse_boxes
from mmrl.parse.values import parse_number
from mmrl.rewards.gold import gold_number, gold_space
from mmrl.rewards.spaces import to_gold_space
from mmrl.types import Rollout, Sample

_MOST = 64
"""Boxes of a reasoning that are compared; more agree with no count."""
SAME = 0.8
"""IoU from which two boxes are copies of one."""


def grounded_format_reward(
    rollout: Rollout,
    sample: Sample,
    /,
) -> float | None:
    """1 where the reasoning holds a proper box and there is an answer, else 0.

    None where the reference is the number 0: there is nothing to put a box around.
    """
    target = sample.target
    if target == 0 or (isinstance(target, str) and parse_number(target) == 0.0):
        return None
    if not rollout.parsed.answer:
        return 0.0
    return 1.0 if reasoned_boxes(rollout) else 0.0


def count_agreement_reward(
    rollout: Rollout,
    sample: Sample,
    /,
) -> float:
    """1 where the reasoning holds as many different boxes as the reference counts, else 0."""
    gold = gold_number(sample)
    if parse_number(rollout.parsed.answer or "") is None:
        return 0.0
    boxes = distinct(reasoned_boxes(rollout))
    return 1.0 if len(boxes) <= _MOST and len(boxes) == gold else 0.0


def union_overlap(rollout: Rollout, sample: Sample) -> float | None:
    """IoU of the union of the reasoning's boxes with that of `meta["boxes"]`; GRIT's measure.

    None where the sample has no boxes. With `meta["coord_space"]` the reasoning's boxes are taken
    from the space in which the model writes to that one; without it both are in the same.
    """
    known = sample.meta.get("boxes")
    if not known:
        return None
    try:
        golds = [(float(a), float(b), float(c), float(d)) for a, b, c, d in known]
    except (TypeError, ValueError):
        raise DataError(
            f'sample "{sample.id}": meta["boxes"] should be a list of boxes, it is {known!r:.80}'
        ) from None
    boxes = reasoned_boxes(rollout)
    if sample.meta.get("coord_space") is not None:
        space = gold_space(sample)
        boxes = [to_gold_space(box, rollout, sample, None, space) for box in boxes]
    return union_iou(boxes, golds) if len(boxes) <= _MOST else 0.0


def reasoned_boxes(rollout: Rollout) -> list[Box]:
    """The proper boxes of the reasoning, in order."""
    return [box for box in parse_boxes(rollout.parsed.reasoning or "") if is_proper_box(box)]


def distinct(boxes: Sequence[Box]) -> list[Box]:
    """Boxes without copies: each overlaps every earlier one that is kept by less than `SAME`."""
    kept: list[Box] = []
    for box in dict.fromkeys(boxes):
        if len(kept) > _MOST:
            break
        if all(box_iou(box, other) < SAME for other in kept):
            kept.append(box)
    return kept


def union_iou(a: Sequence[Box], b: Sequence[Box]) -> float:
    """IoU of two unions of boxes, exact: areas are summed over the grid of all edges."""
    if not a or not b:
        return 0.0
    xs = np.unique([v for box in (*a, *b) for v in box[0::2]])
    ys = np.unique([v for box in (*a, *b) for v in box[1::2]])
    cells = np.outer(np.diff(ys), np.diff(xs))

    def cover(boxes: Sequence[Box]) -> np.ndarray:
        mask = np.zeros(cells.shape, bool)
        for x1, y1, x2, y2 in boxes:
            mask |= np.outer((ys[:-1] >= y1) & (ys[1:] <= y2), (xs[:-1] >= x1) & (xs[1:] <= x2))
        return mask

    in_a, in_b = cover(a), cover(b)
    union = float(cells[in_a | in_b].sum())
    return float(cells[in_a & in_b].sum()) / union if 0.0 < union < np.inf else 0.0
