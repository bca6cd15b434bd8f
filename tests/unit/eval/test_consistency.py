"""CACR, OSCR and the use of letters, by hand; once on the tiny VLM."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from builders import a_rollout

from mmrl.config.schema import RolloutConfig
from mmrl.eval.consistency import MEASURES, consistency, evaluate_consistency
from mmrl.policy.load import load_policy
from mmrl.probes.second_pass import SecondPass
from mmrl.rewards.choice_consistency import SecondAnswer, SecondLook
from mmrl.rollout.hf import HFSampler
from mmrl.tasks.base import TASKS
from mmrl.train.models import Doors
from mmrl.types import Group, Sample

TINY = Path(__file__).parents[3] / "assets" / "tiny-vlm"
OPTIONS = ("red", "blue", "green", "yellow")


def a_group(
    gold: str, *said: tuple[str, str], looks: tuple[float, ...] = (), options=OPTIONS
) -> Group:
    """Rollouts that reason and answer so; `looks` are their shares of unchanged answers of four."""
    answers = []
    for g, (_, letter) in enumerate(said):
        content = options["ABCD".index(letter)] if letter and options else None
        kept = round(4 * looks[g]) if looks else 0
        order = (1, 2, 3, 0)
        shown = [content] * kept + ["other"] * (4 - kept if looks else 0)
        found = tuple(SecondLook(order=order, text="", content=c) for c in shown)
        answers.append(SecondAnswer(content=content, looks=found))
    meta = {"options": options} if options else {}
    return Group(
        draw_id=gold,
        sample=Sample(id=gold, task="choice", question="?", target=gold, meta=meta),
        rollouts=tuple(a_rollout(f"<think>{t}</think><answer>{x}</answer>") for t, x in said),
        evidence={SecondAnswer: tuple(answers)},
    )


def test_measures_by_hand():
    one = a_group(
        "A",
        ("red", "A"),  # consistent and right
        ("blue", "A"),  # wrong thought, right answer
        ("red", "B"),  # right thought, wrong answer
        ("red", "C"),  # right thought, wrong answer
        looks=(1.0, 0.0, 0.5, 1.0),
    )
    two = a_group("C", ("nothing", "C"), ("green", ""), looks=(1.0, 0.0))
    found = consistency([one, two]).estimates
    means = {name: found[name].mean for name in MEASURES}
    assert means == pytest.approx(
        {
            "cacr": (1 / 4 + 0) / 2,
            "oscr": (2.5 / 4 + 1 / 2) / 2,
            "accuracy": (2 / 4 + 1 / 2) / 2,
            "right_thought_wrong_answer": (2 / 4 + 1 / 2) / 2,
            "wrong_thought_right_answer": (1 / 4 + 1 / 2) / 2,
        }
    )
    assert all(found[name].num_items == 2 for name in MEASURES)


def test_another_judge_of_reasonings_can_be_asked():
    group = a_group("A", ("I would say the first", "A"), ("no", "B"))
    assert consistency([group]).estimates["cacr"].mean == 0.0
    judge = lambda rollout, sample: 0 if "first" in rollout.parsed.reasoning else None  # noqa: E731
    assert consistency([group], judge).estimates["cacr"].mean == 0.5


def test_items_without_options_are_absent():
    bare = a_group("A", ("x", "A"), options=())
    report = consistency([bare])
    assert report.estimates["cacr"].num_items == 0 and math.isnan(report.letter_kl)
    both = consistency([bare, a_group("A", ("red", "A"))])
    assert both.estimates["cacr"].num_items == 1 and both.estimates["oscr"].num_items == 0


def test_habits_of_position():
    even = [a_group(x, (OPTIONS["ABCD".index(x)], x)) for x in "ABCD"]
    report = consistency(even)
    assert report.letter_kl == pytest.approx(0.0) and report.position_gap == 0.0
    always = [a_group(x, ("red", "A")) for x in "ABCD"]
    report = consistency(always)
    assert report.letter_kl == pytest.approx(math.log(4))
    assert report.position_gap == pytest.approx(1.0 - 0.25)
    half = [a_group("A", ("red", "A"), ("red", "A"), ("red", "B"), ("red", "B"))]
    assert consistency(half).letter_kl == pytest.approx(math.log(2))


def test_letters_that_cannot_be_read_are_no_letters():
    report = consistency([a_group("A", ("red", ""), ("red", "A"))])
    assert report.letter_kl == pytest.approx(math.log(4))
    assert math.isnan(consistency([a_group("A", ("red", ""))]).letter_kl)


def test_a_real_policy_is_measured():
    policy = load_policy(TINY)
    models = Doors(policy, HFSampler(policy), RolloutConfig(max_new_tokens=24), seed=1)
    world = TASKS.get("picture_choice").world
    samples = [world(i, split="test", seed=0) for i in range(4)]
    probe = SecondPass(passes=2)
    report = evaluate_consistency(samples, models, size=2, probe=probe, batch_prompts=3)
    again = evaluate_consistency(samples, models, size=2, probe=probe, batch_prompts=4)
    assert report == again
    assert report.estimates["oscr"].num_items == 4
    assert all(0.0 <= report.estimates[name].mean <= 1.0 for name in MEASURES)
    without = [replace(s, meta={}) for s in samples]
    nothing = evaluate_consistency(without, models, size=1, probe=probe)
    assert nothing.estimates["cacr"].num_items == 0
