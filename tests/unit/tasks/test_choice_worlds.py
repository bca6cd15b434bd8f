"""Choice worlds: what the text gives away, what a shuffled clip gives away, the short cut."""

from __future__ import annotations

import dataclasses
import io
from collections import Counter

import numpy as np
import pytest
from builders import a_rollout
from PIL import Image

from mmrl.media.plan import MediaBudget
from mmrl.media.store import MediaStore
from mmrl.parse.options import option_spans
from mmrl.policy.gallery import Gallery
from mmrl.rollout.contrast import shuffled_frames
from mmrl.tasks.base import TASKS
from mmrl.tasks.choice import consistent
from mmrl.tasks.choice_inverse import inverted
from mmrl.tasks.choice_options import options_of, reordered
from mmrl.tasks.drawing import COLOURS
from mmrl.types import Sample

WORLDS = ("picture_choice", "tinted_choice", "clip_order", "clip_choices")
LEVELS = [(name, level) for name in WORLDS for level in TASKS.get(name).levels]


def draw(name: str, index: int, split: str = "train", **options: object) -> Sample:
    world = TASKS.get(name).world
    assert world is not None
    return world(index, split=split, seed=0, **options)


def pixels(sample: Sample) -> np.ndarray:
    data = sample.media[0].data
    assert data is not None
    return np.asarray(Image.open(io.BytesIO(data)), np.float32)


@pytest.mark.parametrize(("name", "level"), LEVELS)
def test_levels_draw_again_byte_for_byte_and_can_be_reordered(name: str, level: str) -> None:
    options = TASKS.get(name).levels[level]
    first, again = draw(name, 5, **options), draw(name, 5, **options)
    assert first == again
    assert option_spans(first.question, options_of(first)) is not None
    moved = reordered(first, (1, 2, 3, 0))
    assert moved is not None and moved.target != first.target
    task = TASKS.get(name)
    assert task.score(a_rollout(task.gold(moved)), moved) == 1.0
    assert task.score(a_rollout(task.gold(first)), moved) == 0.0  # the letter alone is not enough


@pytest.mark.parametrize(("name", "level"), LEVELS)
def test_each_letter_is_right_as_often(name: str, level: str) -> None:
    options = TASKS.get(name).levels[level]
    drawn = [draw(name, i, **options) for i in range(200)]
    counts = Counter(letter for s in drawn for letter in s.target.split(","))
    expected = 100 if name == "clip_choices" else 50
    assert set(counts) == set("ABCD")
    assert all(abs(n - expected) < 25 for n in counts.values()), counts  # 4 standard deviations


def test_gold_reasoning_comes_to_the_gold_option() -> None:
    for name in ("picture_choice", "tinted_choice", "clip_order"):
        task = TASKS.get(name)
        for i in range(40):
            sample = draw(name, i)
            gold = task.gold(sample)
            letters = "letter" in sample.question
            assert consistent(a_rollout(gold), sample) == 1.0, gold
            other = "ABCD"[("ABCD".index(sample.target) + 1) % 4]
            switched = gold.replace(f"<answer>{sample.target}", f"<answer>{other}")
            assert consistent(a_rollout(switched), sample) == 0.0 or letters
            assert consistent(a_rollout(""), sample) == 0.0


def test_consistency_is_not_known_of_questions_without_options() -> None:
    assert (
        consistent(a_rollout("<think>x</think><answer>A</answer>"), draw("which_picture", 0))
        is None
    )


def frames_of(sample: Sample) -> list[np.ndarray]:
    budget = MediaBudget(min_frames=2)
    with MediaStore(workers=0) as store:
        gallery = Gallery(
            factor=28, frame_factor=2, image_budget=budget, video_budget=budget, store=store
        )
        ref = sample.media[0]
        return list(gallery.pixels(ref, gallery.plan_video(ref)).astype(np.float32))


