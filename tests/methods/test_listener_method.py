"""Listener-rewarded thinking as a method: rewards by hand, the mechanism, wrong settings."""

from __future__ import annotations

import importlib.util
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from builders import CLOCK, a_rollout, alone

from mmrl.config.load import load_run
from mmrl.errors import ConfigError
from mmrl.methods.base import method_spec, stateful_parts
from mmrl.policy.frozen import Frozen
from mmrl.probes.listener import ListenerProbe
from mmrl.rewards.listener import ListenerConfidence
from mmrl.tasks.base import TASKS
from mmrl.train.score import Scorer
from mmrl.types import Group

FOLDER = Path(__file__).parents[2] / "recipes" / "listener"
PAIR = TASKS.get("picture_pair")
SAMPLE = PAIR.world(0, split="val", seed=3)
GOLD, OTHER = SAMPLE.target, "AB".replace(SAMPLE.target, "")


def built(**settings):
    return method_spec({"name": "listener", "max_length": 64, **settings}).build(PAIR)


def scored(method, said):
    """A group of (text, probability of the label) scored by the method's parts."""
    rollouts = tuple(a_rollout(text) for text, _ in said)
    heard = []
    for _, p in said:
        both = (p, 1.0 - p) if GOLD == "A" else (1.0 - p, p)
        heard.append(ListenerConfidence(probabilities=both))
    group = Group(
        draw_id="0",
        sample=SAMPLE,
        rollouts=rollouts,
        evidence={ListenerConfidence: tuple(heard)},
    )
    score = Scorer(rewards={"picture_pair": method.rewards}, bonuses=(), combine=method.combine)
    return score([group], CLOCK)[0]


def formed(letter, reasoning="A: red 7. B: red 3"):
    return f"<think>{reasoning}</think><answer>{letter}</answer>"


FOUR = (
    (formed(GOLD), 0.9),
    (formed(GOLD), 0.2),
    (formed(OTHER), 0.7),
    (f"<answer>{GOLD}</answer>", 0.9),
)


def test_reward_is_format_and_half_of_right_and_half_of_the_listener():
    group = scored(built(), FOUR)
    # 1 + 0.5 + 0.45; 1 + 0.5 + 0.1; 1 + 0.35; malformed: nothing, though its letter is right
    assert group.rewards == pytest.approx((1.95, 1.6, 1.35, 0.0))
    # the listener is for the other candidate than the second and the third verdict
    assert group.parts["contradicts"] == (0.0, 1.0, 1.0, 0.0)
    method = built()
    (advantages,) = method.credit([group], alone, CLOCK)
    # mean 4.9 / 4 = 1.225; squares 0.525625 + 0.140625 + 0.015625 + 1.500625 = 2.1825, std (n - 1)
    std = (2.1825 / 3) ** 0.5
    assert advantages == pytest.approx(
        [d / (std + 1e-4) for d in (0.725, 0.375, 0.125, -1.225)], rel=1e-6
    )


def test_without_the_listener_equal_verdicts_earn_the_same():
    """The mechanism: what orders rollouts of equal verdict is the listener, and nothing else."""
    on, off = scored(built(), FOUR[:2]), scored(built(listener_weight=0.0), FOUR[:2])
    assert on.spread == pytest.approx(0.35)  # 0.5 * (0.9 - 0.2)
    assert off.spread == 0.0
    assert off.parts["contradicts"] == (0.0, 1.0)  # still measured
    for method, group, wanted in (
        (built(normalize="mean_only"), on, [0.175, -0.175]),
        (built(normalize="mean_only", listener_weight=0.0), off, [0.0, 0.0]),
    ):
        (advantages,) = method.credit([group], alone, CLOCK)
        assert advantages == pytest.approx(wanted)


def test_the_own_verdict_may_be_paid_in_the_place_of_the_label():
    group = scored(built(target="verdict", format_weight=0.0), FOUR)
    assert group.parts["listener"] == pytest.approx((0.9, 0.2, 0.3, 0.0))
    assert group.rewards == pytest.approx((0.95, 0.6, 0.15, 0.0))


def test_the_frozen_copy_is_asked_by_the_probe_and_kept_by_the_run():
    method = built(both_orders=False, mask="nothing", temperature=2.0)
    (probe,), (frozen,) = method.probes, method.companions
    assert isinstance(probe, ListenerProbe) and isinstance(frozen, Frozen)
    assert probe.listener.model is frozen and probe.listener.style == "continue"
    assert (probe.both_orders, probe.mask, probe.temperature) == (False, "nothing", 2.0)
    assert stateful_parts(method) == {"companions.0": frozen}  # resumes with the same listener
    assert method.needs_reference  # beta 0.04
    own = built(listener="models/Judge", listener_dtype="bfloat16")
    (frozen,) = own.companions
    assert (frozen.path, frozen.dtype) == ("models/Judge", "bfloat16")
    assert own.probes[0].listener.style == "ask"  # a checkpoint does not know the task's form


def test_other_tasks_of_a_mixture_keep_their_rewards():
    spec = method_spec({"name": "listener", "max_length": 64, "overlong_share": 0.5})
    assert [r.name for r in spec.rewards(TASKS.get("digit_box"))] == [
        "box_iou",
        "format",
        "overlong",
    ]
    assert [r.name for r in spec.rewards(PAIR)] == [
        *("format", "preference", "listener", "contradicts"),
        "overlong",
    ]
    plain = replace(PAIR, rewards=())
    assert [r.name for r in spec.rewards(plain)] == ["overlong"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"mask": "answer"}, "method.mask"),
        ({"target": "gold"}, "method.target"),
        ({"temperature": 0.0}, "method.temperature"),
        ({"listener_dtype": "bfloat16"}, "listener_dtype belongs to a listener with its own"),
        ({"listener_wight": 1.0}, 'no such setting.*"listener_weight"'),
    ],
)
def test_wrong_settings_fail_in_words(settings, words):
    with pytest.raises(ConfigError, match=words):
        method_spec({"name": "listener", **settings})


