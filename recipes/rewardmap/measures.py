"""What claims.yaml measures of a trained arm beside its evaluations."""

from __future__ import annotations

from statistics import fmean

from mmrl.eval.replicate import Trained


def flat_groups(trained: Trained) -> float:
    """Share of training groups whose rewards were all equal, over all steps."""
    return fmean(trained.by_step("zero_spread"))
