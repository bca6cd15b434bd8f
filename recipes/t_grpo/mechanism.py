"""T-GRPO's bonus on drawn rollouts: whom it pays, and what it changes against GRPO."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from mmrl.eval.replicate.fixed import CLOCK, fixed_advantages, fixed_group, fixed_scores
from mmrl.methods.base import Method, method_spec
from mmrl.tasks.base import TASKS
from mmrl.types import Group, MediaRef, Sample

GROUPS = 200
TASK = TASKS.get("clip_order")
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
    method = _method()
    groups = [_group(rng, ordered, shuffled) for _ in range(GROUPS)]
    earned = [
        bonus
        for scored in fixed_scores(method, TASK, _probed(method, groups))
        for bonus, right in zip(scored.parts["contrast"], scored.score, strict=True)
        if right == 1.0 and bonus is not None
    ]
    return sum(earned) / len(earned)


def tilt(seed: int) -> Mapping[str, float]:
    """Mean |advantage| in groups that need order, divided by that in groups that do not.

    The same 200 groups for all: in half of them order helps (0.7 right on ordered frames, 0.3 on
    shuffled), in half it does not matter (0.7 and 0.7). Advantages are centred (`mean_only`);
    `t_grpo_std` divides them by the group's standard deviation, as published.
    """
    rng = np.random.default_rng([seed, 25033])
    half = GROUPS // 2
    groups = [_group(rng, 0.7, 0.3) for _ in range(half)]
    groups += [_group(rng, 0.7, 0.7) for _ in range(half)]
    methods = {
        "t_grpo": _method(normalize="mean_only"),
        "grpo": _method(normalize="mean_only", contrast_bonus=0.0),
        "t_grpo_std": _method(normalize="std"),
    }
    found = {}
    for name, method in methods.items():
        credited = fixed_advantages(method, TASK, _probed(method, groups))
        sizes = [float(np.mean(np.abs(advantages))) for advantages in credited]
        found[name] = sum(sizes[:half]) / sum(sizes[half:])
    return found


def _method(**settings: Any) -> Method:
    spec = method_spec({"name": "t_grpo", "length_bonus": 0.0, **settings})
    return spec.build(TASK)


def _probed(method: Method, groups: list[Group]) -> list[Group]:
    for probe in method.probes:
        found = zip(groups, probe(groups, None, CLOCK), strict=True)
        groups = [replace(g, evidence={probe.provides: tuple(e)}) for g, e in found]
    return groups


def _group(rng: np.random.Generator, ordered: float, shuffled: float) -> Group:
    other = fixed_group(TASK, SAMPLE, _texts(rng, 4, shuffled), name="drawn.contrast")
    own = fixed_group(TASK, SAMPLE, _texts(rng, 8, ordered))
    return replace(own, contrast=(other,))


def _texts(rng: np.random.Generator, size: int, chance: float) -> list[str]:
    letters = ["A" if rng.random() < chance else "B" for _ in range(size)]
    return [f"<think>so</think><answer>{letter}</answer>" for letter in letters]
