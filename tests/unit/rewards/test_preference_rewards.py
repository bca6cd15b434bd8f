"""Verdicts on pairs against UnifiedReward-Think's own code, scores by hand, listener's reward."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from builders import CLOCK, a_rollout, a_sample
from hypothesis import given
from hypothesis import strategies as st

from mmrl.errors import DataError
from mmrl.rewards.format import format_reward
from mmrl.rewards.listener import (
    ListenerConfidence,
    ListenerReward,
    contradicts_reward,
    listener_rewards,
)
from mmrl.rewards.preference import (
    gold_verdict,
    pair_agrees_reward,
    pair_scores_reward,
    preference_reward,
)

VECTORS = json.loads(
    (Path(__file__).parents[2] / "vectors" / "unifiedreward-think.json").read_text()
)
ACCURACY_DIFFERS = {
    "period": "a full stop behind the verdict is no fault",
    "no_tags_exact": "a completion without an answer tag has no answer",
    "two_answers": "the last complete answer counts",
    "answer_in_think": "an answer inside the reasoning is none",
    "gt_none": "a row without a label is a data error (0.1 in the Qwen version)",
}
FORMAT_DIFFERS = {
    "two_answers": "each tag may stand once",
    "trailing_text": "text behind the answer is a fault",
    "leading_newline": "white space around the completion is no fault",
    "answer_in_think": "each tag may stand once",
    "empty_think": "reasoning that is empty is a fault",
}


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda c: c["name"])
def test_accuracy_as_the_official_code_or_differs_for_a_reason(case):
    rollout, sample = a_rollout(case["completion"]), a_sample(case["solution"])
    if case["solution"] is None:
        with pytest.raises(DataError, match="should be a verdict on a pair"):
            preference_reward(rollout, sample)
        return
    got = preference_reward(rollout, sample)
    theirs = case["accuracy_qwen"]
    assert theirs == case["accuracy_llava"]
    assert (got == theirs) is (case["name"] not in ACCURACY_DIFFERS)


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda c: c["name"])
def test_format_as_the_official_code_or_differs_for_a_reason(case):
    got = format_reward(a_rollout(case["completion"]), a_sample())
    assert case["format_qwen"] == case["format_llava"]
    assert (got == case["format_qwen"]) is (case["name"] not in FORMAT_DIFFERS)


def test_every_vector_is_run():
    named = {case["name"] for case in VECTORS["cases"]}
    assert len(VECTORS["cases"]) == len(named) == 16
    assert set(ACCURACY_DIFFERS) | set(FORMAT_DIFFERS) <= named


def judged(reasoning: str, answer: str):
    return a_rollout(f"<think>{reasoning}</think><answer>{answer}</answer>")


TWO = "1. a: Image 1 (9/10); Image 2 (7/10)\n2. b: Image 1 (4/10); Image 2 (5/10)\nTotal score:\n"


@pytest.mark.parametrize(
    ("reasoning", "answer", "adds_up", "agrees"),
    [
        (TWO + "Image 1: 9+4=13\nImage 2: 7+5=12", "Image 1 is better", 1, 1),
        (TWO + "Image 1: 13\nImage 2: 12", "Image 1 is better", 1, 1),
        (TWO + "Image 1: 9+4=13\nImage 2: 7+5=12", "Image 2 is better", 1, 0),
        (TWO + "Image 1: 9+4=13\nImage 2: 7+5=14", "Image 2 is better", 0, 0),  # 7 + 5 is no 14
        (TWO + "Image 1: 9+3=13\nImage 2: 7+5=12", "Image 1 is better", 0, 1),  # 9 + 3 is no 13
        (TWO + "Image 1: 9+4=13", "Image 1 is better", 0, 1),  # one total
        (TWO, "Image 1 is better", 0, 1),
        ("Total score:\nImage 1: 20\nImage 2: 10", "Image 1 is better", 0, 0),  # no dimension
        ("1. a: Image 1 (5/10); Image 2 (5/10)\nTotal score:\nImage 1: 5\nImage 2: 5",
         "Image 1 is better", 1, 0),  # a tie favours nobody
        (TWO + "Image 1: 9+4=13\nImage 2: 7+5=12", "", 0, 0),
        ("", "Image 1 is better", 0, 0),
    ],
)  # fmt: skip
def test_scores_that_add_up_and_agree(reasoning, answer, adds_up, agrees):
    rollout, sample = judged(reasoning, answer), a_sample("Image 1 is better")
    assert pair_scores_reward(rollout, sample) == adds_up
    assert pair_agrees_reward(rollout, sample) == agrees


@pytest.mark.parametrize("name", ["scores_contradict_answer", "tie_scores"])
def test_the_official_defect_of_contradicting_scores_earns_no_agreement(name):
    case = next(c for c in VECTORS["cases"] if c["name"] == name)
    rollout, sample = a_rollout(case["completion"]), a_sample(case["solution"])
    assert case["accuracy_qwen"] == preference_reward(rollout, sample) == 1.0
    assert pair_agrees_reward(rollout, sample) == 0.0


@pytest.mark.parametrize("target", [None, "", "C", "Image 3 is better", 1, ["A"]])
def test_a_label_that_is_no_verdict_is_a_data_error(target):
    with pytest.raises(DataError, match=r'sample "s1".*"Image 1 is better"'):
        gold_verdict(a_sample(target))


def test_the_form_asked_for_counts():
    rollout = judged("x", "Image 1 is better")
    assert preference_reward(rollout, a_sample("Image 1 is better")) == 1.0
    assert preference_reward(rollout, a_sample("Answer 1 is better")) == 0.0
    assert preference_reward(rollout, a_sample("A")) == 0.0


# ---------------------------------------------------------------- the listener's reward


def heard(p: float | None, **settings):
    both = None if p is None else (p, 1.0 - p)
    return {ListenerConfidence: ListenerConfidence(probabilities=both, **settings)}


RIGHT, WRONG = judged("A: red. B: blue", "A"), judged("A: red. B: blue", "B")
BARE, EMPTY = a_rollout("<answer>A</answer>"), judged(" ", "A")


def test_the_reward_is_format_and_half_of_right_and_half_of_the_listener():
    parts = listener_rewards()
    sample = a_sample("A")

    def total(rollout, p):
        return sum(r.weight * r(rollout, sample, heard(p), CLOCK) for r in parts)

    assert total(RIGHT, 0.8) == pytest.approx(1 + 0.5 + 0.4)
    assert total(WRONG, 0.8) == pytest.approx(1 + 0 + 0.4)  # persuasive for the label all the same
    assert total(RIGHT, 0.1) == pytest.approx(1 + 0.5 + 0.05)
    assert total(BARE, 0.8) == total(EMPTY, 0.8) == total(a_rollout(""), 0.8) == 0.0


def test_the_target_may_be_the_verdict():
    own = ListenerReward("verdict")
    assert own(RIGHT, a_sample("A"), heard(0.75), CLOCK) == 0.75
    assert own(WRONG, a_sample("A"), heard(0.75), CLOCK) == 0.25
    assert own(judged("x", "neither"), a_sample("A"), heard(0.75), CLOCK) == 0.0
    assert own(judged("x", "3"), a_sample("A"), heard(0.75), CLOCK) == 0.0


def test_well_formed_without_a_verdict_earns_nothing_for_its_reasoning():
    label = ListenerReward("label")
    assert label(judged("x", "B"), a_sample("B"), heard(0.75), CLOCK) == 0.25
    for answer in ("3", "neither"):
        assert label(judged("x", answer), a_sample("B"), heard(0.75), CLOCK) == 0.0
        assert label(judged("x", answer), a_sample("B"), heard(None), CLOCK) == 0.0  # not None


def test_a_listener_that_failed_scores_nothing_and_silence_scores_0():
    failed = heard(None, failure="timeout: none")
    assert ListenerReward()(RIGHT, a_sample("A"), failed, CLOCK) is None
    assert ListenerReward()(BARE, a_sample("A"), failed, CLOCK) == 0.0
    assert ListenerReward()(RIGHT, a_sample("A"), heard(None, heard=False), CLOCK) == 0.0


@given(st.lists(st.floats(0, 1), min_size=2, max_size=6, unique=True))
def test_among_equals_the_order_is_the_listeners(ps):
    rewards = [ListenerReward()(RIGHT, a_sample("A"), heard(p), CLOCK) for p in ps]
    assert sorted(ps) == sorted(rewards) and rewards == ps


def test_a_contradiction_is_the_listener_believing_in_the_other():
    sample = a_sample("A")
    assert contradicts_reward(RIGHT, sample, heard(0.4), CLOCK) == 1.0
    assert contradicts_reward(RIGHT, sample, heard(0.6), CLOCK) == 0.0
    assert contradicts_reward(WRONG, sample, heard(0.6), CLOCK) == 1.0
    assert contradicts_reward(RIGHT, sample, heard(0.5), CLOCK) == 0.0  # a tie
    assert contradicts_reward(RIGHT, sample, heard(None), CLOCK) == 0.0
    assert contradicts_reward(replace(BARE), sample, heard(0.4), CLOCK) == 0.0
