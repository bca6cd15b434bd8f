"""Temporal-R1's two rewards on drawn rollouts: what the second adds where the first is flat."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mmrl.methods.base import method_spec
from mmrl.parse.completion import parse_completion
from mmrl.tasks.base import TASKS
from mmrl.train.score import Scorer
from mmrl.types import Clock, Group, Prompt, Rollout, Sample, StopReason

GROUPS = 200
CLOCK = Clock(step=0, stage="mechanism", stage_step=0, stage_steps=1)
PROMPT = Prompt(messages=(), token_ids=(1,))


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
    return Group(draw_id=name, sample=sample, rollouts=tuple(map(_said, texts)))


def _said(text: str) -> Rollout:
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


def _flat(groups: list[Group], w_tmp: float) -> float:
    spec = method_spec({"name": "temporal_r1", "w_tmp": w_tmp})
    method = spec.build(TASKS.get("choice"))
    scorer = Scorer(
        rewards={"choice": method.rewards}, bonuses=method.bonuses, combine=method.combine
    )
    return sum(scored.spread == 0.0 for scored in scorer(groups, CLOCK)) / len(groups)
