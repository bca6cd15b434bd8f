"""Numbers of a step that logs and curves show, worked out from its groups."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from mmrl.train.collector import Batch
from mmrl.types import ScoredGroup, Verdict


def batch_metrics(batch: Batch) -> dict[str, float]:
    """Rewards, parts, lengths and spread of everything that was sampled, before the gate.

    `reward` and `reward/<part>` are means over scorable rollouts, `reward_std` the mean spread
    within groups (population standard deviation), `zero_spread` the share of groups whose rewards
    are all equal, `unscorable` the share of rollouts without a reward.
    """
    groups = batch.observed or batch.everyone
    metrics = {"draws": float(batch.num_draws)} if batch.num_draws else {}
    metrics |= {f"dropped/{reason}": float(n) for reason, n in batch.dropped.items()}
    metrics |= {f"skipped/{reason}": float(n) for reason, n in batch.skipped.items()}
    if batch.demonstrations:
        metrics["demonstrations"] = float(len(batch.demonstrations))
    if not groups:
        return metrics
    rollouts = [r for g in groups for r in g.group.rollouts]
    rewards = [r for g in groups for r in g.rewards]
    known = [r for r in rewards if r is not None]
    scores = [s for g in groups for s in g.score if s is not None]
    metrics |= {
        "reward": _mean(known),
        "reward_std": _mean([_spread(g) for g in groups]),
        "score": _mean(scores),
        "accuracy": _mean([float(o) for g in groups for o in g.outcome]),
        "zero_spread": _mean([float(g.spread == 0.0) for g in groups]),
        "unscorable": 1.0 - len(known) / len(rewards),
        "length": _mean([float(len(r.token_ids)) for r in rollouts]),
        "length_max": float(max(len(r.token_ids) for r in rollouts)),
        "truncated": _mean([float(r.truncated) for r in rollouts]),
        "format": _mean([float(r.parsed.verdict is Verdict.OK) for r in rollouts]),
    }
    for name in sorted({n for g in groups for n in g.parts}):
        values = [v for g in groups for v in g.parts.get(name, ()) if v is not None]
        if values:
            metrics[f"reward/{name}"] = _mean(values)
    failed = sum(1 for g in groups for reasons in g.failures.values() for r in reasons if r)
    if failed:
        metrics["reward_failures"] = float(failed)
    return metrics


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _spread(scored: ScoredGroup) -> float:
    known = [r for r in scored.rewards if r is not None]
    return statistics.pstdev(known) if known else 0.0
