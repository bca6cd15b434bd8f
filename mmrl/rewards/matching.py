"""One-to-one matching of what was answered with what was asked for.

The sum over the best matching (Hungarian) is divided by the larger of the two counts, so that what
is missing and what is too much cost the same, and a second answer for one thing earns nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

A = TypeVar("A")
B = TypeVar("B")


def pair_scores(
    answers: Sequence[A], golds: Sequence[B], score: Callable[[A, B], float]
) -> NDArray[np.float64]:
    """Scores [answers, golds] of every pair."""
    table = [[score(answer, gold) for gold in golds] for answer in answers]
    return np.array(table, np.float64).reshape(len(answers), len(golds))


def best_pairs(scores: NDArray[np.float64]) -> list[tuple[int, int]]:
    """One-to-one pairs (answer, gold) with the greatest sum; those that score 0 are no pairs."""
    rows, columns = linear_sum_assignment(scores, maximize=True)
    return [(int(r), int(c)) for r, c in zip(rows, columns, strict=True) if scores[r, c] > 0.0]


def matched_mean(scores: NDArray[np.float64]) -> float:
    """Sum of the best matching over the larger count, for scores in [0, 1]; 0 for an empty side."""
    if 0 in scores.shape:
        return 0.0
    total = sum(scores[pair] for pair in best_pairs(scores))
    return min(1.0, float(total) / max(scores.shape))
