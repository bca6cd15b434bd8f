"""T-GRPO's bonus on drawn rollouts: whom it pays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from mmrl.methods.base import method_spec
from mmrl.parse.completion import parse_completion
from mmrl.tasks.base import TASKS
from mmrl.train.score import Scorer
from mmrl.types import Clock, Group, MediaRef, Prompt, Rollout, Sample, StopReason

GROUPS = 200
CLOCK = Clock(step=0, stage="mechanism", stage_step=0, stage_steps=1)
PROMPT = Prompt(messages=(), token_ids=(1,))
CLIP = MediaRef(kind="video", data=b"never decoded", options={"fps": 4.0})
SAMPLE = Sample(id="drawn", task="clip_order", question="?", media=(CLIP,), target="A")


def paid(seed: int) -> Mapping[str, float]:
    """Mean bonus of a right rollout in 200 groups of 8 beside 4 shuffled, published constants.

    Chances of a right answer: 0.7 on ordered and 0.3 on shuffled frames where order helps, the
    other way round where it hurts.
    """
    rng = np.random.default_rng([seed, 25032])
    return {"order_helps": _bonus(rng, 0.7, 0.3), "order_hurts": _bonus(rng, 0.3, 0.7)}


def _bonus(rng: np.random.Generator, ordered: float, shuffled: float) -> float:
    task = TASKS.get("clip_order")
    method = method_spec({"name": "t_grpo", "length_bonus": 0.0}).build(task)
    (probe,) = method.probes
    groups = []
    for i in range(GROUPS):
        other = Group(draw_id=f"{i}.contrast", sample=SAMPLE, rollouts=_rollouts(rng, 4, shuffled))
        own = _rollouts(rng, 8, ordered)
        groups.append(Group(draw_id=str(i), sample=SAMPLE, rollouts=own, contrast=(other,)))
    found = zip(groups, probe(groups, None, CLOCK), strict=True)
    groups = [replace(g, evidence={probe.provides: tuple(e)}) for g, e in found]
    scorer = Scorer(
        rewards={"clip_order": method.rewards}, bonuses=method.bonuses, combine=method.combine
    )
    earned = [
        bonus
        for scored in scorer(groups, CLOCK)
        for bonus, right in zip(scored.parts["contrast"], scored.score, strict=True)
        if right == 1.0 and bonus is not None
    ]
    return sum(earned) / len(earned)


def _rollouts(rng: np.random.Generator, size: int, chance: float) -> tuple[Rollout, ...]:
    return tuple(_said("A" if rng.random() < chance else "B") for _ in range(size))


def _said(letter: str) -> Rollout:
    text = f"<think>so</think><answer>{letter}</answer>"
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
