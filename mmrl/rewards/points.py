"""Rewards for answers that point: at a thing's box, or near a reference point; in [0, 1].

`hit` is the measure of ScreenSpot and the first reward of GUI-G1 (arXiv 2505.15810): the point, or
the centre of an answered box, lies in the reference box, edges included. An answered box that is
inverted, flat or infinite hits nothing (GUI-G1's code lets it).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from mmrl.parse.boxes import Box, CoordSpace
from mmrl.parse.points import Point, box_centre, in_box, parse_target, point_distance
from mmrl.rewards.gold import gold_box, gold_point, gold_space, holds_points
from mmrl.rewards.spaces import picture_extent, to_gold_space
from mmrl.types import Rollout, Sample


@dataclass(frozen=True, kw_only=True)
class Hit:
    """1 where the answer points into the reference box, else 0.

    A reference point counts as hit within `radius`, a share of the longer side of the picture.
    """

    answer_space: CoordSpace | None = None
    radius: float = 0.05

    def __call__(
        self,
        rollout: Rollout,
        sample: Sample,
        /,
    ) -> float:
        gold, point = pointed(rollout, sample, self.answer_space)
        if point is None:
            return 0.0
        if len(gold) == 2:
            return 1.0 if far(point, gold, rollout, sample) <= self.radius else 0.0
        return 1.0 if in_box(point, gold) else 0.0


@dataclass(frozen=True, kw_only=True)
class Near:
    """1 inside the reference box (or at the reference point), falling with distance to 0.

    max(0, 1 - d / reach): d is the distance to the nearest point of the box and `reach` the
    distance that earns nothing, both as shares of the longer side of the picture.
    """

    answer_space: CoordSpace | None = None
    reach: float = 0.25

    def __call__(
        self,
        rollout: Rollout,
        sample: Sample,
        /,
    ) -> float:
        gold, point = pointed(rollout, sample, self.answer_space)
        if point is None or not all(map(math.isfinite, point)):
            return 0.0
        if len(gold) == 2:
            nearest = gold
        else:
            nearest = (
                min(max(point[0], gold[0]), gold[2]),
                min(max(point[1], gold[1]), gold[3]),
            )
        return max(0.0, 1.0 - far(point, nearest, rollout, sample) / self.reach)


def pointed(
    rollout: Rollout, sample: Sample, answer_space: CoordSpace | None
) -> tuple[Box | Point, Point | None]:
    """The reference box or point, and where the answer points in the reference's space."""
    gold: Box | Point = gold_point(sample) if holds_points(sample) else gold_box(sample)
    space = gold_space(sample)
    point = parse_target(rollout.parsed.answer or "")
    if point is None:
        return gold, None
    box = to_gold_space((*point, *point), rollout, sample, answer_space, space)
    return gold, box_centre(box) if all(map(math.isfinite, box)) else None


def far(a: Point, b: Point, rollout: Rollout, sample: Sample) -> float:
    """Distance of two points in the reference's space, as a share of the longer side."""
    if a == b:
        return 0.0
    return point_distance(a, b) / max(picture_extent(rollout, sample))


hit_reward = Hit()
near_reward = Near()
