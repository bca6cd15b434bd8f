"""What listeners are asked and how their replies are put together; a local one by definition."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import pytest
import torch
import zoo
from builders import CLOCK, a_rollout
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrl.errors import DataError, MethodError, PolicyError
from mmrl.policy.frozen import Frozen
from mmrl.probes.likelihood import Row, row_logps
from mmrl.probes.listener import (
    ListenerProbe,
    LocalListener,
    Question,
    Reply,
    ask_messages,
    fit_temperature,
    option_ids,
    probabilities,
)
from mmrl.tasks.base import TASKS
from mmrl.tasks.swap import swapped
from mmrl.types import Group

NO_MODELS = SimpleNamespace(policy=None)
SAMPLE = TASKS.get("picture_pair").world(0, split="val", seed=3)


def formed(reasoning: str, answer: str = "A") -> str:
    return f"<think>{reasoning}</think><answer>{answer}</answer>"


def group(*texts: str, sample=SAMPLE, prompt=None) -> Group:
    rollouts = [a_rollout(text) for text in texts]
    if prompt is not None:
        rollouts = [replace(r, prompt=prompt) for r in rollouts]
    return Group(draw_id="0", sample=sample, rollouts=tuple(rollouts))


@dataclass
class Scripted:
    """A listener that gives its replies in turn and keeps what it was asked."""

    replies: list[Reply]
    asked: list[Question] = field(default_factory=list)

    def __call__(self, questions, models, /):
        self.asked += questions
        return [self.replies[i % len(self.replies)] for i in range(len(questions))]


def odds(first: float) -> Reply:
    """A reply that gives the first option that probability."""
    return Reply(scores=(math.log(first), math.log(1 - first)))


def test_both_orders_are_asked_turned_back_and_averaged():
    # first order: 0.9 for A; second: 0.3 for its A, which is our B, so 0.7 for ours
    listener = Scripted([odds(0.9), odds(0.3)])
    text = formed("A: red square. B: blue circle. So A wins.")
    ((evidence,),) = ListenerProbe(listener)([group(text)], NO_MODELS, CLOCK)
    assert evidence.by_order == (pytest.approx((0.9, 0.1)), pytest.approx((0.7, 0.3)))
    assert evidence.probabilities == pytest.approx((0.8, 0.2))
    assert evidence.choice == 0
    first, second = listener.asked
    assert first.reasoning == "A: red square. B: blue circle."
    assert second.reasoning == "A: blue circle. B: red square."
    assert first.options == second.options == ("A", "B")
    assert second.sample.media == SAMPLE.media[::-1] and first.sample is SAMPLE
    assert (first.prompt is not None, second.prompt) == (True, None)


def test_one_order_and_the_verdict_left_in():
    listener = Scripted([odds(0.25)])
    probe = ListenerProbe(listener, both_orders=False, mask="nothing")
    ((evidence,),) = probe([group(formed("A: red. So A wins."))], NO_MODELS, CLOCK)
    assert evidence.probabilities == pytest.approx((0.25, 0.75))
    assert [q.reasoning for q in listener.asked] == ["A: red. So A wins."]


def test_who_says_nothing_is_not_asked_about():
    listener = Scripted([odds(0.6)])
    groups = [
        group("<answer>A</answer>", formed("So A wins."), formed("A: red"), ""),
        group(formed("B: blue", "B")),
    ]
    found = ListenerProbe(listener)(groups, NO_MODELS, CLOCK)
    assert [[e.heard for e in evidence] for evidence in found] == [
        [False, False, True, False],
        [True],
    ]
    assert [e.probabilities is None for e in found[0]] == [True, True, False, True]
    assert len(listener.asked) == 4  # two rollouts in two orders
    assert ListenerProbe(listener)([group("")], NO_MODELS, CLOCK)[0][0].heard is False


def test_in_a_mixture_only_pairs_are_asked_about():
    listener = Scripted([odds(0.6)])
    other = TASKS.get("picture_choice").world(0, split="val", seed=0)
    groups = [group(formed("x"), sample=other), group(formed("A: red"))]
    (other_one,), (pair,) = ListenerProbe(listener)(groups, NO_MODELS, CLOCK)
    assert other_one.probabilities is None and other_one.failure.startswith("no pair")
    assert pair.probabilities is not None and len(listener.asked) == 2


def test_a_failure_of_one_order_is_the_rollouts():
    listener = Scripted([odds(0.6), Reply(scores=None, failure="timeout: none")])
    ((evidence,),) = ListenerProbe(listener)([group(formed("A: red"))], NO_MODELS, CLOCK)
    assert (evidence.probabilities, evidence.failure) == (None, "timeout: none")
    assert evidence.heard and evidence.choice is None


def test_temperature_flattens():
    # odds 4 : 1 at temperature 2 are 2 : 1
    probe = ListenerProbe(Scripted([odds(0.8)]), both_orders=False, temperature=2.0)
    ((evidence,),) = probe([group(formed("x"))], NO_MODELS, CLOCK)
    assert evidence.probabilities == pytest.approx((2 / 3, 1 / 3))
    assert probabilities((-1e9, 0.0)) == pytest.approx((0.0, 1.0))
    for wrong in (0.0, -1.0, math.inf):
        with pytest.raises(MethodError, match="temperature is above 0"):
            ListenerProbe(Scripted([]), temperature=wrong)


def test_settings_that_do_not_exist_are_refused():
    with pytest.raises(MethodError, match='masks "verdict" or "nothing", not "all"'):
        ListenerProbe(Scripted([]), mask="all")
    with pytest.raises(MethodError, match='"continue" or "ask", not "x"'):
        LocalListener(Frozen(), style="x")


def test_the_fitted_temperature_by_hand():
    # gap 2 is right 3 times of 4: p = 0.75 at 2 / t = log 3
    scores, labels = [(2.0, 0.0)] * 4, [0, 0, 0, 1]
    assert fit_temperature(scores, labels) == pytest.approx(2 / math.log(3), rel=1e-6)
    assert fit_temperature([(2.0, 0.0)], [0]) == 0.01  # always right: as sharp as may be
    assert fit_temperature([(2.0, 0.0)], [1]) == 100.0  # always wrong: as flat as may be
    with pytest.raises(MethodError, match="one label a pair"):
        fit_temperature([(0.0, 1.0)], [])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(-5, 5), st.floats(-5, 5), st.integers(0, 1)), min_size=3, max_size=12
    )
)
def test_no_temperature_nearby_makes_the_labels_more_likely(rows):
    scores, labels = [(a, b) for a, b, _ in rows], [label for *_, label in rows]

    def cost(t):
        return -sum(
            math.log(max(probabilities(s, t)[label], 1e-300))
            for s, label in zip(scores, labels, strict=True)
        )

    best = fit_temperature(scores, labels)
    assert 0.01 <= best <= 100.0
    for other in (best * 1.05, best / 1.05):
        if 0.01 <= other <= 100.0:
            assert cost(best) <= cost(other) + 1e-9


# ---------------------------------------------------------------- a local listener


def expected(policy, sample, reasoning):
    """P(A) of the answer that follows the reasoning, from two whole rows."""
    prompt = policy.encode(TASKS.get(sample.task).messages(sample))
    texts = [f"<think>{reasoning}</think><answer>{letter}" for letter in "AB"]
    rows = [Row(prompt=prompt, token_ids=policy.encode_text(t)) for t in texts]
    a, b = (sum(logps) for logps in row_logps(policy, rows))
    return 1 / (1 + math.exp(b - a))


def test_a_frozen_copy_listens_in_the_tasks_own_form():
    policy = zoo.policy("qwen2.5-vl")
    models, frozen = SimpleNamespace(policy=policy), Frozen()
    frozen.prepare(models)
    reasons = ("A: red 7. B: blue 7", "A: red ring. B: red cross")
    before = [
        (expected(policy, SAMPLE, r), expected(policy, swapped(SAMPLE), other))
        for r, other in zip(
            reasons, ("A: blue 7. B: red 7", "A: red cross. B: red ring"), strict=True
        )
    ]
    with torch.no_grad():
        for weight in policy.trainable().values():
            weight.add_(0.05 * torch.randn_like(weight))
    prompt = policy.encode(TASKS.get("picture_pair").messages(SAMPLE))
    held = policy.trainable_state()
    groups = [group(*(formed(r) for r in reasons), prompt=prompt)]
    (found,) = ListenerProbe(LocalListener(frozen, tokens_per_pack=200))(groups, models, CLOCK)
    assert all(torch.equal(held[n], w) for n, w in policy.trainable().items())
    for evidence, (one, two) in zip(found, before, strict=True):
        assert evidence.by_order[0][0] == pytest.approx(one, abs=1e-4)
        assert evidence.by_order[1][1] == pytest.approx(two, abs=1e-4)
    assert abs(found[0].probabilities[0] - found[1].probabilities[0]) > 1e-4  # it reads the text


def test_a_listener_that_is_asked_quotes_the_reasoning():
    policy = zoo.policy("internvl")
    models, frozen = SimpleNamespace(policy=policy), Frozen()
    frozen.prepare(models)
    sample = TASKS.get("scored_pair").world(1, split="val", seed=0)
    options = ("Image 1 is better", "Image 2 is better")
    question = Question(sample=sample, reasoning="{options} of Image 1", options=options)
    text = ask_messages(question)[0]["content"][-1]["text"]
    assert sample.question in text and "\n{options} of Image 1\n" in text
    assert "Answer with Image 1 is better or Image 2 is better" in text
    (reply,) = LocalListener(frozen, style="ask")([question], models)
    prompt = policy.encode(ask_messages(question))
    rows = [Row(prompt=prompt, token_ids=policy.encode_text(o)) for o in options]
    shared = len("Image ")  # byte-level: a token a character
    wanted = [sum(logps[shared:]) for logps in row_logps(policy, rows)]
    assert reply.scores == pytest.approx(tuple(wanted), abs=1e-4)


def test_options_end_where_they_end_unless_one_begins_like_the_other():
    policy = zoo.policy("qwen2.5-vl")
    ids, start = option_ids(policy, "<answer>", ("A", "B"), "</answer>")
    assert [policy.decode(x) for x in ids] == ["<answer>A", "<answer>B"]
    assert start == len("<answer>")
    ids, start = option_ids(policy, "is ", ("1", "10"), "!")
    assert [policy.decode(x) for x in ids] == ["is 1!", "is 10!"] and start == len("is 1")
    with pytest.raises(PolicyError, match="cannot tell them apart"):
        option_ids(policy, "", ("A", "A"), "")


def test_a_row_that_cannot_be_swapped_says_why():
    lone = replace(SAMPLE, media=SAMPLE.media[:1])
    with pytest.raises(DataError, match='has 1 media and no meta\\["answers"\\]'):
        ListenerProbe(Scripted([odds(0.5)]))([group(formed("x"), sample=lone)], NO_MODELS, CLOCK)
