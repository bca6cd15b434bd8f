"""Worlds of pairs: near misses that are none, fair sides, gold, both orders, contradictions."""

from __future__ import annotations

import io
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from builders import a_rollout
from PIL import Image

from mmrl.errors import ConfigError, DataError
from mmrl.parse.verdicts import parse_pair_scores
from mmrl.tasks.base import TASKS
from mmrl.tasks.drawing import COLOURS
from mmrl.tasks.pair_world import LEVELS
from mmrl.tasks.swap import contradiction_rate, swapped
from mmrl.types import Sample

WORLDS = ("picture_pair", "answer_pair", "scored_pair")


def drawn(world: str, index: int, **options) -> Sample:
    task = TASKS.get(world)
    return task.world(index, split=options.pop("split", "train"), seed=0, **options)


def listed(text: str) -> list[tuple[str, ...]]:
    """ "red square, blue 7" as things."""
    return [tuple(thing.split()) for thing in text.split(", ")]


def shows(things: list[tuple[str, ...]], wish: list[str]) -> bool:
    return any(set(wish) <= set(thing) for thing in things)


@pytest.mark.parametrize("level", LEVELS)
def test_one_picture_fits_the_wish_and_the_other_does_not(level):
    for index in range(60):
        sample = drawn("picture_pair", index, level=level)
        wish = sample.question.removeprefix("which fits: ").split()
        a, b = re.fullmatch(r"A: (.*)\. B: (.*)", sample.meta["reason"]).groups()
        first, second = listed(a), listed(b)
        assert shows(first, wish) is (sample.target == "A")
        assert shows(second, wish) is (sample.target == "B")
        assert len(first) == len(second)


def test_most_pairs_differ_from_a_wish_of_two_in_one_attribute():
    seen = Counter()
    for index in range(300):
        sample = drawn("picture_pair", index)
        wish = sample.question.removeprefix("which fits: ").split()
        reason = re.fullmatch(r"A: (.*)\. B: (.*)", sample.meta["reason"]).groups()
        (miss,) = listed(reason["AB".index("B" if sample.target == "A" else "A")])
        if len(wish) == 2:
            seen[len(set(wish) & set(miss))] += 1
    # near is 0.8: of about 180 wishes of two, one attribute is shared in 144 (5 sd: 27)
    assert seen[2] == 0 and 0.65 < seen[1] / (seen[0] + seen[1]) < 0.95


@pytest.mark.parametrize("level", LEVELS)
def test_one_statement_is_true_of_the_picture(level):
    for index in range(60):
        sample = drawn("answer_pair", index, level=level)
        a, b = re.fullmatch(r"which is true: A (.*)\. B (.*)", sample.question).groups()
        things = listed(sample.meta["reason"])
        assert shows(things, a.split()) is (sample.target == "A")
        assert shows(things, b.split()) is (sample.target == "B")
        assert sample.meta["answers"] == [a, b]


def test_scores_are_what_the_pictures_fulfil_and_decide():
    for index in range(60):
        sample = drawn("scored_pair", index, marks=True)
        colour, name, place = sample.question.removeprefix("which is better: ").split()
        scores = parse_pair_scores(sample.meta["reason"])
        for side, key in enumerate(("marks", "marks_2")):
            (_, own_colour, x, y), (_, own_name, *_) = sample.meta[key]
            halves = {("left", "right")[x > 56], ("top", "bottom")[y > 56]}
            wanted = (10 * (own_colour == colour), 10 * (own_name == name), 10 * (place in halves))
            assert tuple(d[1 + side] for d in scores.dimensions) == wanted
            assert scores.totals[side] == sum(wanted)
        better = 1 if scores.totals[0] > scores.totals[1] else 2
        assert sample.target == f"Image {better} is better"


@pytest.mark.parametrize("world", WORLDS)
def test_sides_are_fair_and_say_nothing_by_themselves(world):
    samples = [drawn(world, i) for i in range(400)]
    targets = Counter(s.target for s in samples)
    assert len(targets) == 2 and min(targets.values()) > 150  # 200 expected, 5 sd
    by_word = Counter((s.question.split()[-1], s.target) for s in samples)
    for word in {word for word, _ in by_word}:
        counts = [by_word[word, target] for target in targets]
        assert min(counts) > 0 or sum(counts) < 12


@pytest.mark.parametrize("index", range(5))
def test_the_colour_that_is_said_is_on_the_picture(index):
    sample = drawn("picture_pair", index, marks=True)
    for media, key in zip(sample.media, ("marks", "marks_2"), strict=True):
        (kind, colour, x, y), (shape_kind, name, *_) = sample.meta[key]
        pixels = np.asarray(Image.open(io.BytesIO(media.data)).convert("RGB"), float)
        block = pixels[int(y) - 28 : int(y) + 28, int(x) - 28 : int(x) + 28]
        near = np.abs(block - np.array(COLOURS[colour])).max(-1) < 30
        assert near.sum() > 60 and kind == "colour"
        assert shape_kind == ("text" if name.isdigit() else "shape")


@pytest.mark.parametrize(
    ("level", "side"),
    [("tiny", 112), ("easy", 112), ("medium", 168), ("hard", 224), ("shifted", 112)],
)
def test_pictures_are_whole_visual_tokens(level, side):
    for media in drawn("picture_pair", 0, level=level).media:
        assert Image.open(io.BytesIO(media.data)).size == (side, side)