def colour_of(frame: np.ndarray) -> str | None:
    """The named colour of the thing on a light ground, or None where there is none."""
    edge = np.concatenate([frame[0], frame[-1], frame[:, 0], frame[:, -1]])  # nothing touches it
    off = np.abs(frame - np.median(edge, axis=0)).sum(-1)
    if off.max() < 90:
        return None
    ink = np.median(frame[off > 0.6 * off.max()], axis=0)
    return min(COLOURS, key=lambda name: float(np.abs(ink - COLOURS[name]).sum()))


def test_the_order_in_the_clip_is_the_order_in_the_reasoning() -> None:
    for i in range(12):
        sample = draw("clip_order", i)
        seen = [colour_of(frame) for frame in frames_of(sample)]
        reasoned = sample.meta["name"].split(",")[0].split()
        assert seen == [name for name in reasoned for _ in range(4)]
        place = sample.question.split(":")[0].split()[-1]
        right = {"first": reasoned[0], "last": reasoned[-1]}[place]
        assert options_of(sample)["ABCD".index(sample.target)] == right
        assert sample.meta["name"].endswith(f", {place} {right}")


def test_a_shuffled_clip_shows_the_same_frames_and_its_first_is_no_clue() -> None:
    """The first colour of a clip answers "first" always; of shuffled frames, a quarter of them."""
    right = {"straight": 0, "shuffled": 0}
    samples = [s for i in range(140) if "first" in (s := draw("clip_order", i)).question]
    for i, sample in enumerate(samples):
        gold = options_of(sample)["ABCD".index(sample.target)]
        straight = frames_of(sample)
        mixed_sample = shuffled_frames(sample, i)
        assert mixed_sample is not None
        mixed = frames_of(mixed_sample)
        assert sorted(f.tobytes() for f in mixed) == sorted(f.tobytes() for f in straight)
        right["straight"] += colour_of(straight[0]) == gold
        right["shuffled"] += colour_of(mixed[0]) == gold
    assert len(samples) > 50
    assert right["straight"] == len(samples)
    assert right["shuffled"] / len(samples) < 0.45  # 0.25 expected, sd 0.05


def test_the_shuffled_option_changes_nothing_but_the_order_of_frames() -> None:
    moved = 0
    for i in range(6):
        straight, mixed = (draw("clip_order", i, shuffled=s) for s in (False, True))
        refs = {**mixed.media[0].options}
        assert refs.pop("strategy") == "shuffled" and refs.pop("seed") >= 0
        assert refs == straight.media[0].options
        assert dataclasses.replace(mixed, media=straight.media) == straight
        one, two = ([f.tobytes() for f in frames_of(s)] for s in (straight, mixed))
        assert sorted(one) == sorted(two)
        moved += one != two
    assert moved == 6
    assert draw("clip_order", 1, shuffled=True) == draw("clip_order", 1, shuffled=True)


def test_the_colours_in_the_clip_are_the_right_ones() -> None:
    for i in range(12):
        sample = draw("clip_choices", i)
        seen = {colour_of(frame) for frame in frames_of(sample)} - {None}
        right = {options_of(sample)["ABCD".index(letter)] for letter in sample.target.split(",")}
        assert seen == right and 1 <= len(right) <= 3


def test_options_of_the_tinted_world_are_all_pairings() -> None:
    for i in range(20):
        pairs = [text.split() for text in options_of(draw("tinted_choice", i))]
        colours, shapes = {c for c, _ in pairs}, {s for _, s in pairs}
        assert len(colours) == len(shapes) == 2 and len({tuple(p) for p in pairs}) == 4


def nearest_tint(sample: Sample) -> str:
    """The tint of the ground by its colour alone: what a policy could take for the answer."""
    ground = np.median(pixels(sample), axis=(0, 1))
    r, g, b = ground - ground.mean()
    scores = {"A": r - (g + b) / 2, "B": g - (r + b) / 2, "C": b - (r + g) / 2}
    scores["D"] = (r + g) / 2 - b
    return max(scores, key=lambda letter: scores[letter])


