"""RewardMap's mechanisms on fixed rollouts: a weak rider's answers about drawn maps, no training.

The rider names lines, stops and the number of legs by chance and is right now and then, as a model
that cannot read the map yet. Its answers do not depend on any reward.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np

from mmrl.eval.replicate.fixed import fixed_advantages, fixed_group, fixed_scores
from mmrl.methods.base import Method, method_spec
from mmrl.tasks.base import TASKS
from mmrl.types import Group, Sample

GROUPS, SIZE = 128, 8
KNOWS = 0.5
"""How often the rider has a name of the route right instead of any name of the map."""


def sparsity(seed: int) -> Mapping[str, float]:
    """Share of groups whose rewards are all equal."""
    groups = weak_groups(seed)
    return {
        name: fmean(
            float(group.spread == 0.0)
            for group in fixed_scores(method(**settings), TASKS.get("transit"), groups)
        )
        for name, settings in {"detail": {}, "right_or_wrong": {"detail": 0.0}}.items()
    }


def weights(seed: int) -> Mapping[str, float]:
    """Mean absolute advantage under W = 2 over that under W = 1."""
    groups = weak_groups(seed)
    return {
        normalize: size_of_advantages(groups, normalize, 2.0)
        / size_of_advantages(groups, normalize, 1.0)
        for normalize in ("mean_only", "std")
    }


def size_of_advantages(groups: Sequence[Group], normalize: str, weight: float) -> float:
    made = method(normalize=normalize, of_map={"easy": weight}, of_transfers=0.0)
    credited = fixed_advantages(made, TASKS.get("transit"), groups)
    return fmean(abs(a) for group in credited for a in group)


def method(**settings: Any) -> Method:
    with warnings.catch_warnings():  # it warns that std cancels W: that is what is shown here
        warnings.simplefilter("ignore", UserWarning)
        return method_spec({"name": "rewardmap", **settings}).build(TASKS.get("transit"))


def weak_groups(seed: int) -> list[Group]:
    """Planning questions with up to two changes, each with the answers of the rider."""
    task, groups = TASKS.get("transit"), []
    assert task.world is not None
    for index in range(GROUPS):
        sample = task.world(
            index, split="test", seed=seed, questions=["planning"], transfers=[0, 2]
        )
        rng = np.random.default_rng([seed, index])
        answers = [weak_answer(sample, rng) for _ in range(SIZE)]
        texts = [f"<think>so</think><answer>{answer}</answer>" for answer in answers]
        groups.append(fixed_group(task, sample, texts, name=str(index)))
    return groups


def weak_answer(sample: Sample, rng: np.random.Generator) -> str:
    """A well-formed route; each of its names is the reference's with chance `KNOWS`."""
    lines, stops = sorted(sample.meta["lines"]), sorted(sample.meta["places"])

    def said(right: str, names: Sequence[str]) -> str:
        return right if rng.random() < KNOWS else names[int(rng.integers(len(names)))]

    legs, at = [], said(sample.meta["station_1"], stops)
    for i in range(int(rng.integers(1, 4))):
        known = sample.target[min(i, len(sample.target) - 1)]
        to = said(known["arrival_stop"], stops)
        legs.append(f"{said(known['route_name'], lines)}: {at} > {to}")
        at = to
    return "; ".join(legs)
