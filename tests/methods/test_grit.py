"""GRIT: rewards for boxes in the reasoning, without any reference box; numbers by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import CLOCK, a_rollout, alone

from mmrl.errors import ConfigError, MethodError
from mmrl.methods.base import method_spec
from mmrl.rewards.bleu import bleu_reward
from mmrl.rewards.grounded import union_overlap
from mmrl.rewards.judged import Judged
from mmrl.roles import Reward
from mmrl.tasks.base import TASKS
from mmrl.train.score import Scorer
from mmrl.types import Group, Sample

COUNT = TASKS.get("grounded_count")
TWO = Sample(id="c", task="grounded_count", question="count the rings", target=2)
A, B = "[10,10,30,30]", "[60,60,80,80]"
SAID = (
    f"<think>{A} {B}</think><answer>2</answer>",  # all there is to earn
    "<think>row 1 col 1</think><answer>2</answer>",  # right, points at nothing
    f"<think>{A}</think><answer>2</answer>",  # right, one box short
    f"<think>{A}</think><answer>1</answer>",  # wrong, and one box short
)


def run(texts=SAID, sample=TWO, task=COUNT, **settings):
    spec = method_spec({"name": "grit", "group_size": len(texts), **settings}, max_length=64)
    method = spec.build(task)
    scorer = Scorer(rewards={sample.task: method.rewards}, bonuses=(), combine=method.combine)
    group = Group(draw_id="0.0", sample=sample, rollouts=tuple(a_rollout(t) for t in texts))
    (scored,) = scorer([group], CLOCK)
    return scored, method


def test_rewards_and_advantages_by_hand():
    scored, method = run()
    assert scored.parts["number"] == (1.0, 1.0, 1.0, 0.0)
    assert scored.parts["bleu"] == (1.0, 1.0, 1.0, 0.0)
    assert scored.parts["grounded_format"] == (1.0, 0.0, 1.0, 1.0)
    assert scored.parts["count_agreement"] == (1.0, 0.0, 0.0, 0.0)
    assert scored.parts["format"] == (1.0,) * 4
    # answer 1, BLEU 0.1, tags 0.5, boxes 0.5, count 0.5
    assert scored.rewards == pytest.approx((2.6, 1.6, 2.1, 1.0))
    (advantages,) = method.credit([scored], alone, CLOCK)
    # mean 1.825; squares .600625, .050625, .075625, .680625: unbiased variance 1.4075 / 3
    std = (1.4075 / 3) ** 0.5
    expected = [0.775 / std, -0.225 / std, 0.275 / std, -0.825 / std]
    assert list(advantages) == pytest.approx(expected, abs=1e-6)


def test_mechanism_without_its_parts_pointing_earns_nothing():
    """Two right answers, one of which points: apart by 1.0 of reward, or not at all."""
    on, _ = run()
    off, plain = run(boxes=0.0, count=0.0)
    assert on.rewards[0] - on.rewards[1] == pytest.approx(1.0)
    assert off.rewards[0] == off.rewards[1] == off.rewards[2] == pytest.approx(1.6)
    assert {r.name for r in plain.rewards} == {"number", "bleu", "format"}
    # the right answer that points at nothing: as good as the others, or well below them
    (with_parts,), (without,) = (m.credit([s], alone, CLOCK) for s, m in (run(), (off, plain)))
    assert without[1] == without[0] == pytest.approx(0.5)
    assert with_parts[1] == pytest.approx(-0.225 / (1.4075 / 3) ** 0.5, abs=1e-6)


def test_boxes_are_counted_against_the_reference_not_against_what_was_answered():
    """The published code compares with `gt_answer`: a wrong count with as many boxes is wrong."""
    texts = (
        f"<think>{A} {B}</think><answer>3</answer>",  # two boxes for two things, wrong answer
        f"<think>{A}</think><answer>1</answer>",  # one box, as wrong as its answer
        f"<think>{A} {B}</think>",  # no answer
        "<think>none</think><answer>0</answer>",
    )
    assert run(texts)[0].parts["count_agreement"] == (1.0, 0.0, 0.0, 0.0)
    empty = Sample(id="c", task="grounded_count", question="count the rings", target=0)
    assert run(texts, empty)[0].parts["count_agreement"] == (0.0, 0.0, 0.0, 1.0)


def test_no_reference_box_is_read():
    moved = replace(TWO, meta={"boxes": ((0, 0, 5, 5), (5, 5, 9, 9)), "coord_space": "norm_100"})
    assert run()[0].rewards == run(sample=moved)[0].rewards


def test_where_boxes_lie_is_measured_in_the_space_of_the_reference():
    said = a_rollout(f"<think>{A}</think><answer>1</answer>", sizes=((200, 100), (100, 50)))
    seen = replace(said, prompt=replace(said.prompt, coord_space="abs_resized"))
    twice = replace(TWO, meta={"boxes": [[20, 20, 60, 60]], "coord_space": "abs_original"})
    assert union_overlap(seen, twice) == pytest.approx(1.0)  # half of the pixels each way
    # without a space they are compared as they stand: 10..30 and 20..60 share 10 x 10
    assert union_overlap(seen, replace(TWO, meta={"boxes": [[20, 20, 60, 60]]})) == pytest.approx(
        100 / (400 + 1600 - 100)
    )


def test_texts_are_judged_without_a_count():
    sample = Sample(id="v", task="text", question="What is across?", target="TV stand")
    task = TASKS.get("text")
    texts = [
        f"<think>{A}</think><answer>tv stand</answer>",
        f"<think>{A}</think><answer>the tv</answer>",
    ]
    scored, method = run(texts, sample, task)
    assert {r.name for r in method.rewards} == {"text", "bleu", "format", "grounded_format"}
    # the tv: one of two words, as long as the reference
    assert scored.rewards == pytest.approx((2.1, 0.05 + 0.5 + 0.5))


def test_bleu_reads_numbers():
    said = a_rollout("<think>x</think><answer>There are 12</answer>")
    assert bleu_reward(said, replace(TWO, target=12)) == pytest.approx(1 / 3)
    assert bleu_reward(said, replace(TWO, target=12.0)) == pytest.approx(1 / 3)
    assert bleu_reward(said, replace(TWO, target=1)) == 0.0


def lenient(rollout, sample):
    return {"2": 0.9, "1": 0.4}.get(rollout.parsed.answer)


def test_another_judge_may_say_what_is_right():
    task = replace(COUNT, rewards=(*COUNT.rewards, Reward(name="lm", fn=lenient)))
    scored, method = run(task=task, judge="lm")
    assert "number" not in {r.name for r in method.rewards}
    assert scored.parts["lm"] == (1.0, 1.0, 1.0, 0.0)  # 0.9 is right, 0.4 is not
    assert scored.rewards == pytest.approx((2.6, 1.6, 2.1, 1.0))
    judged = Judged(lenient)
    three = a_rollout("<think>x</think><answer>3</answer>")
    assert judged(three, TWO, {}, CLOCK) is None  # could not be scored
    assert Judged(lambda *all_four: float(len(all_four)) / 8)(three, TWO, {}, CLOCK) == 1.0


def test_the_published_constants_are_the_defaults():
    spec = method_spec({"name": "grit"}, max_length=1000)
    assert (spec.answer, spec.bleu, spec.boxes, spec.form) == (1.0, 0.1, 0.5, 0.5)
    assert (spec.count, spec.fresh, spec.beta, spec.std_eps) == (0.5, 0.0, 0.01, 1e-8)
    assert (spec.group_size, spec.normalize, spec.kl) == (4, "std", "k3")
    method = spec.build(TASKS.get("boxed_count"))
    assert method.needs_reference
    weights = {r.name: r.weight for r in method.rewards}
    assert weights == {
        "number": 1.0,
        "bleu": 0.1,
        "format": 0.5,
        "grounded_format": 0.5,
        "count_agreement": 0.5,
    }
    code = method_spec({"name": "grit", "fresh": 0.5, "count": 1.0}, max_length=1000)
    assert {r.name: r.weight for r in code.rewards(COUNT)}["fresh"] == 0.5


@pytest.mark.parametrize(
    ("task", "settings", "message"),
    [
        ("digit_box", {}, 'a short text, for which task "digit_box" has no part'),
        ("grounded_count", {"judge": "nubmer"}, 'no reward "nubmer".*Did you mean "number"'),
    ],
)
def test_what_cannot_be_judged_is_refused(task, settings, message):
    spec = method_spec({"name": "grit", **settings}, max_length=64)
    with pytest.raises(MethodError, match=message):
        spec.build(TASKS.get(task))


def test_a_setting_out_of_range_is_refused():
    with pytest.raises(ConfigError, match=r"method\.boxes"):
        method_spec({"name": "grit", "boxes": -0.5}, max_length=64)
