"""What ACRE's reward does by itself: no training, fixed rollouts, the shipped model asked again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from mmrl.config.schema import RolloutConfig
from mmrl.methods.acre import Acre
from mmrl.methods.grpo import Grpo
from mmrl.parse.completion import parse_completion
from mmrl.policy.load import load_policy
from mmrl.rewards.choice_consistency import SecondAnswer
from mmrl.rollout.hf import HFSampler
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
    policy = load_policy(MODEL, device="cpu")
    doors = Doors(policy, HFSampler(policy), RolloutConfig(max_new_tokens=64), seed=seed)
    task = TASKS.get("tinted_choice")
    assert task.world is not None
    method = Acre(max_length=64).build(task)
    options = {"side": (20, 40), "noise": 16.0}
    groups = [
        _group(doors, task.world(i, split="val", seed=seed, **options)) for i in range(PROMPTS)
    ]
    (probe,) = method.probes
    found = probe(groups, doors, CLOCK)
    asked = [
        replace(group, evidence={SecondAnswer: tuple(seen)})
        for group, seen in zip(groups, found, strict=True)
    ]
    gaps = {}
    for name, rewards in (("acre", method.rewards), ("accuracy", Grpo().rewards(task))):
        score = Scorer(rewards={task.name: rewards}, bonuses=(), combine=method.combine)
        rows = [[float(r or 0.0) for r in group.rewards] for group in score(asked, CLOCK)]
        follows, parts = (fmean(r for row in rows for r in row[k::2]) for k in (0, 1))
        gaps[name] = follows - parts
    return gaps


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
