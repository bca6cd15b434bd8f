"""ACRE: what a second look earns, what it changes beside plain GRPO, and where it falls back."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from statistics import fmean

import pytest
from builders import CLOCK, alone

from mmrl.config.schema import RolloutConfig
from mmrl.errors import ConfigError, MethodError
from mmrl.methods.acre import Acre
from mmrl.methods.base import method_spec
from mmrl.methods.grpo import Grpo
from mmrl.policy.scripted import Scripted
from mmrl.rewards.choice_consistency import OUTCOMES, SecondAnswer
from mmrl.rollout.plan import GroupOf
from mmrl.tasks.base import TASKS
from mmrl.train.models import Doors
from mmrl.train.score import Scorer
from mmrl.types import Sample

OPTIONS = ("red", "blue", "green", "yellow")
CHOICE = TASKS.get("picture_choice")
KINDS = TASKS.get("answer_kinds")
SAID = (
    "<think>blue</think><answer>B</answer>",  # right, and again
    "<think>red</think><answer>B</answer>",  # right by another way than its reasoning
    "<think>blue</think><answer>A</answer>",  # a slip at the letter
    "<think>red</think><answer>A</answer>",  # wrong, and consistently so
)


class Follows(Scripted):
    """First says its script; asked again it answers the letter of what it reasoned."""

    def _texts(self, prompt, group_size):
        context = self.decode(prompt.token_ids)
        reasoned = re.search(r"<think>([^<]*)</think><answer>$", context)
        if reasoned is None:
            return super()._texts(prompt, group_size)
        letter = re.search(rf"([A-D]) {reasoned[1]}(?![a-z])", context)
        return [f"{letter[1] if letter else ''}</answer>"] * group_size


class AlwaysB(Follows):
    """Answers B whatever it reasoned: a habit of position."""

    def _texts(self, prompt, group_size):
        reasoned = self.decode(prompt.token_ids).endswith("<answer>")
        return ["B</answer>"] * group_size if reasoned else super()._texts(prompt, group_size)


def a_sample(task: str = "picture_choice", target: str = "B", **meta) -> Sample:
    listed = " ".join(f"{letter} {text}" for letter, text in zip("ABCD", OPTIONS, strict=True))
    return Sample(id="s", task=task, question=f"s which: {listed}", target=target, meta=meta)


def scored(method, sample, script=SAID, kind=Follows):
    policy = kind({"s": list(script)})
    models = Doors(policy, policy, RolloutConfig(max_new_tokens=99), seed=5)
    groups = GroupOf(method.group_size)([("0.0", sample)], models, CLOCK)
    for probe in method.probes:
        (answers,) = probe(groups, models, CLOCK)
        groups = [replace(groups[0], evidence={probe.provides: tuple(answers)})]
    scorer = Scorer(rewards={sample.task: method.rewards}, bonuses=(), combine=method.combine)
    return scorer(groups, CLOCK)[0]


def test_reward_and_advantages_by_hand():
    method = Acre(group_size=4, max_length=64).build(CHOICE)
    found = scored(method, a_sample(options=OPTIONS))
    assert found.parts["consistency"] == (1.0, 0.5, 0.2, 0.0)
    assert "choice" not in found.parts
    # and the format's 0.2 for all: 1.2, 0.7, 0.4, 0.2; mean 0.625
    assert found.rewards == pytest.approx((1.2, 0.7, 0.4, 0.2))
    # squares 0.330625, 0.005625, 0.050625, 0.180625: sum 0.5675, std = sqrt(0.5675 / 3)
    std = math.sqrt(0.5675 / 3) + 1e-4
    (advantages,) = method.credit([found], alone, CLOCK)
    assert advantages == pytest.approx([0.575 / std, 0.075 / std, -0.225 / std, -0.425 / std])


def test_the_four_ways_and_oscr_are_logged_and_pay_nothing():
    method = Acre(group_size=4, max_length=64).build(CHOICE)
    found = scored(method, a_sample(options=OPTIONS))
    ways = [tuple(found.parts[name][g] for name in OUTCOMES) for g in range(4)]
    assert ways == [tuple(float(i == g) for i in range(4)) for g in range(4)]
    assert found.parts["unchanged"] == (1.0, 0.0, 0.0, 1.0)
    assert all(found.weights[name] == 0.0 for name in (*OUTCOMES, "unchanged"))


def test_the_second_look_ranks_what_plain_accuracy_cannot_tell_apart():
    """Mechanism: of two right rollouts the one whose reasoning leads there earns more."""
    sample = a_sample(options=OPTIONS)
    acre = scored(Acre(group_size=4, max_length=64).build(CHOICE), sample)
    plain = scored(Grpo(group_size=4, max_length=64).build(CHOICE), sample)
    assert acre.rewards[0] - acre.rewards[1] == pytest.approx(0.5)
    assert acre.rewards[2] - acre.rewards[3] == pytest.approx(0.2)
    assert plain.rewards[0] - plain.rewards[1] == plain.rewards[2] - plain.rewards[3] == 0.0
    # scores, which pass rates and variance filters read, are accuracy in both
    assert acre.score == plain.score == (1.0, 1.0, 0.0, 0.0)


def test_a_habit_of_position_loses_what_plain_accuracy_pays_it():
    """Mechanism: always B is right here, and wrong wherever the options move."""
    script = ["<think>blue</think><answer>B</answer>"] * 4
    sample = a_sample(options=OPTIONS)
    method = Acre(group_size=4, max_length=64).build(CHOICE)
    follows, habit = scored(method, sample, script), scored(method, sample, script, AlwaysB)
    assert fmean(follows.parts["consistency"]) == 1.0
    assert fmean(habit.parts["consistency"]) == 0.5
    assert habit.parts["unchanged"] == (0.0,) * 4
    plain = Grpo(group_size=4, max_length=64).build(CHOICE)
    assert scored(plain, sample, script).rewards == scored(plain, sample, script, AlwaysB).rewards


def test_questions_without_options_keep_plain_accuracy():
    method = Acre(group_size=4, max_length=64).build(CHOICE)
    found = scored(method, a_sample())
    assert found.parts["consistency"] == (1.0, 1.0, 0.0, 0.0)
    assert found.parts["unchanged"] == (None,) * 4
    assert found.rewards == pytest.approx((1.2, 1.2, 0.2, 0.2))
    assert all(not e.looks for e in found.group.evidence[SecondAnswer])


def test_rows_of_many_kinds_use_their_own_accuracy():
    method = Acre(group_size=2, max_length=64, both_right=2.0).build(KINDS)
    number = a_sample("answer_kinds", "3.5", problem_type="numerical")
    said = ["<think>x</think><answer>3.50</answer>", "<think>x</think><answer>3</answer>"]
    assert scored(method, number, said).parts["consistency"] == (2.0, 0.0)
    letter = a_sample("answer_kinds", "B", problem_type="multiple choice", options=OPTIONS)
    assert scored(method, letter, SAID[:2]).parts["consistency"] == (2.0, 0.5)


def test_a_task_that_no_letter_decides_keeps_its_rewards():
    task = TASKS.get("digit_box")
    own = [(r.name, r.weight) for r in Grpo().rewards(task)]
    assert [(r.name, r.weight) for r in Acre().rewards(task)][: len(own)] == own
    assert all(r.weight == 0.0 for r in Acre().rewards(task)[len(own) :])


def test_defaults_and_settings_reach_the_probe():
    spec = Acre()
    assert (spec.both_right, spec.first_right, spec.second_right) == (1.0, 0.5, 0.2)
    assert (spec.group_size, spec.beta, spec.passes) == (8, 0.04, 1)
    (probe,) = Acre(passes=3, letters="mask", second_temperature=0.7).build(CHOICE).probes
    assert (probe.passes, probe.letters, probe.temperature) == (3, "mask", 0.7)
    assert [t.name for t in spec.build(CHOICE).terms] == ["policy", "kl"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"first_right": 1.0}, "both_right > first_right >= second_right; they are 1.0, 1.0, 0.2"),
        ({"second_right": 0.6}, "they are 1.0, 0.5, 0.6"),
        ({"letters": "drop"}, "method.letters: Input should be 'relabel', 'mask' or 'keep'"),
        ({"passes": 0}, "method.passes: .*greater than or equal to 1"),
        ({"both_rigth": 1.0}, 'method.both_rigth: acre has no such setting.*"both_right"'),
    ],
)
def test_wrong_settings_fail_in_words(settings, message):
    with pytest.raises(ConfigError, match=message):
        method_spec({"name": "acre", **settings})


def test_without_its_probe_it_fails_in_words():
    with pytest.raises(MethodError, match=r'"consistency" needs SecondAnswer.*SecondPass'):
        Acre(max_length=64).build(CHOICE, probes=())