def test_the_full_recipe_names_its_listener():
    full = method_spec(load_run(FOLDER / "full.yaml").method)
    assert full.listener and full.listener in {getattr(full, n) for n in full.model_folders}


NOT_HEARD = ListenerConfidence(probabilities=None, heard=False)


def group_of(*said):
    """Rollouts with what the listener gives to (A, B), or with nothing heard."""
    evidence = [
        NOT_HEARD if p is None else ListenerConfidence(probabilities=(p, 1.0 - p)) for _, p in said
    ]
    return Group(
        draw_id="0",
        sample=SAMPLE,
        rollouts=tuple(a_rollout(text) for text, _ in said),
        evidence={ListenerConfidence: tuple(evidence)},
    )


MALFORMED = ("<answer>A</answer>", None)


def test_contradiction_and_doubt_leave_out_what_has_no_verdict_or_was_not_heard(monkeypatch):
    measures = module_of("measures")
    group = group_of((formed("A"), 0.9), (formed("A"), 0.4), (formed("3"), 0.1), MALFORMED)
    monkeypatch.setattr(measures, "heard", lambda trained: [group])
    assert measures.contradiction(None) == 0.5  # of two, not of four
    assert measures.doubt(None) == pytest.approx(0.35)  # (0.1 + 0.6) / 2
    monkeypatch.setattr(measures, "heard", lambda trained: [group_of(MALFORMED)])
    assert math.isnan(measures.contradiction(None)) and math.isnan(measures.doubt(None))
    # the label's probability, 0 for the two of which the reward has 0
    monkeypatch.setattr(measures, "heard", lambda trained: [group])
    label = (0.9 + 0.4) / 4 if GOLD == "A" else (0.1 + 0.6) / 4
    assert measures.persuasion(None) == pytest.approx(label)


def test_the_diagnosis_is_of_heard_verdicts(monkeypatch):
    measures = module_of("measures")
    right, wrong = (0.9, 0.2) if GOLD == "A" else (0.1, 0.8)  # listener for the label, against it
    group = group_of(
        (formed(GOLD), right), (formed(GOLD), wrong), (formed(OTHER), right), MALFORMED
    )
    monkeypatch.setattr(measures, "untrained", lambda seed: [group])
    assert measures.diagnosis(0) == {"contradicted": 0.5, "agreed": 1.0}
    monkeypatch.setattr(measures, "untrained", lambda seed: [group_of((formed(GOLD), right))])
    found = measures.diagnosis(0)
    assert found["agreed"] == 1.0 and math.isnan(found["contradicted"])


def test_the_order_is_asked_of_completions_equal_in_format_and_right():
    measures = module_of("measures")
    one = scored(built(), ((formed(GOLD), 0.9), (formed(GOLD), 0.2), (formed(OTHER), 0.7)))
    assert measures._ordered([one]) == [1.0]  # one pair: 0.9 before 0.2
    # a wrong verdict with p above a malformed completion's 0: another format, so no pair
    assert measures._ordered([scored(built(), ((formed(OTHER), 0.7), FOUR[3]))]) == []


def test_rows_of_hpdv2_become_pairs():
    published = [  # as train.json and test.json have them
        {"prompt": "a cat", "file_path": ["a.jpg", "b.jpg"], "human_preference": [0, 1]},
        {"prompt": "a dog", "file_path": ["c.jpg", "d.jpg"], "human_preference": [1, 0]},
        {"prompt": "a cow", "file_path": ["e.jpg", "f.jpg"], "human_preference": [1, 1]},
    ]
    ranked = [{"prompt": "a cat", "image_path": ["a.jpg", "b.jpg", "c.jpg"], "rank": [2, 1, 2]}]
    data, ties = module_of("data"), Counter()
    pairs = list(data.train_pairs(published, ties))
    assert [p["images"]["AB".index(p["answer"])] for p in pairs] == ["b.jpg", "c.jpg"]
    assert ties == {"ties": 1}
    tested = list(data.test_pairs(ranked, ties))
    assert {frozenset(p["images"]) for p in tested} == {
        frozenset({"a.jpg", "b.jpg"}),
        frozenset({"b.jpg", "c.jpg"}),
    }
    assert all(p["images"]["AB".index(p["answer"])] == "b.jpg" for p in tested)
    assert ties == {"ties": 2}
    assert len({p["id"] for p in (*pairs, *tested)}) == 4


def test_the_share_of_rows_is_the_same_everywhere():
    data = module_of("data")
    chosen = [i for i in range(5000) if data.taken(i, 0.16)]
    assert chosen[:2] == [n for n in range(50) if data.taken(n, 0.16)][:2]
    assert len(chosen) == pytest.approx(800, abs=80)  # three standard deviations are 78
    assert not any(data.taken(i, 0.0) for i in range(100))
    assert all(data.taken(i, 1.0) for i in range(100))


def module_of(name):
    """A file of the recipe's folder as a module."""
    spec = importlib.util.spec_from_file_location(f"listener_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
