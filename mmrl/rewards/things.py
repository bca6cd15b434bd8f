"""Rewards for lists of things with boxes, points, labels and confidence.

`Things` is VisionReasoner's accuracy (Seg-Zero's repository, card section 9.3) scaled to [0, 1],
`Detection` the overlap of VLM-R1's and Visual-RFT's detection, `Confidence` the calibration of
Visual-RFT. All match one to one over the larger count. The target is a list of mappings (or its
JSON text) with `bbox_2d` and perhaps `point_2d` and `label`; the text "none" says that there is
nothing to find, and then the answer "none" (or `[]`) earns the maximum.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from mmrl.errors import DataError
from mmrl.parse.boxes import Box, CoordSpace, box_iou, is_proper_box
from mmrl.parse.objects import Thing, parse_things, read_thing
from mmrl.parse.points import Point, in_box
from mmrl.parse.values import normal_text
from mmrl.rewards.box_size import edge_distance
from mmrl.rewards.gold import gold_space
from mmrl.rewards.matching import best_pairs, matched_mean, pair_scores
from mmrl.rewards.spaces import picture_extent, to_gold_space
from mmrl.types import Rollout, Sample

NOTHING = frozenset({"none", "[]", "no objects"})
_MOST = 2000
"""Things of an answer that are looked at; more are counted, and earn nothing."""


@dataclass(frozen=True, kw_only=True)
class Things:
    """Mean over matched things of the share of their marks that are right.

    The marks: box IoU above 0.5; box edges on average nearer than `box_below`; and where the
    reference has points, all answered points lie in the answered box and are on average nearer
    than `point_below`. Distances are shares of the sides (Seg-Zero: pixels of 840 x 840).
    """

    answer_space: CoordSpace | None = None
    box_below: float = 10 / 840
    point_below: float = 30 / 840

    def __call__(
        self,
        rollout: Rollout,
        sample: Sample,
        /,
    ) -> float:
        extent = picture_extent(rollout, sample)

        def marks(thing: Thing, gold: Thing) -> float:
            if thing.box is None or gold.box is None or not same_label(thing, gold):
                return 0.0
            right = [
                box_iou(thing.box, gold.box) > 0.5,
                edge_distance(thing.box, gold.box, *extent) < self.box_below,
            ]
            if gold.points:
                inside = all(in_box(point, thing.box) for point in thing.points)
                near = points_apart(thing.points, gold.points, extent) < self.point_below
                right.append(inside and near)
            return sum(right) / len(right)

        return _matched(rollout, sample, self.answer_space, marks)


@dataclass(frozen=True, kw_only=True)
class Detection:
    """Mean overlap of things of the same label (case does not count), where above `above`."""

    answer_space: CoordSpace | None = None
    above: float = 0.5

    def __call__(
        self,
        rollout: Rollout,
        sample: Sample,
        /,
    ) -> float:
        def overlap(thing: Thing, gold: Thing) -> float:
            return labelled_iou(thing, gold, self.above)

        return _matched(rollout, sample, self.answer_space, overlap)


@dataclass(frozen=True, kw_only=True)
class Confidence:
    """How well stated confidence tells right boxes from wrong ones, in [0, 1].

    (Σ c of matched things - Σ c of the others) / max(answered, reference), not below 0. Visual-RFT
    pays 1 - c for a wrong box instead, so that a box anywhere with confidence 0.1 earns 0.9.
    """

    answer_space: CoordSpace | None = None
    above: float = 0.5

    def __call__(
        self,
        rollout: Rollout,
        sample: Sample,
        /,
    ) -> float:
        golds, things, said_nothing = _read(rollout, sample, self.answer_space)
        if not golds:
            return 1.0 if said_nothing else 0.0
        if not things or len(things) > _MOST:
            return 0.0
        scores = pair_scores(things, golds, lambda a, b: labelled_iou(a, b, self.above))
        found = {answer for answer, _ in best_pairs(scores)}
        sure = [min(1.0, max(0.0, t.confidence or 0.0)) for t in things]
        total = sum(c if i in found else -c for i, c in enumerate(sure))
        return max(0.0, total / max(len(things), len(golds)))


def gold_things(sample: Sample) -> tuple[Thing, ...]:
    """The things of the target, each with a proper box; () only for the text "none"."""
    target = sample.target
    if isinstance(target, str):
        if normal_text(target) in NOTHING:
            return ()
        read: Sequence[Thing | None] = parse_things(target)
    elif isinstance(target, Sequence) and not isinstance(target, bytes):
        read = [read_thing(item) for item in target]
    else:
        read = []
    known = tuple(thing for thing in read if thing is not None)
    if not known or len(known) != len(read):
        raise DataError(
            f'the target of sample "{sample.id}" should be a list of {{"bbox_2d": [x1, y1, x2, '
            f'y2], …}}, or "none"; it is {target!r:.120}'
        )
    for thing in known:
        if thing.box is None or not is_proper_box(thing.box):
            raise DataError(
                f'sample "{sample.id}": a thing of the target should have a box with a positive '
                f"width and height; it is {thing!r:.120}"
            )
    return known


def same_label(thing: Thing, gold: Thing) -> bool:
    """Whether the label is right; a reference without one takes any."""
    return not gold.label or normal_text(thing.label) == normal_text(gold.label)


def labelled_iou(thing: Thing, gold: Thing, above: float) -> float:
    """IoU of two boxes where the labels agree and it is greater than `above`, else 0."""
    if thing.box is None or gold.box is None or not same_label(thing, gold):
        return 0.0
    overlap = box_iou(thing.box, gold.box)
    return overlap if overlap > above else 0.0


def points_apart(
    points: Sequence[Point], golds: Sequence[Point], extent: tuple[float, float]
) -> float:
    """Mean distance under the best assignment, in shares of the sides; inf for another number."""
    if len(points) != len(golds) or not all(map(math.isfinite, (v for p in points for v in p))):
        return math.inf
    width, height = extent
    apart = np.array(
        [[math.hypot((p[0] - g[0]) / width, (p[1] - g[1]) / height) for g in golds] for p in points]
    )
    if not np.isfinite(apart).all():
        return math.inf
    return float(apart[linear_sum_assignment(apart)].mean())


def _matched(
    rollout: Rollout,
    sample: Sample,
    answer_space: CoordSpace | None,
    score: Callable[[Thing, Thing], float],
) -> float:
    golds, things, said_nothing = _read(rollout, sample, answer_space)
    if not golds:
        return 1.0 if said_nothing else 0.0
    if len(things) > _MOST:
        return 0.0
    return matched_mean(pair_scores(things, golds, score))


def _read(
    rollout: Rollout, sample: Sample, answer_space: CoordSpace | None
) -> tuple[tuple[Thing, ...], list[Thing], bool]:
    """The reference, the answer in the reference's space, and whether it says that nothing is."""
    golds, space = gold_things(sample), gold_space(sample)
    answer = rollout.parsed.answer or ""
    things = parse_things(answer)
    said_nothing = not things and normal_text(answer.strip("`").removeprefix("json")) in NOTHING

    def moved(box: Box) -> Box:
        return to_gold_space(box, rollout, sample, answer_space, space)

    converted = [
        Thing(
            box=None if thing.box is None else moved(thing.box),
            points=tuple(moved((*point, *point))[:2] for point in thing.points),
            label=thing.label,
            confidence=thing.confidence,
        )
        for thing in things[: _MOST + 1]
    ]
    return golds, converted, said_nothing


things_reward = Things()
detection_reward = Detection()
box_confidence_reward = Confidence()
