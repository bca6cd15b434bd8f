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

from mmrl.methods.base import method_spec
from mmrl.parse.boxed import Strategy, strategy_of
from mmrl.rewards.charts import ChartData, chart_answer_reward, right_way
from mmrl.tasks.base import TASKS
from mmrl.train.score import Scorer
from mmrl.types import Clock, Group, Prompt, Rollout, Sample, StopReason

ROLLOUTS = Path(__file__).with_name("rollouts.jsonl")
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "cat": {},
    "grpo": {"decision": 0.0, "data": 0.0},
    "data": {"decision": 0.0, "data_everywhere": True},
}
CLOCK = Clock(step=0, stage="fixed", stage_step=0, stage_steps=1)
PROMPT = Prompt(messages=(), token_ids=())


def pull(seed: int) -> Mapping[str, float]:
    """Mean advantage of code less direct where the label is "high", less the same where "low"."""
    groups = half_of_groups(seed)
    found = {}
    for name, settings in SETTINGS.items():
        made = method_spec({"name": "cat", **settings}).build(TASKS.get("chart_brief"))
        scorer = Scorer(rewards={"chart_brief": made.rewards}, bonuses=(), combine=made.combine)
        credited = made.credit(scorer(groups, CLOCK), dict, CLOCK)
        means: dict[tuple[Strategy | None, Strategy | None], list[float]] = {}
        for group, advantages in zip(groups, credited, strict=True):
            for rollout, advantage in zip(group.rollouts, advantages, strict=True):
                key = (right_way(group.sample), strategy_of(rollout.text))
                means.setdefault(key, []).append(float(advantage))  # type: ignore[arg-type]
        code, direct = Strategy.CODE, Strategy.DIRECT
        high = fmean(means[code, code]) - fmean(means[code, direct])
        low = fmean(means[direct, code]) - fmean(means[direct, direct])
        found[name] = high - low
    return found


def buckets(seed: int) -> Mapping[str, float]:
    """Share of right answers by the accuracy of the code's table, where the label is "high"."""
    data = ChartData()
    right: dict[str, list[float]] = {"above_0.8": [], "below_0.6": []}
    for group in half_of_groups(seed):
        for rollout in group.rollouts:
            accuracy = data(rollout, group.sample)
            if accuracy is None or strategy_of(rollout.text) is not Strategy.CODE:
                continue
            bucket = "above_0.8" if accuracy > 0.8 else "below_0.6" if accuracy < 0.6 else None
            if bucket:
                right[bucket].append(chart_answer_reward(rollout, group.sample))
    return {name: fmean(values) for name, values in right.items()}


def half_of_groups(seed: int) -> list[Group]:
    """Half of the charts, drawn again by their number, with what was answered."""
    rows = [json.loads(line) for line in ROLLOUTS.read_text().splitlines()]
    picked = np.random.default_rng(seed).permutation(len(rows))[: len(rows) // 2]
    return [group_of(rows[i]) for i in sorted(picked)]


def group_of(row: Mapping[str, Any]) -> Group:
    return Group(
        draw_id=str(row["index"]),
        sample=chart(row["index"]),
        rollouts=tuple(rollout(text) for text in row["texts"]),
    )


def chart(index: int) -> Sample:
    """The held-out chart of that number that the rollouts are about."""
    world = TASKS.get("chart_brief").world
    assert world is not None
    return world(index, split="test", seed=0, level="tiny")


def rollout(text: str) -> Rollout:
    return Rollout(
        prompt=PROMPT,
        sampled_under=PROMPT,
        segments=(),
        text=text,
        offsets=(),
        parsed=TASKS.get("chart_brief").parse(text),
        stop=StopReason.EOS,
        policy_step=0,
    )
