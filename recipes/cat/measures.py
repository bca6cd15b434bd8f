"""A measure of Code-as-Thought's claims on a trained model."""

from __future__ import annotations

from mmrl.eval.replicate import Trained


def gap(trained: Trained) -> float:
    """Use of code where a table is enough, less its use where it is not: 1 is always right."""
    found = trained.evaluations["test"].estimates
    return found["code_where_high"].mean - found["code_where_low"].mean
