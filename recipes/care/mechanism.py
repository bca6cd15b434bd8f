"""What the parts of GRPO-CARE do by themselves: no training, fixed rollouts, the shipped model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import torch

from mmrl.config.schema import RolloutConfig
from mmrl.methods.care import Care
from mmrl.parse.completion import parse_completion
from mmrl.policy.companions import Ema
from mmrl.policy.load import load_policy
from mmrl.rewards.care import ReferenceLikelihood
from mmrl.tasks.base import TASKS
from mmrl.tasks.choice import choice_answer
from mmrl.tasks.choice_options import options_of
from mmrl.train.models import Doors
from mmrl.train.score import Scorer
from mmrl.types import Clock, Group, Rollout, Sample, Segment, StopReason

MODEL = Path(__file__).resolve().parents[2] / "assets" / "tiny-vlm"
CLOCK = Clock(step=0, stage="mechanism", stage_step=0, stage_steps=1)
PROMPTS = 64


def paid_for_following(seed: int) -> Mapping[str, float]:
    """Mean reward of right rollouts that reason to their answer, less that of those that do not.

    64 prompts of 8 rollouts, all with the right letter: four reason to it, four to another option.
    """
    doors = Doors(load_policy(MODEL, device="cpu"), None, RolloutConfig(), seed=seed)
    task = TASKS.get("tinted_choice")
    assert task.world is not None
    method = Care(max_length=64).build(task)
    for companion in method.companions:
        companion.prepare(doors)
    samples = [
        task.world(i, split="val", seed=seed, side=(20, 40), noise=16.0) for i in range(PROMPTS)
    ]
    groups = [_group(doors, sample) for sample in samples]
    (probe,) = method.probes
    found = probe(groups, doors, CLOCK)
    gaps = {}
    for name, bonuses in (("care", method.bonuses), ("accuracy", ())):
        score = Scorer(rewards={task.name: method.rewards}, bonuses=bonuses, combine=method.combine)
        scored = score(
            [
                replace(group, evidence={ReferenceLikelihood: tuple(seen)})
                for group, seen in zip(groups, found, strict=True)
            ],
            CLOCK,
        )
        rewards = [[float(r or 0.0) for r in group.rewards] for group in scored]
        gaps[name] = fmean(r for row in rewards for r in row[0::2]) - fmean(
            r for row in rewards for r in row[1::2]
        )
    return gaps


def moved(seed: int) -> Mapping[str, float]:
    """How far a hundred moves of an average go, in shares of what the formula says.

    The weights lie 1e-3 away from the average and stay there: it goes 1 - 0.995 ** 100 of the way.
    """
    noise = torch.Generator().manual_seed(seed)
    weights = torch.randn(4096, generator=noise) * 0.02
    target = weights + 1e-3
    wanted = 1e-3 * (1 - 0.995**100)
    models = _Models(target)
    ema = Ema(decay=0.995)
    ema.shadow = {"w": weights.clone()}
    for _ in range(100):
        ema.after_step((), models, CLOCK)
    rounded = weights.bfloat16()
    begin = rounded.clone().float()
    for _ in range(100):
        rounded.lerp_(target.bfloat16(), 0.005)
    return {
        "fp32": float((ema.shadow["w"] - weights).mean()) / wanted,
        "bf16": float((rounded.float() - begin).mean()) / wanted,
    }


class _Models:
    """The doors that an average needs: a policy with trainable tensors."""

    def __init__(self, weights: torch.Tensor) -> None:
        self._weights = torch.nn.Parameter(weights)

    @property
    def policy(self) -> _Models:
        return self

    @property
    def sampler(self) -> None:
        return None

    def trainable(self) -> dict[str, torch.nn.Parameter]:
        return {"w": self._weights}


def _group(doors: Doors, sample: Sample) -> Group:
    other = next(o for o in options_of(sample) if o != sample.meta["name"])
    thoughts = (str(sample.meta["name"]), other) * 4
    rollouts = tuple(_said(doors, sample, choice_answer(t, str(sample.target))) for t in thoughts)
    return Group(draw_id=sample.id, sample=sample, rollouts=rollouts)


def _said(doors: Doors, sample: Sample, text: str) -> Rollout:
    prompt = doors.encode(sample)
    ids = (*doors.policy.encode_text(text), doors.policy.eos_ids[0])
    part = Segment(
        token_ids=ids, sampled=True, logps=(0.0,) * len(ids), trainable=(True,) * len(ids)
    )
    return Rollout(
        prompt=prompt,
        sampled_under=prompt,
        segments=(part,),
        text=text,
        offsets=doors.policy.offsets(ids),
        parsed=parse_completion(text),
        stop=StopReason.EOS,
        policy_step=0,
    )
