"""GRPO-CARE: rewards and advantages by hand, what the bonus changes, what the average follows."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest
import torch
from builders import CLOCK, a_rollout, a_sample, alone

from mmrl.config.schema import RolloutConfig
from mmrl.errors import ConfigError
from mmrl.methods.base import method_spec
from mmrl.methods.care import Care
from mmrl.policy.companions import Ema
from mmrl.policy.load import load_policy
from mmrl.probes.likelihood import LikelihoodProbe
from mmrl.rewards.care import ReferenceLikelihood
from mmrl.tasks.base import TASKS
from mmrl.tasks.choice import choice_answer
from mmrl.tasks.choice_options import options_of
from mmrl.train.models import Doors
from mmrl.train.score import Scorer
from mmrl.types import Group, Segment

TINY = Path(__file__).parents[2] / "assets" / "tiny-vlm"
CHOICE = TASKS.get("tinted_choice")
SAID = (  # two right ones, one of them unlikely; a wrong one; a right letter without reasoning
    "<think>red ring</think><answer>A</answer>",
    "<think>blue ring</think><answer>A</answer>",
    "<think>red ring</think><answer>B</answer>",
    "<answer>A</answer>",
)
LIKELY = (0.9, 0.5, 0.99, 0.7)


def a_group(likely=LIKELY) -> Group:
    sample = replace(a_sample("A"), task="tinted_choice")
    seen = tuple(ReferenceLikelihood(logps=(math.log(p),)) for p in likely)
    return Group(
        draw_id="0.0",
        sample=sample,
        rollouts=tuple(a_rollout(text) for text in SAID),
        evidence={ReferenceLikelihood: seen},
    )


def scored(method, group):
    scorer = Scorer(
        rewards={group.sample.task: method.rewards}, bonuses=method.bonuses, combine=method.combine
    )
    return scorer([group], CLOCK)[0]


def test_reward_and_advantages_by_hand():
    method = Care(max_length=64).build(CHOICE)
    found = scored(method, a_group())
    # right: 0, 1, 3; mu = (0.9 + 0.5 + 0.7) / 3 = 0.7, so 0 and 3 earn 0.5 more
    assert found.parts["care"] == (1.0, 0.0, 0.0, 1.0)
    # accuracy + format + 0.5 · bonus
    assert found.rewards == pytest.approx([1 + 1 + 0.5, 1 + 1, 0 + 1, 1 + 0 + 0.5])
    # mean 1.75; squares 0.5625, 0.0625, 0.5625, 0.0625: std = sqrt(1.25 / 3)
    std = math.sqrt(1.25 / 3) + 1e-4
    (advantages,) = method.credit([found], alone, CLOCK)
    assert advantages == pytest.approx([0.75 / std, 0.25 / std, -0.75 / std, -0.25 / std])


def test_published_defaults_and_no_kl():
    spec = Care()
    assert (spec.group_size, spec.beta, spec.bonus_weight, spec.cap) == (8, 0.0, 0.5, 0.95)
    assert (spec.ema_decay, spec.ema_every, spec.margin, spec.std_eps) == (0.995, 10, 0.0, 1e-4)
    method = spec.build(CHOICE)
    assert [t.name for t in method.terms] == ["policy"] and not method.needs_reference
    (ema,) = method.companions
    assert isinstance(ema, Ema) and (ema.decay, ema.every) == (0.995, 10)
    (probe,) = method.probes
    assert isinstance(probe, LikelihoodProbe) and probe.model is ema  # it reads what is prepared
    assert {r.name: r.weight for r in method.rewards} == {"choice": 1.0, "format": 1.0}
    assert {r.name: r.weight for r in Care(format_weight=0.2).rewards(CHOICE)}["format"] == 0.2


def test_the_ablations_are_settings():
    dense = scored(Care(bonus="dense", max_length=64).build(CHOICE), a_group())
    assert dense.parts["care"] == pytest.approx((0.9, 0.5, 0.0, 0.7))  # accuracy · likelihood
    assert dense.rewards == pytest.approx([2.45, 2.25, 1.0, 1.35])
    without = scored(Care(bonus_weight=0.0, max_length=64).build(CHOICE), a_group())
    assert without.parts["care"] == (1.0, 0.0, 0.0, 1.0)  # still logged
    assert without.rewards == pytest.approx([2.0, 2.0, 1.0, 1.0])


def test_margin_and_cap_reach_the_bonus():
    wide = scored(Care(margin=0.25, max_length=64).build(CHOICE), a_group())
    assert wide.parts["care"] == (1.0, 1.0, 0.0, 1.0)
    # both above the cap count as it; without a cap only 1.0 is above the mean
    sure = (1.0, 0.96, 0.5, 0.96)
    assert scored(Care(max_length=64).build(CHOICE), a_group(sure)).parts["care"] == (1, 1, 0, 1)
    bare = scored(Care(cap=1.0, max_length=64).build(CHOICE), a_group(sure))
    assert bare.parts["care"] == (1.0, 0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def doors():
    return Doors(load_policy(TINY, device="cpu"), None, RolloutConfig(), seed=0)


def pool(doors, num: int = 6) -> list[Group]:
    """Groups of eight right rollouts each: four reason to their answer, four to another option."""
    groups = []
    for i in range(num):
        sample = CHOICE.world(i, split="val", seed=0)
        right, options = sample.meta["name"], options_of(sample)
        other = next(o for o in options if o != right)
        prompt = doors.encode(sample)
        rollouts = []
        for thought in (right, other) * 4:
            text = choice_answer(thought, sample.target)
            ids = (*doors.policy.encode_text(text), doors.policy.eos_ids[0])
            flags = (True,) * len(ids)
            part = Segment(token_ids=ids, sampled=True, logps=(0.0,) * len(ids), trainable=flags)
            rollouts.append(
                replace(
                    a_rollout(text),
                    prompt=prompt,
                    sampled_under=prompt,
                    segments=(part,),
                    offsets=doors.policy.offsets(ids),
                )
            )
        groups.append(Group(draw_id=f"0.{i}", sample=sample, rollouts=tuple(rollouts)))
    return groups


def test_the_bonus_pays_reasoning_that_leads_to_the_answer_and_its_absence_does_not(doors):
    """Mechanism: of right rollouts only those that reason to their answer earn more."""
    method = Care(max_length=64).build(CHOICE)
    (ema,) = method.companions
    ema.prepare(doors)
    groups = pool(doors)
    (probe,) = method.probes
    gaps = {}
    for name, weight in (("care", 0.5), ("off", 0.0)):
        judged = Care(bonus_weight=weight, max_length=64).build(CHOICE)
        found = [
            scored(judged, replace(g, evidence={ReferenceLikelihood: tuple(e)}))
            for g, e in zip(groups, probe(groups, doors, CLOCK), strict=True)
        ]
        follows = fmean(r for f in found for r in f.rewards[0::2])
        parts = fmean(r for f in found for r in f.rewards[1::2])
        gaps[name] = follows - parts
        likely = [[e.probability for e in f.group.evidence[ReferenceLikelihood]] for f in found]
        assert fmean(x for row in likely for x in row[0::2]) > 0.9
        assert fmean(x for row in likely for x in row[1::2]) < 0.1
    assert gaps["off"] == 0.0  # every one of them is right and well formed
    assert gaps["care"] == pytest.approx(0.5)


class Itself:
    """Lends the policy with its own weights: what the average is there to avoid."""

    def applied(self, models):
        return nullcontext(models.policy)


def test_the_average_judges_by_the_old_weights_until_it_moves(doors):
    """Mechanism: the average stays as it was where the policy itself has moved."""
    policy = load_policy(TINY, device="cpu")
    own = Doors(policy, None, RolloutConfig(), seed=0)
    method = Care(ema_decay=0.995, ema_every=2, max_length=64).build(CHOICE)
    (ema,), (probe,) = method.companions, method.probes
    ema.prepare(own)
    (group,) = pool(own, 1)
    before = [e.probability for e in probe([group], own, CLOCK)[0]]
    name, weight = next((n, w) for n, w in policy.trainable().items() if w.ndim == 2)
    start = weight.detach().clone()
    with torch.no_grad():
        for tensor in policy.trainable().values():
            tensor.mul_(0.5)
    now = [e.probability for e in LikelihoodProbe(Itself())([group], own, CLOCK)[0]]
    assert max(abs(a - b) for a, b in zip(now, before, strict=True)) > 0.2
    ema.after_step([], own, CLOCK)  # one step of two: nothing yet
    assert [e.probability for e in probe([group], own, CLOCK)[0]] == pytest.approx(before, abs=1e-5)
    ema.after_step([], own, CLOCK)
    # 0.995 · w + 0.005 · 0.5 w = 0.9975 w
    torch.testing.assert_close(ema.shadow[name], start * 0.9975, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bonus": "sparse"}, "method.bonus: Input should be 'threshold' or 'dense'"),
        ({"cap": 0.0}, "method.cap: .*greater than 0"),
        ({"ema_decay": 1.0}, "method.ema_decay: .*less than 1"),
        ({"bonus_wieght": 1.0}, 'method.bonus_wieght: care has no such setting.*"bonus_weight"'),
    ],
)
def test_wrong_settings_fail_in_words(settings, message):
    with pytest.raises(ConfigError, match=message):
        method_spec({"name": "care", **settings})
