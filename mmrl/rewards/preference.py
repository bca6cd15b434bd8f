"""Rewards for verdicts on a pair (UnifiedReward-Think, arXiv 2505.03318).

The paper's two parts are accuracy (the verdict is the label) and format. Three defects of the
official code are mended: a completion without tags that equals the label earns nothing, an answer
inside `<think>` is not the answer, and full marks for totals that contradict the verdict can be
taken away with `pair_agrees` (the card's "sum-verdict agreement") and `pair_scores`.
"""

from __future__ import annotations

from mmrl.errors import DataError
from mmrl.parse.verdicts import PairScores, PairVerdict, parse_pair_scores, parse_verdict
from mmrl.rewards.registry import REWARDS
from mmrl.roles import Reward
from mmrl.types import Rollout, Sample

_CLOSE = 1e-6


def gold_verdict(sample: Sample) -> PairVerdict:
    """The verdict of `sample.target`: `A` or `B`, or `Image 1 is better` and its like."""
    target = sample.target
    verdict = parse_verdict(target) if isinstance(target, str) else None
    if verdict is None:
        raise DataError(
            f'the target of sample "{sample.id}" (task "{sample.task}") should be a verdict on a '
            f'pair, "A", "B" or "Image 1 is better" (Image, Video, Answer, Response; 1 or 2); it '
            f"is {target!r}"
        )
    return verdict


def verdict_of(rollout: Rollout) -> PairVerdict | None:
    """The verdict in the answer's tags."""
    return parse_verdict(rollout.parsed.answer or "")


def preference_reward(
    rollout: Rollout,
    sample: Sample,
    /,
) -> float:
    """1 where the answer is the reference verdict in the form asked for, else 0."""
    gold = gold_verdict(sample)
    return 1.0 if verdict_of(rollout) == gold else 0.0


def pair_scores_reward(
    rollout: Rollout,
    sample: Sample,
    /,
) -> float:
    """1 where the reasoning scores both in dimensions and its totals are the sums of these."""
    scores = _scores(rollout)
    if scores is None or scores.totals is None or verdict_of(rollout) is None:
        return 0.0
    for side, total in enumerate(scores.totals):
        written = scores.sums[side]
        sums = [_sum(scores, side), *([sum(written)] if written else [])]
        if any(abs(total - value) > _CLOSE for value in sums):
            return 0.0
    return 1.0


def pair_agrees_reward(
    rollout: Rollout,
    sample: Sample,
    /,
) -> float:
    """1 where the dimensions, added up, favour the one that the answer calls better; a tie is 0."""
    scores, verdict = _scores(rollout), verdict_of(rollout)
    if scores is None or verdict is None:
        return 0.0
    return float(_sum(scores, verdict.better) > _sum(scores, 1 - verdict.better) + _CLOSE)


def _scores(rollout: Rollout) -> PairScores | None:
    """The scores of the reasoning; one without dimensions has none."""
    scores = parse_pair_scores(rollout.parsed.reasoning or "")
    return scores if scores is not None and scores.dimensions else None


def _sum(scores: PairScores, side: int) -> float:
    return sum((first, second)[side] for _, first, second in scores.dimensions)


PREFERENCE = REWARDS.add("preference", Reward(name="preference", fn=preference_reward))
PAIR_SCORES = REWARDS.add(
    "pair_scores", Reward(name="pair_scores", fn=pair_scores_reward, weight=0.2)
)
PAIR_AGREES = REWARDS.add(
    "pair_agrees", Reward(name="pair_agrees", fn=pair_agrees_reward, weight=0.2)
)