@pytest.mark.parametrize("world", WORLDS)
def test_the_same_arguments_the_same_bytes_and_splits_differ(world):
    one, again = drawn(world, 7), drawn(world, 7)
    assert one == again and [m.data for m in one.media] == [m.data for m in again.media]
    others = [drawn(world, 8), drawn(world, 7, split="test")]
    assert all(o.media != one.media for o in others)


@pytest.mark.parametrize("world", WORLDS)
def test_the_swapped_order_is_the_swap_of_the_drawn_one(world):
    for index in range(30):
        one, other = drawn(world, index), drawn(world, index, order="swapped")
        turned = swapped(one)
        assert (turned.id, turned.question, turned.media) == (other.id, other.question, other.media)
        assert turned.target == other.target != one.target
        assert swapped(turned) == replace(one, meta={**one.meta, "swapped": False})
        if world != "answer_pair":
            assert turned.meta["reason"] == other.meta["reason"]


def test_both_orders_come_one_after_the_other():
    four = [drawn("picture_pair", i, order="both") for i in range(4)]
    assert four[0] == drawn("picture_pair", 0) and four[3] == drawn(
        "picture_pair", 1, order="swapped"
    )
    assert len({s.id for s in four}) == 4 and [s.meta["pair"] for s in four] == [0, 0, 1, 1]


def test_unknown_settings_name_the_nearest():
    with pytest.raises(ConfigError, match=r'no level "tny" of pairs\. Did you mean "tiny"'):
        drawn("picture_pair", 0, level="tny")
    with pytest.raises(ConfigError, match=r'no order "swaped" of pairs\. Did you mean "swapped"'):
        drawn("picture_pair", 0, order="swaped")


# ---------------------------------------------------------------- swapping rows


def row(question: str, answers: list[str], target: str = "A") -> Sample:
    return Sample(
        id="r", task="preference", question=question, target=target, meta={"answers": answers}
    )


@pytest.mark.parametrize(
    ("question", "answers", "other"),
    [
        ("Q?\nA: yes, a dog\nB: yes", ["yes, a dog", "yes"], "Q?\nA: yes\nB: yes, a dog"),
        ("Say B?\nAnswer A: B\nAnswer B: cat", ["B", "cat"], "Say B?\nAnswer A: cat\nAnswer B: B"),
        ("x or y? Answer 1: x Answer 2: y", ["x", "y"], "x or y? Answer 1: y Answer 2: x"),
        ("BUY?\nA) BUY\nB) don't BUY", ["BUY", "don't BUY"], "BUY?\nA) don't BUY\nB) BUY"),
        ("is it this <one> or <two>", ["<one>", "<two>"], "is it this <two> or <one>"),
    ],
)
def test_answers_change_places_wherever_they_stand(question, answers, other):
    sample = row(question, answers)
    assert swapped(sample).question == other
    assert swapped(sample).target == "B" and swapped(sample).meta["answers"] == answers[::-1]
    assert swapped(swapped(sample)).question == sample.question


@pytest.mark.parametrize(
    ("question", "answers", "message"),
    [
        ("A: x B: y", ["x", "z"], "in 0 ways"),
        ("x? then x, then y", ["x", "y"], "in 2 ways"),
        ("B: y A: x", ["x", "y"], "in 0 ways"),
        ("A: x B: y", ["x"], "should be two texts"),
        ("A: x B: y", ["x", ""], "should be two texts"),
    ],
)
def test_answers_that_cannot_be_found_are_data_errors(question, answers, message):
    with pytest.raises(DataError, match=message):
        swapped(row(question, answers))


def test_clips_as_lists_of_frames_change_places_by_halves():
    sample = drawn("picture_pair", 0)
    four = replace(sample, media=(*sample.media, *drawn("picture_pair", 1).media))
    assert swapped(four).media == (*four.media[2:], *four.media[:2])
    with pytest.raises(DataError, match="no two candidates to exchange"):
        swapped(replace(sample, media=sample.media[:1]))


# ---------------------------------------------------------------- contradictions


def says(letter: str):
    return a_rollout(f"<think>x</think><answer>{letter}</answer>")


def test_contradictions_by_hand():
    pairs = [drawn("picture_pair", i, order="both") for i in range(6)]
    # pair 0 turns with the order; pair 1 says A twice; pair 2 has one verdict only
    said = ["A", "B", "A", "A", "B", "dunno"]
    assert contradiction_rate(zip(pairs, map(says, said), strict=True)) == 0.5
    # two rollouts of pair 1 in its first order: one of the two comparisons contradicts
    more = [*zip(pairs, map(says, said), strict=True), (pairs[2], says("B"))]
    assert contradiction_rate(more) == pytest.approx(1 / 3)
    assert contradiction_rate([(pairs[0], says("A"))]) is None
    assert contradiction_rate([]) is None


def test_gold_never_contradicts_itself_and_a_constant_verdict_always_does():
    for world, constant in (("picture_pair", "B"), ("scored_pair", "Image 2 is better")):
        task = TASKS.get(world)
        pairs = [drawn(world, i, order="both") for i in range(20)]
        assert contradiction_rate((s, a_rollout(task.gold(s))) for s in pairs) == 0.0
        assert contradiction_rate((s, says(constant)) for s in pairs) == 1.0