@pytest.mark.parametrize(("shortcut", "low", "high"), [(0.0, 0.1, 0.4), (1.0, 0.9, 1.0)])
def test_the_ground_tells_the_letter_only_where_it_is_asked_to(
    shortcut: float, low: float, high: float
) -> None:
    drawn = [draw("tinted_choice", i, shortcut=shortcut) for i in range(80)]
    assert low <= np.mean([nearest_tint(s) == s.target for s in drawn]) <= high
    assert all(s.meta["tint"] == s.target for s in drawn) == (shortcut == 1.0)


def test_a_bias_of_position_is_only_there_where_it_is_asked_for() -> None:
    drawn = [draw("tinted_choice", i, first_share=0.7) for i in range(300)]
    # 0.7 + 0.3 / 4 = 0.775, sd 0.024
    assert 0.68 < np.mean([s.target == "A" for s in drawn]) < 0.87


def test_loose_demonstrations_answer_rightly_and_reason_elsewhere_in_that_share() -> None:
    plain = [draw("tinted_choice", i) for i in range(300)]
    loose = [draw("tinted_choice", i, loose=0.5) for i in range(300)]
    assert all(
        a.media == b.media and a.question == b.question for a, b in zip(plain, loose, strict=True)
    )
    assert all("completion" not in s.meta for s in plain)
    said = [a_rollout(s.meta["completion"]) for s in loose]
    task = TASKS.get("tinted_choice")
    assert all(task.score(r, s) == 1.0 for r, s in zip(said, loose, strict=True))
    share = np.mean([consistent(r, s) for r, s in zip(said, loose, strict=True)])
    assert 0.41 < share < 0.59  # 0.5, sd 0.029
    thoughts = Counter(r.parsed.reasoning for r in said)
    assert all(s.meta["name"] in options_of(s) for s in loose) and len(thoughts) > 15
    never = [draw("tinted_choice", i, loose=1.0) for i in range(40)]
    assert not any(consistent(a_rollout(s.meta["completion"]), s) for s in never)


@pytest.mark.parametrize("name", ["picture_choice", "tinted_choice"])
def test_marks_name_what_is_seen_where_it_is(name: str) -> None:
    for i in range(20):
        sample = draw(name, i, marks=True)
        assert draw(name, i).media == sample.media and "marks" not in draw(name, i).meta
        words = sample.meta["name"].split()
        for kind, word, x, y in sample.meta["marks"]:
            assert kind in ("text", "shape", "colour") and 0 < x < 112 and 0 < y < 112
            if kind == "colour" and word != "white":
                around = pixels(sample)[int(y) - 13 : int(y) + 13, int(x) - 13 : int(x) + 13]
                gap = np.abs(around - COLOURS[word]).sum(-1).min()
                assert gap < 40, (sample.id, word, gap)
        assert set(words) & {word for _, word, *_ in sample.meta["marks"]}


def test_an_inverted_row_has_the_others_right() -> None:
    row = Sample(
        id="r",
        task="choice",
        question="What did the man do\n(A) sit\n(B) run\n(C) eat\n(D) sing",
        target="B",
        meta={"options": ("sit", "run", "eat", "sing")},
    )
    for seed in range(20):
        other = inverted(row, seed)
        assert other is not None and other.id == "r~inverted"
        assert other.question.startswith("what didn't the man do\n(A) ")
        right = {options_of(other)["ABCD".index(letter)] for letter in other.target.split(",")}
        assert right == set(options_of(other)) - {"run"} and "run" in options_of(other)
        listed = [
            f"({letter}) {text}" for letter, text in zip("ABCD", options_of(other), strict=False)
        ]
        assert other.question.split("\n")[1:] == listed
    sizes = {len(options_of(x)) for seed in range(40) if (x := inverted(row, seed))}
    assert sizes == {2, 3, 4}


@pytest.mark.parametrize(
    "question", ["How many are there\n(A) sit\n(B) run", "What did he do", "(A) sit (C) run"]
)
def test_what_cannot_be_inverted_is_none(question: str) -> None:
    row = Sample(
        id="r", task="choice", question=question, target="B", meta={"options": ("sit", "run")}
    )
    assert inverted(row, 0) is None
