"""GRIT's parts on fixed rollouts: what pointing is worth beside being right.

No model is trained: a group's rollouts point (with the right number of boxes or a wrong one) and
are right by coin, independently of each other.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mmrl.credit.group import Standardised

GROUPS, GROUP_SIZE = 512, 8
RIGHT, POINTS, AGREES = 0.5, 0.5, 0.8
"""Chances of a right answer, of boxes, and of as many boxes as the answer says."""


def worth_of_boxes(seed: int) -> Mapping[str, float]:
    """Mean advantage of rollouts that point, less that of the others, by rewards."""
    rng = np.random.default_rng([seed, 15879])
    credit = Standardised(1e-4)
    sums = {"grit": 0.0, "answer_only": 0.0}
    num = 0
    for _ in range(GROUPS):
        right = rng.random(GROUP_SIZE) < RIGHT
        points = rng.random(GROUP_SIZE) < POINTS
        agrees = points & (rng.random(GROUP_SIZE) < AGREES)
        if points.all() or not points.any():
            continue
        num += 1
        answer = 1.1 * right + 0.5
        for name, rewards in (
            ("grit", answer + 0.5 * points + 0.5 * agrees),
            ("answer_only", answer),
        ):
            advantages = np.array(credit(rewards.tolist()))
            sums[name] += float(advantages[points].mean() - advantages[~points].mean())
    return {name: total / num for name, total in sums.items()}
