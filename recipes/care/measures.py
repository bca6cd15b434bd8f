"""Measures of `mmrl replicate care` that are of several evaluations."""

from __future__ import annotations

from statistics import fmean

from mmrl.eval.replicate.trained import Trained


def consistency(trained: Trained) -> float:
    """Share of responses whose reasoning comes to the option they answer, mean of the levels."""
    return fmean(e.estimates["consistent"].mean for e in trained.evaluations.values())
