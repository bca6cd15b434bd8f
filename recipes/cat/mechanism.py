"""Code-as-Thought's mechanisms on fixed rollouts; nothing is trained here.

`rollouts.jsonl` holds four completions of each of 512 charts, sampled once from a model that tosses
a coin for its way: the first form of `warm.yaml`, 60 steps with `LEANING` 0.5 and seed 0. A seed
takes half of the charts, so that seeds share charts and their interval is narrower than that of
new charts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from mmrl.eval.replicate.fixed import fixed_advantages, fixed_group
from mmrl.methods.base import method_spec
from mmrl.parse.boxed import Strategy, strategy_of
from mmrl.rewards.charts import ChartData, chart_answer_reward, right_way
from mmrl.tasks.base import TASKS
from mmrl.types import Group, Sample

ROLLOUTS = Path(__file__).with_name("rollouts.jsonl")
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "cat": {},
    "published": {"data_everywhere": True},
    "grpo": {"decision": 0.0, "data": 0.0},
    "data": {"decision": 0.0, "data_everywhere": True},
}


def pull(seed: int) -> Mapping[str, float]:
    """Mean advantage of code less direct where the label is "high", less the same where "low"."""
    task, groups = TASKS.get("chart_brief"), half_of_groups(seed)
    found = {}
    for name, settings in SETTINGS.items():
        made = method_spec({"name": "cat", **settings}).build(task)
        credited = fixed_advantages(made, task, groups)
        means: dict[tuple[Strategy | None, Strategy | None], list[float]] = {}
        for group, advantages in zip(groups, credited, strict=True):
            for rollout, advantage in zip(group.rollouts, advantages, strict=True):
                key = (right_way(group.sample), strategy_of(rollout.text))
                means.setdefault(key, []).append(advantage)
        code, direct = Strategy.CODE, Strategy.DIRECT
        high = fmean(means[code, code]) - fmean(means[code, direct])
        low = fmean(means[direct, code]) - fmean(means[direct, direct])
        found[name] = high - low
    return found


def buckets(seed: int) -> Mapping[str, float]:
    """Share of right answers by the accuracy of the code's table, where the label is "high"."""
    data = ChartData()
    right: dict[str, list[float]] = {"above_0.8": [], "from_0.6_to_0.8": [], "below_0.6": []}
    for group in half_of_groups(seed):
        for rollout in group.rollouts:
            accuracy = data(rollout, group.sample)
            if accuracy is None or strategy_of(rollout.text) is not Strategy.CODE:
                continue
            bucket = (
                "above_0.8"
                if accuracy > 0.8
                else "from_0.6_to_0.8"
                if accuracy >= 0.6
                else "below_0.6"
            )
            right[bucket].append(chart_answer_reward(rollout, group.sample))
    return {name: fmean(values) for name, values in right.items()}


def half_of_groups(seed: int) -> list[Group]:
    """Half of the charts, drawn again by their number, with what was answered."""
    rows = [json.loads(line) for line in ROLLOUTS.read_text().splitlines()]
    picked = np.random.default_rng(seed).permutation(len(rows))[: len(rows) // 2]
    return [group_of(rows[i]) for i in sorted(picked)]


def group_of(row: Mapping[str, Any]) -> Group:
    task = TASKS.get("chart_brief")
    return fixed_group(task, chart(row["index"]), row["texts"])


def chart(index: int) -> Sample:
    """The held-out chart of that number that the rollouts are about."""
    world = TASKS.get("chart_brief").world
    assert world is not None
    return world(index, split="test", seed=0, level="tiny")
