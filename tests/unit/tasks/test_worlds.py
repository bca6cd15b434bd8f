"""Drawn worlds: the same sample byte for byte, disjoint splits, gold that earns the maximum."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from mmrl.errors import ConfigError
from mmrl.parse.completion import parse_completion
from mmrl.tasks.base import TASKS
from mmrl.tasks.drawing import DIGIT_RANGES, digit_bank
from mmrl.types import Clock, Prompt, Rollout, Sample, Segment, StopReason, Verdict

DRAWN = (
    *("digit_box", "letter_box", "shape_box", "digit_span"),
    *("picture_choice", "which_picture", "plain_text"),
)
CLOCK = Clock(step=0, stage="s", stage_step=0, stage_steps=1)


def rollout(text: str) -> Rollout:
    prompt = Prompt(messages=(), token_ids=())
    segment = Segment(token_ids=(), sampled=True, logps=(), trainable=())
    return Rollout(
        prompt=prompt,
        sampled_under=prompt,
        segments=(segment,),
        text=text,
        offsets=(),
        parsed=parse_completion(text),
        stop=StopReason.EOS,
        policy_step=0,
    )


def draw(task: str, index: int, split: str = "train", seed: int = 0) -> Sample:
    world = TASKS.get(task).world
    assert world is not None
    return world(index, split=split, seed=seed)


@pytest.mark.parametrize("task", DRAWN)
def test_same_arguments_same_sample_byte_for_byte(task: str) -> None:
    first, again = draw(task, 5), draw(task, 5)
    assert first == again
    assert [m.data for m in first.media] == [m.data for m in again.media]


@pytest.mark.parametrize("task", DRAWN)
def test_index_seed_and_split_each_change_the_sample(task: str) -> None:
    def seen(**changed: object) -> list[object]:
        drawn = [draw(task, **{"index": i, **changed}) for i in range(6)]  # type: ignore[arg-type]
        return [(s.question, s.target, *(m.data for m in s.media)) for s in drawn]

    base = seen()
    assert len(set(base)) == 6
    assert seen(seed=1) != base
    assert seen(split="test") != base


def test_splits_share_no_digit_picture() -> None:
    ranges = sorted(DIGIT_RANGES.values())
    assert ranges[0][0] == 0 and ranges[-1][1] == 1797
    assert all(a[1] == b[0] for a, b in pairwise(ranges))
    pictures = {s: {p.tobytes() for d in digit_bank(s) for p in d} for s in DIGIT_RANGES}
    assert not pictures["train"] & pictures["test"]
    assert not pictures["val"] & pictures["test"]
    assert sum(len(d) for d in digit_bank("test")) == 400
    assert all(len(d) > 30 for d in digit_bank("test"))


@pytest.mark.parametrize("name", sorted(TASKS.names()))
def test_template_holds_the_question_once(name: str) -> None:
    assert TASKS.get(name).template.count("{question}") == 1


@pytest.mark.parametrize("task", DRAWN)
def test_gold_earns_each_maximum_and_empty_each_minimum(task: str) -> None:
    spec = TASKS.get(task)
    for index in range(8):
        sample = draw(task, index, split="val")
        gold, empty = rollout(spec.gold(sample)), rollout("")
        assert gold.parsed.verdict is Verdict.OK
        assert spec.score(gold, sample) == 1.0
        assert spec.score(empty, sample) == 0.0
        for reward in spec.rewards:
            assert reward(gold, sample, {}, CLOCK) == reward.bounds[1], reward.name
            assert reward(empty, sample, {}, CLOCK) == reward.bounds[0], reward.name


@pytest.mark.parametrize(
    ("task", "target", "meta"),
    [
        ("grounding", (12.5, 3, 200.25, 90), {"coord_space": "abs_original"}),
        ("grounding", [0.1, 0.2, 0.3, 0.45], {"coord_space": "norm_1"}),
        ("temporal", [0.123456789, 61.5], {}),
        ("choice", "C", {}),
        ("number", -1234.5678901, {}),
        ("text", ["Blue Whale", "whale"], {}),
    ],
)
def test_gold_of_data_set_rows_earns_the_maximum(task: str, target: object, meta: dict) -> None:
    sample = Sample(id="row", task=task, question="?", target=target, meta=meta)
    spec = TASKS.get(task)
    assert spec.score(rollout(spec.gold(sample)), sample) == 1.0


def test_unknown_split_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r'no split "trian"\. Did you mean "train"'):
        draw("digit_box", 0, split="trian")


def test_media_of_each_world() -> None:
    kinds = {t: [m.kind for m in draw(t, 0).media] for t in DRAWN}
    assert kinds == {
        "digit_box": ["image"],
        "letter_box": ["image"],
        "shape_box": ["image"],
        "digit_span": ["video"],
        "picture_choice": ["image"],
        "which_picture": ["image", "image"],
        "plain_text": [],
    }


def test_which_picture_takes_a_count() -> None:
    world = TASKS.get("which_picture").world
    assert world is not None
    sample = world(0, split="train", seed=0, count=4)
    assert len(sample.media) == 4
    assert sample.question.endswith("A B C D")
    targets = {world(i, split="train", seed=0, count=4).target for i in range(40)}
    assert targets == set("ABCD")


def test_digits_are_asked_for_evenly() -> None:
    names = [draw("digit_box", i).meta["name"] for i in range(300)]
    counts = np.array([names.count(str(d)) for d in range(10)])
    assert counts.min() >= 15 and counts.max() <= 48  # 30 expected, 3.5 standard deviations
