"""GRPO-CARE: bonus and advantages by hand and against the official code, likelihood, answers."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from builders import CLOCK, a_group, a_rollout, a_sample
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrl.credit.group import Standardised
from mmrl.errors import DataError
from mmrl.probes.likelihood import answer_tokens, tokens_within
from mmrl.rewards.answer_kinds import answer_kind_reward
from mmrl.rewards.care import ConsistencyBonus, ReferenceLikelihood
from mmrl.rewards.format import format_reward
from mmrl.types import ScoredGroup

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "grpo-care.json").read_text())


def scored(acc, p) -> ScoredGroup:
    """A group with those accuracies and likelihoods (None: could not be read)."""
    group = a_group([0.0] * len(acc), score=acc)
    evidence = tuple(
        ReferenceLikelihood(logps=(), failure="no")
        if q is None
        else ReferenceLikelihood(logps=(math.log(q),) if q else ())
        for q in p
    )
    inner = replace(group.group, evidence={ReferenceLikelihood: evidence})
    return replace(group, group=inner, parts={"right": tuple(acc)})


def bonus(acc, p, **settings_):
    return ConsistencyBonus(**settings_)(scored(acc, p), CLOCK)


def test_the_bonus_by_hand():
    # right: 0, 1, 4, 6;  mu = (0.9 + 0.5 + 0.7 + 0.3) / 4 = 0.6
    acc, p = [1, 1, 0, 0, 1, 0, 1, 0], [0.9, 0.5, 0.99, 0.2, 0.7, 0.8, 0.3, 0.1]
    assert bonus(acc, p) == [1, 0, 0, 0, 1, 0, 0, 0]
    assert bonus(acc, p, margin=0.1) == [1, 1, 0, 0, 1, 0, 0, 0]
    # partly right: mean 0.5, so 0.4 is not among the right; mu = (0.8 + 0.4) / 2
    assert bonus([0.9, 0.7, 0.4, 0.0], [0.8, 0.4, 0.9, 0.9]) == [0.9, 0, 0, 0]
    # the cap: 0.99 and 0.96 both count 0.95
    assert bonus([1, 1, 0], [0.99, 0.96, 1.0]) == [1, 1, 0]
    assert bonus([1, 1, 0], [0.99, 0.96, 1.0], cap=1.0) == [1, 0, 0]


def test_dense_is_accuracy_times_likelihood():
    got = bonus([1, 0.5, 0], [0.25, 0.5, 0.9], form="dense")
    assert got == pytest.approx([0.25, 0.25, 0.0])


def test_who_cannot_be_read_or_scored_is_absent_from_both_means():
    assert bonus([1, 1, None, 1], [0.5, None, 0.1, 0.7]) == [0, None, None, 1]
    assert bonus([None, None], [0.5, 0.5]) == [None, None]
    # without its None the mean accuracy is 0.5 and 0.4 is not right
    assert bonus([0.6, 0.4, None], [0.1, 0.9, 0.9]) == [0.6, 0, None]


def test_nobody_right_nobody_gets_it_and_one_right_always_does():
    assert bonus([0, 0, 0.1], [0.9, 0.9, 0.9]) == [0, 0, 0]
    assert bonus([0, 1, 0], [0.9, 0.0, 0.9]) == [0, 1, 0]


def test_accuracy_may_be_a_named_part():
    group = replace(scored([1.0, 0.0], [0.5, 0.5]), score=(0.0, 0.0))
    assert ConsistencyBonus()(group, CLOCK) == [0, 0]
    named = ConsistencyBonus(accuracy="right")
    assert named.reads == ("right",) and ConsistencyBonus().reads == ()
    assert named(group, CLOCK) == [1.0, 0]


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 16), st.floats(1e-6, 1.0), st.floats(0.11, 1.0))
def test_equal_rollouts_all_get_it(num, p, acc):
    """The float32 mean of the official code lies above its equal members on a fifth of the grid."""
    assert bonus([acc] * num, [p] * num) == [acc] * num


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.one_of(st.none(), st.floats(0, 1)), st.one_of(st.none(), st.floats(0, 1))),
        min_size=1,
        max_size=9,
    ),
    st.sampled_from(["threshold", "dense"]),
)
def test_a_bonus_lies_between_nothing_and_the_accuracy(rows, form):
    got = bonus([a for a, _ in rows], [p for _, p in rows], form=form)
    for (a, p), value in zip(rows, got, strict=True):
        if a is None or p is None:
            assert value is None
        else:
            assert value is not None and 0.0 <= value <= a


# ---------------------------------------------------------------- the official code's own numbers


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda c: c["name"])
def test_bonus_and_advantages_as_the_official_code(case):
    acc, p, out = case["accuracy"], case["ref_answer_prob"], case["out"]
    part = ConsistencyBonus(
        weight=case["bonus_coefficient"],
        cap=case["confidence_upper_bound"],
        margin=case["consistency_margin"] or 0.0,
    )
    group = scored(acc, p)
    values = [part.weight * value for value in part(group, CLOCK)]
    assert values == pytest.approx(out["bonus"], abs=1e-6)
    rewards = [a + f + b for a, f, b in zip(acc, case["format"], values, strict=True)]
    assert rewards == pytest.approx(out["rewards"], abs=1e-6)
    assert Standardised(eps=1e-4)(rewards) == pytest.approx(out["advantages"], abs=2e-5)
    mu = part.threshold(group.score, [e.probability for e in evidence_of(group)])
    wanted = out["mean_selected_confidence"]
    assert mu == (None if wanted is None else pytest.approx(wanted, abs=1e-6))


def evidence_of(group: ScoredGroup) -> tuple[ReferenceLikelihood, ...]:
    return group.group.evidence[ReferenceLikelihood]


REWARD_DIFFERS = {
    "mc_lower": "a letter counts in either case",
    "mc_full": "a letter with its option's text is that letter",
    "mc_empty_both": "a reference without an answer is a data error",
    "mc_notag_gt_untagged": "a completion without an answer tag has no answer",
    "num_dec_mismatch": "42.0 is 42",
    "num_units": "a number with its unit is that number",
    "reg_exact": "an exact answer earns 1, not 0.9999999996",
    "reg_zero_both": "an exact answer earns 1 where the reference is 0, too",
}


def reward_of(case) -> float | None:
    """Our reward of a case; None where the reference answer is refused."""
    kind = case["problem_type"]
    target = case["solution"].removeprefix("<answer>").removesuffix("</answer>")
    sample = a_sample(target, problem_type=kind)
    if case["name"] == "mc_empty_both":
        with pytest.raises(DataError, match="option letter"):
            answer_kind_reward(a_rollout(case["completion"]), sample)
        return None
    return answer_kind_reward(a_rollout(case["completion"]), sample)


@pytest.mark.parametrize("case", VECTORS["reward_cases"], ids=lambda c: c["name"])
def test_accuracy_as_the_official_code_or_differs_for_a_reason(case):
    got = reward_of(case)
    same = got is not None and got == pytest.approx(case["accuracy"], abs=1e-12)
    assert same is (case["name"] not in REWARD_DIFFERS)


FORMAT_DIFFERS = {
    " <think>r</think><answer>B</answer>": "white space around the completion is no fault",
    "<think></think><answer></answer>": "nothing between the tags is a fault",
    "<think>a</think><answer>A</answer><answer>B</answer>": "each tag may stand once",
}


@pytest.mark.parametrize(
    "case", [*VECTORS["format_cases"], *VECTORS["reward_cases"]], ids=lambda c: c["completion"]
)
def test_format_as_the_official_code_or_differs_for_a_reason(case):
    got = format_reward(a_rollout(case["completion"]), a_sample())
    differs = case["completion"] in FORMAT_DIFFERS or case.get("name") == "ocr_empty"
    differs = differs or case.get("name") == "ff_empty"  # <answer></answer>: nothing between
    assert (got == case["format"]) is not differs


MASK_DIFFERS = (
    "the > belongs to the tag",  # ">B" for B
    "the > belongs to the tag",
    "the > belongs to the tag; an empty answer has no tokens",
    None,  # no answer
    "the > belongs to the tag",
    "the > belongs to the tag; </ and answer are the closing tag",
    None,  # an answer without end
)


def tokenised(tokens):
    """A rollout of those tokens, with offsets; special tokens write nothing."""
    pieces = ["" if t.startswith(("<eos", "<pad")) else t for t in tokens]
    offsets = tuple(sum(map(len, pieces[:t])) for t in range(len(pieces)))
    return replace(a_rollout("".join(pieces)), offsets=offsets)


@pytest.mark.parametrize(
    ("case", "reason"),
    list(zip(VECTORS["answer_mask_cases"]["cases"], MASK_DIFFERS, strict=True)),
)
def test_answer_tokens_against_the_official_mask(case, reason):
    ours = [case["tokens"][t] for t in answer_tokens(tokenised(case["tokens"]))]
    theirs = case["answer_tokens"]
    assert (ours == theirs) is (reason is None)
    if reason:
        assert ours == [t for t in theirs[1:] if t not in ("</", "answer")]


def test_every_vector_is_run():
    counts = [len(VECTORS[key]) for key in ("cases", "reward_cases", "format_cases")]
    assert [*counts, len(VECTORS["answer_mask_cases"]["cases"])] == [27, 22, 8, 7]
    assert set(REWARD_DIFFERS) <= {c["name"] for c in VECTORS["reward_cases"]}
    assert set(FORMAT_DIFFERS) <= {c["completion"] for c in VECTORS["format_cases"]}


# ---------------------------------------------------------------- tokens of an answer


@pytest.mark.parametrize(
    ("tokens", "found"),
    [
        (["<think>", "x", "</think>", "<answer>", "B", "</answer>"], [4]),
        (["<think>x</think><answer", ">B", "</answer>"], [1]),  # one token writes both
        (["<think>x</think><answer>", " ", "B", " C", "\n", "</answer>"], [2, 3]),
        (["<think>x</think><answer>", " \n", "</answer>"], []),
        (["<answer>A</answer>", "<answer>", "B", "</answer>", "<eos>"], [2]),
    ],
)
def test_tokens_of_the_last_answer_without_white_space(tokens, found):
    assert list(answer_tokens(tokenised(tokens))) == found


def test_all_tokens_of_a_character_count():
    # "é" as two byte tokens, both begin where it does; the end of text writes nothing
    assert tokens_within((0, 1, 1, 2, 3), 3, (1, 2)) == (1, 2)
    assert tokens_within((0, 1, 1, 2, 3), 3, (2, 3)) == (3,)
    assert tokens_within((0, 1), 1, (0, 1)) == (0,)
    assert tokens_within((), 0, None) == ()


def test_likelihood_is_the_geometric_mean():
    assert ReferenceLikelihood(logps=(math.log(0.5), math.log(0.125))).probability == pytest.approx(
        0.25
    )
    assert ReferenceLikelihood(logps=()).probability == 0.0
    assert ReferenceLikelihood(logps=(1e-7,)).probability == 1.0  # rounding above log 1
