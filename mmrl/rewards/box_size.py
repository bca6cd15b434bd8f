"""How near each edge of a box is to its place: the third reward of GUI-G1, made bounded.

R = 4 / Σ_j 1 / (1 - |Δ_j| / S_j) over the four edges j, S the picture's width or height: the
harmonic mean of the edges' nearness (arXiv 2505.15810, section 4). It balances the pull of `hit`
(boxes shrink) and of `iou` (boxes grow).

Departure: an edge that is a whole side or more away earns 0, and with it the box. The published
form divides by what is then negative or near 0 and pays anything (-166 and +83 within a pixel).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmrl.parse.boxes import Box, CoordSpace, is_proper_box, parse_box
from mmrl.rewards.gold import gold_box, gold_space
from mmrl.rewards.spaces import picture_extent, to_gold_space
from mmrl.types import Rollout, Sample


def edge_nearness(box: Box, gold: Box, width: float, height: float) -> float:
    """The harmonic mean in [0, 1]; 0 for an improper box, 1 only for the reference itself."""
    if not is_proper_box(box):
        return 0.0
    sides = (width, height, width, height)
    terms = [1.0 - abs(a - b) / side for a, b, side in zip(box, gold, sides, strict=True)]
    return 4.0 / sum(1.0 / term for term in terms) if min(terms) > 1e-9 else 0.0


@dataclass(frozen=True, kw_only=True)
class BoxSize:
    """`edge_nearness` of the answer's last box, in the space of the reference."""

    answer_space: CoordSpace | None = None

    def __call__(
        self,
        rollout: Rollout,
        sample: Sample,
        /,
    ) -> float:
        gold, space = gold_box(sample), gold_space(sample)
        box = parse_box(rollout.parsed.answer or "")
        if box is None:
            return 0.0
        box = to_gold_space(box, rollout, sample, self.answer_space, space)
        return edge_nearness(box, gold, *picture_extent(rollout, sample))


def edge_distance(box: Box, gold: Box, width: float, height: float) -> float:
    """Mean distance of the four edges, each as a share of the picture's side; inf if improper."""
    if not is_proper_box(box):
        return float("inf")
    sides = (width, height, width, height)
    return sum(abs(a - b) / side for a, b, side in zip(box, gold, sides, strict=True)) / 4.0


@dataclass(frozen=True, kw_only=True)
class BoxL1:
    """1 where the edges of the answer's last box are on average nearer than `below`, else 0.

    Seg-Zero asks for 10 pixels of its 840 x 840 pictures (arXiv 2503.06520): a share of the side
    here, so that it means the same for every size and space.
    """

    answer_space: CoordSpace | None = None
    below: float = 10 / 840

    def __call__(
        self,
        rollout: Rollout,
        sample: Sample,
        /,
    ) -> float:
        gold, space = gold_box(sample), gold_space(sample)
        box = parse_box(rollout.parsed.answer or "")
        if box is None:
            return 0.0
        box = to_gold_space(box, rollout, sample, self.answer_space, space)
        extent = picture_extent(rollout, sample)
        return 1.0 if edge_distance(box, gold, *extent) < self.below else 0.0


def size_weights(shares: Sequence[float]) -> list[float]:
    """GUI-G1's weight of each question, 0.5 for the largest box to 1.5 for the smallest.

    w = 0.5 + (1/λ - min) / (max - min) over all λ, the boxes' shares of their pictures' areas
    (arXiv 2505.15810, appendix C.3); boxes of one size weigh 1 each. One very small box takes
    nearly all of the range: the rest is then near 0.5.
    """
    if not shares or min(shares) <= 0.0:
        raise ValueError(f"shares of areas should be above 0, got {list(shares)[:4]}")
    inverse = [1.0 / share for share in shares]
    low, high = min(inverse), max(inverse)
    if high == low:
        return [1.0] * len(shares)
    return [0.5 + (value - low) / (high - low) for value in inverse]


box_size_reward = BoxSize()
box_l1_reward = BoxL1()
