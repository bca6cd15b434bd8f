"""What claims.yaml measures of a trained arm beside its evaluations."""

from __future__ import annotations

from mmrl.eval.replicate import Trained


def gap(trained: Trained) -> float:
    """Share of right answers on ordered frames minus that on shuffled frames of the same clips."""
    ordered, shuffled = (trained.evaluations[name].of("right") for name in ("ordered", "shuffled"))
    both = [name for name in ordered if name in shuffled]
    return sum(ordered[name] - shuffled[name] for name in both) / len(both)
