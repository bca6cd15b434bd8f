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

from mmrl.methods.base import Method, method_spec
from mmrl.parse.completion import parse_completion
from mmrl.tasks.base import TASKS
from mmrl.train.score import Scorer
from mmrl.types import Clock, Group, Prompt, Rollout, Sample, ScoredGroup, StopReason

GROUPS, SIZE = 128, 8
KNOWS = 0.5
"""How often the rider has a name of the route right instead of any name of the map."""
CLOCK = Clock(step=0, stage="fixed", stage_step=0, stage_steps=1)
PROMPT = Prompt(messages=(), token_ids=())


def sparsity(seed: int) -> Mapping[str, float]:
    """Share of groups whose rewards are all equal."""
    groups = weak_groups(seed)
    return {
        name: fmean(float(group.spread == 0.0) for group in scored(method(**settings), groups))
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
    credited = made.credit(scored(made, groups), dict, CLOCK)
    return fmean(abs(a) for group in credited for a in group if isinstance(a, float))


def method(**settings: Any) -> Method:
    with warnings.catch_warnings():  # it warns that std cancels W: that is what is shown here
        warnings.simplefilter("ignore", UserWarning)
        return method_spec({"name": "rewardmap", **settings}).build(TASKS.get("transit"))


def scored(made: Method, groups: Sequence[Group]) -> list[ScoredGroup]:
    scorer = Scorer(rewards={"transit": made.rewards}, bonuses=(), combine=made.combine)
    return scorer(groups, CLOCK)


def weak_groups(seed: int) -> list[Group]:
    """Planning questions with up to two changes, each with the answers of the rider."""
    world, groups = TASKS.get("transit").world, []
    assert world is not None
    for index in range(GROUPS):
        sample = world(index, split="test", seed=seed, questions=["planning"], transfers=[0, 2])
        rng = np.random.default_rng([seed, index])
        answers = [weak_answer(sample, rng) for _ in range(SIZE)]
        rollouts = tuple(map(rollout, answers))
        groups.append(Group(draw_id=str(index), sample=sample, rollouts=rollouts))
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


def rollout(answer: str) -> Rollout:
    text = f"<think>so</think><answer>{answer}</answer>"
    return Rollout(
        prompt=PROMPT,
        sampled_under=PROMPT,
        segments=(),
        text=text,
        offsets=(),
        parsed=parse_completion(text),
        stop=StopReason.EOS,
        policy_step=0,
    )
