"""T-GRPO: paid where the order of the frames helps, never trained on the shuffled ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from builders import CLOCK, alone, answered

from mmrl.config.schema import RolloutConfig
from mmrl.errors import ConfigError
from mmrl.methods.base import method_spec
from mmrl.policy.load import load_policy
from mmrl.rollout.hf import HFSampler
from mmrl.tasks.base import TASKS
from mmrl.train.models import Doors
from mmrl.train.score import Scorer
from mmrl.types import Group, MediaRef, Sample

TINY = Path(__file__).parents[2] / "assets" / "tiny-vlm"
CLIP = MediaRef(kind="video", data=b"mp4", options={"fps": 4.0})
SAMPLE = Sample(id="s", task="clip_order", question="?", media=(CLIP,), target="A")
OFF = {"length_bonus": 0.0}


def scored(answers, shuffled, lengths=(40,) * 4, **settings):
    """The scored group of `answers` beside a contrast of `shuffled`, and the method."""
    spec = method_spec({"name": "t_grpo", "group_size": 4, **settings}, max_length=600)
    task = TASKS.get("clip_order")
    method = spec.build(task)
    rollouts = tuple(
        replace(answered(a), segments=answered(a, length=n).segments)
        for a, n in zip(answers, lengths, strict=True)
    )
    other = Group(
        draw_id="0.0.contrast", sample=SAMPLE, rollouts=tuple(answered(a) for a in shuffled)
    )
    contrast = (other,) if shuffled else ()
    group = Group(draw_id="0.0", sample=SAMPLE, rollouts=rollouts, contrast=contrast)
    for probe in method.probes:
        (evidence,) = probe([group], None, CLOCK)
        group = replace(group, evidence={probe.provides: tuple(evidence)})
    scorer = Scorer(
        rewards={"clip_order": spec.rewards(task)},
        bonuses=method.bonuses,
        combine=method.combine,
    )
    (found,) = scorer([group], CLOCK)
    return found, method


@pytest.mark.parametrize(
    ("answers", "shuffled", "paid"),
    [
        ("AABB", "BB", (0.3, 0.3, 0.0, 0.0)),  # 0.5 >= 0
        ("AABB", "AB", (0.3, 0.3, 0.0, 0.0)),  # 0.5 >= 0.5
        ("ABBB", "AB", (0.0, 0.0, 0.0, 0.0)),  # 0.25 < 0.5
        ("AAAB", "AA", (0.0, 0.0, 0.0, 0.0)),  # 0.75 < 1
        ("AAAA", "AA", (0.3, 0.3, 0.3, 0.3)),  # 1 >= 1
    ],
)
def test_paid_exactly_where_the_ordered_frames_do_not_do_worse(answers, shuffled, paid):
    found, _ = scored(answers, shuffled, **OFF)
    right = tuple(float(a == "A") for a in answers)
    assert found.parts["choice"] == right
    assert found.parts["contrast"] == paid
    assert found.rewards == pytest.approx([r + 1.0 + p for r, p in zip(right, paid, strict=True)])


def test_as_much_as_the_shuffled_may_be_asked_for():
    paid, _ = scored("AAAB", "AA", contrast_factor=0.75, **OFF)
    none, _ = scored("AABB", "AAB", **OFF)  # 0.5 < 2/3
    assert paid.parts["contrast"] == (0.3, 0.3, 0.3, 0.0)
    assert none.parts["contrast"] == (0.0, 0.0, 0.0, 0.0)


def test_the_length_window_pays_right_answers_inside_of_it():
    found, _ = scored("AAAB", "", lengths=(319, 320, 512, 400))
    assert found.parts["length_window"] == (0.0, 0.2, 0.2, 0.0)
    assert found.parts["contrast"] == (None,) * 4  # no contrast: absent from the sum
    assert found.rewards == pytest.approx((2.0, 2.2, 2.2, 1.0))


def test_mechanism_the_bonus_weighs_groups_that_need_order_and_std_divides_it_out():
    """Two of four right: with order helping, centred advantages are 1.3 times those without."""
    helped, method = scored("AABB", "BB", normalize="mean_only", **OFF)
    not_helped, _ = scored("AABB", "AA", normalize="mean_only", **OFF)
    switched_off, plain = scored("AABB", "BB", normalize="mean_only", contrast_bonus=0.0, **OFF)
    (on,), (other,) = (method.credit([f], alone, CLOCK) for f in (helped, not_helped))
    (off,) = plain.credit([switched_off], alone, CLOCK)
    assert list(on) == pytest.approx([0.65, 0.65, -0.65, -0.65])
    assert list(other) == list(off) == pytest.approx([0.5, 0.5, -0.5, -0.5])
    assert plain.plan is None and plain.probes == () and "contrast" not in switched_off.parts

    _, standard = scored("AABB", "BB", **OFF)
    (same,), (alike,) = (standard.credit([f], alone, CLOCK) for f in (helped, not_helped))
    assert list(same) == pytest.approx(list(alike), abs=1e-4)  # published normalisation: no effect


def test_it_acts_under_std_where_forms_differ():
    """A wrong answer in good form against a right one in bad form: the bonus moves the balance."""
    helped, method = scored("AB", "B", lengths=(40, 40), **OFF)
    spread = [r for r in helped.rewards if r is not None]
    assert spread == pytest.approx([2.3, 1.0])
    rewards = (1.0 + 0.3, 1.0, 0.0, 2.3)  # right without form; wrong with; wrong without; both
    (on,) = method.credit([replace(helped, rewards=rewards)], alone, CLOCK)
    (off,) = method.credit([replace(helped, rewards=(1.0, 1.0, 0.0, 2.0))], alone, CLOCK)
    assert off[0] == off[1] and on[0] - on[1] > 0.3


def test_the_published_constants_are_the_defaults():
    spec = method_spec({"name": "t_grpo"}, max_length=768)
    assert (spec.contrast_factor, spec.contrast_bonus, spec.group_size) == (1.0, 0.3, 8)
    assert (spec.shortest, spec.longest, spec.length_bonus) == (320, 512, 0.2)
    assert (spec.beta, spec.std_eps, spec.kl, spec.normalize) == (0.04, 1e-4, "k3", "std")
    method = spec.build(TASKS.get("clip_order"))
    assert method.plan.size == 8 and method.plan.num_contrast == 4
    weights = {r.name: r.weight for r in method.rewards}
    assert weights == {"choice": 1.0, "format": 1.0}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shortest": 513}, "longest 512 should be at least shortest 513"),
        ({"contrast_size": 0}, "method.contrast_size: .*greater than or equal to 1"),
        ({"contrast_bonnus": 0.3}, 'no such setting.*Did you mean "contrast_bonus"'),
    ],
)
def test_wrong_settings_fail_in_words(settings, message):
    with pytest.raises(ConfigError, match=message):
        method_spec({"name": "t_grpo", **settings})


def test_the_shipped_model_is_asked_twice_and_trained_once():
    policy = load_policy(TINY)
    models = Doors(policy, HFSampler(policy), RolloutConfig(max_new_tokens=24), seed=1)
    task = TASKS.get("clip_order")
    method = method_spec({"name": "t_grpo", "group_size": 4}, max_length=24).build(task)
    draws = [("0.0", task.world(0, split="val", seed=0))]
    (group,) = method.plan(draws, models, CLOCK)
    assert len(group) == 4 and [len(g) for g in group.contrast] == [2]
    ordered, mixed = group.rollouts[0].prompt, group.contrast[0].rollouts[0].prompt
    assert ordered.token_ids == mixed.token_ids and ordered.vision is not mixed.vision
    (evidence,) = method.probes[0]([group], models, CLOCK)
    assert len(evidence) == 4 and len(evidence[0].scores) == 2
