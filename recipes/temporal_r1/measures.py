"""What claims.yaml measures of a trained arm beside its evaluations."""

from __future__ import annotations

from statistics import fmean

from mmrl.eval.replicate import Trained

FIRST_PASS = 7
"""Whole steps of 16 prompts in a pass over 114 samples, about as many as selection keeps."""


def flat_groups(trained: Trained) -> float:
    """Share of groups whose rewards were all equal, over the steps of the stage "rl"."""
    return fmean(trained.by_step("zero_spread", stage="rl"))


def flat_groups_first(trained: Trained) -> float:
    """The same over the first pass, before any sample comes again."""
    return fmean(trained.by_step("zero_spread", stage="rl")[:FIRST_PASS])
