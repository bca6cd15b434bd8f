"""Temporal-R1's two rewards on drawn rollouts: what the second adds where the first is flat."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mmrl.eval.replicate.fixed import fixed_group, fixed_scores
from mmrl.methods.base import method_spec
from mmrl.tasks.base import TASKS
from mmrl.types import Group, Sample

GROUPS = 200
TASK = TASKS.get("choice")


def flat_share(seed: int) -> Mapping[str, float]:
    """Share of 200 grounded questions whose 8 rollouts all earn the same, by rewards.

    A question's chance of the right option is drawn from Beta(1/2, 1/2): many are nearly always or
    never right, as after training. Spans scatter around the reference by 1 s.
    """
    rng = np.random.default_rng([seed, 25060])
    groups = [_group(rng, str(i)) for i in range(GROUPS)]
    return {"dual": _flat(groups, 1.0), "option_alone": _flat(groups, 0.0)}


def _group(rng: np.random.Generator, name: str) -> Group:
    start = float(rng.uniform(2, 20))
    end = start + float(rng.uniform(2, 10))
    chance = float(rng.beta(0.5, 0.5))
    sample = Sample(id=name, task="choice", question="?", target="A", meta={"span": (start, end)})
    texts = []
    for _ in range(8):
        a, b = np.sort(rng.normal((start, end), 1.0))
        letter = "A" if rng.random() < chance else "B"
        texts.append(f"<think>so</think><answer>{letter}. [{abs(a):.1f}, {abs(b):.1f}]</answer>")
    return fixed_group(TASK, sample, texts)


def _flat(groups: list[Group], w_tmp: float) -> float:
    method = method_spec({"name": "temporal_r1", "w_tmp": w_tmp}).build(TASK)
    return sum(s.spread == 0.0 for s in fixed_scores(method, TASK, groups)) / len(groups)
