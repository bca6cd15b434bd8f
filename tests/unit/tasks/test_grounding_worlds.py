"""Screens, many boxes, points and counts: what is asked is there, once, and in its place."""

from __future__ import annotations

import io
import re
from collections import Counter

import numpy as np
import pytest
from builders import CLOCK, a_rollout
from PIL import Image

from mmrl.errors import ConfigError
from mmrl.parse.boxes import box_iou
from mmrl.parse.points import in_box, parse_points
from mmrl.tasks.base import TASKS
from mmrl.tasks.clips import Pace, draw_shape_clip
from mmrl.tasks.drawing import COLOURS
from mmrl.tasks.grounding import cell_of, point_answer
from mmrl.tasks.gui_icons import ICONS, WORDS, icon_mask, word_mask
from mmrl.tasks.gui_layout import drawn_layout, real_layouts
from mmrl.tasks.gui_tiny import arrange, split_of
from mmrl.types import Sample


def draw(name: str, index: int, split: str = "train", **options: object) -> Sample:
    world = TASKS.get(name).world
    assert world is not None
    return world(index, split=split, seed=0, **options)


def picture(sample: Sample) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(sample.media[0].data or b"")))


def test_the_gold_of_a_tiny_screen_is_short_and_clicks_the_element() -> None:
    for index in range(60):
        sample = draw("gui_point", index, marks=True)
        gold = TASKS.get("gui_point").gold(sample)
        found = re.fullmatch(
            r"<think>row ([1-6]) col ([1-6])</think><answer>\[(\d+),(\d+)\]</answer>", gold
        )
        assert found is not None
        row, col, x, y = map(int, found.groups())
        assert in_box((x, y), sample.target)
        assert (min(5, x * 6 // 100) + 1, min(5, y * 6 // 100) + 1) == (col, row)
        texts = [m for m in sample.meta["marks"] if m[0] == "text"]
        words = Counter(m[1] for m in texts)
        assert words[sample.meta["name"]] == 1 and set(words) <= set(WORDS)
        assert 3 <= len(texts) <= 8
        cells = {(int(m[2] // 28), int(m[3] // 28)) for m in texts}
        assert len(cells) == len(texts)  # one element a cell


def test_words_and_places_of_tiny_screens_are_even() -> None:
    samples = [draw("gui_point", i, noise=0.0) for i in range(640)]
    words = Counter(s.meta["name"] for s in samples)
    assert set(words) == set(WORDS) and max(words.values()) < 75  # 40 expected, 5.7 sd
    cells = Counter(cell_of(s.target, 6) for s in samples)
    assert len(cells) == 36 and max(cells.values()) < 42  # 18 expected, 5.7 sd


def test_no_arrangement_is_in_two_splits() -> None:
    rng = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        for _ in range(20):
            made = arrange(rng, split, 4)
            assert split_of(made) == split == split_of(made[::-1])
    train, val, test = (real_layouts(s) for s in ("train", "val", "test"))
    assert (len(train), len(val), len(test)) == (42, 6, 12)
    assert not {repr(x) for x in train} & {repr(x) for x in (*val, *test)}
    window = drawn_layout(rng, "test")
    assert split_of(tuple((e.text, int(e.box[1])) for e in window)) == "test"


def test_every_icon_and_word_is_another_picture() -> None:
    for masks in (
        [icon_mask(name, 24) for name in ICONS],
        [word_mask(word, 24, 14) for word in WORDS],
    ):
        apart = [np.abs(a - b).mean() for i, a in enumerate(masks) for b in masks[:i]]
        assert min(apart) > 0.04
        assert all(0.05 < mask.mean() < 0.8 and mask.max() <= 1.0 for mask in masks)
    with pytest.raises(ValueError, match='no icon "nothing"'):
        icon_mask("nothing", 20)


@pytest.mark.parametrize("name", ["many_box", "grounded_count"])
def test_all_things_of_a_kind_are_in_the_answer(name: str) -> None:
    counts: Counter[int] = Counter()
    for index in range(90):
        sample = draw(name, index, marks=True)
        boxes = sample.target if name == "many_box" else sample.meta["boxes"]
        counts[len(boxes)] += 1
        kind = [m for m in sample.meta["marks"] if m[0] == "shape"]
        wanted = [m for m in kind if m[1] == sample.meta["name"]]
        assert len(wanted) == len(boxes)
        for mark in wanted:  # in pixels of 112
            point = (mark[2] / 1.12, mark[3] / 1.12)
            assert sum(in_box(point, box) for box in boxes) == 1
        assert boxes == tuple(sorted(boxes, key=lambda b: (*cell_of(b), b[0])))
        assert all(box_iou(a, b) == 0 for i, a in enumerate(boxes) for b in boxes[:i])
        if name == "grounded_count":
            assert sample.target == len(boxes)
            assert sample.question.startswith("count the ")
    assert set(counts) == {1, 2, 3} and min(counts.values()) >= 16  # 30 expected


def test_many_box_names_a_cell_for_each_box() -> None:
    sample = draw("many_box", 0)
    assert sample.question == "boxes of all crosses"
    gold = TASKS.get("many_box").gold(sample)
    assert gold.startswith("<think>3: row 1 col 3, row 2 col 3, row 4 col 2</think><answer>[[")


def test_a_point_is_asked_for_by_colour_and_shape_together() -> None:
    alone = 0
    for index in range(80):
        sample = draw("shape_point", index, others=(3, 3), noise=0.0, marks=True)
        _, _, _, colour, shape = sample.question.split()
        marks = sample.meta["marks"]
        things = list(zip(marks[1::2], marks[0::2], strict=True))
        named = [(c[1], s[1]) for c, s in things]
        assert named.count((colour, shape)) == 1 and len(named) == 4
        alone += sum(c == colour or s == shape for c, s in named) > 1
        if shape != "ring":
            x = round((sample.target[0] + sample.target[2]) / 2 * 1.12)
            y = round((sample.target[1] + sample.target[3]) / 2 * 1.12)
            ink = picture(sample)[min(111, y), min(111, x)].astype(int)
            assert np.abs(ink - np.array(COLOURS[colour])).max() <= 2
    assert alone > 40  # mostly a thing of its colour or shape lies beside


def test_screens_ask_for_what_can_be_read_once() -> None:
    for source in ("drawn", "real"):
        for index in range(25):
            sample = draw("gui_screen", index, layouts=(source,), marks=True)
            assert sample.meta["layout"] == source
            named = re.fullmatch(r'Click the (button|text|icon) "(.+)"\.', sample.question)
            assert named is not None
            texts = [m for m in sample.meta["marks"] if m[0] == "text"]
            (mark,) = [m for m in texts if m[1] == named[2]]
            assert in_box((mark[2], mark[3]), sample.target)
            assert picture(sample).shape == (504, 280, 3)
            left, top, right, bottom = (int(v) for v in sample.target)
            assert picture(sample)[top:bottom, left:right].std() > 5  # something is drawn there
    with pytest.raises(ConfigError, match=r'no layouts "reel"\. Did you mean "real"'):
        draw("gui_screen", 0, layouts=("reel",))


def test_a_point_is_rounded_and_stays_inside() -> None:
    assert point_answer((50.5, 29.6), 6) == "<think>row 2 col 4</think><answer>[50,30]</answer>"
    assert parse_points(point_answer((99.9, 99.9))) == [(99.0, 99.0)]


def test_a_shape_is_seen_exactly_in_its_span() -> None:
    for index in range(8):
        rng = np.random.default_rng(index)
        pace = Pace(others=(0, 2), side=(20, 24))
        clip, (start, end) = draw_shape_clip(rng, "square", "red", pace)
        red = (np.abs(clip.astype(int) - np.array(COLOURS["red"])).max(-1) <= 2).sum((1, 2)) > 100
        assert red.any() and (np.flatnonzero(red)[[0, -1]] == (start * 10, end * 10 - 1)).all()
    sample = draw("shape_span", 3)
    assert sample.question == f"when is the {sample.meta['colour']} {sample.meta['name']} seen"
    task = TASKS.get("shape_span")
    start, end = sample.target
    half = a_rollout(f"<think>x</think><answer>[{start},{(start + end) / 2 + 0.01}]</answer>")
    assert [m(half, sample) for m in task.measures.values()] == [1.0, 0.0]
    whole = a_rollout(task.gold(sample))
    assert [m(whole, sample) for m in task.measures.values()] == [1.0, 1.0]


def test_measures_of_grounded_counts() -> None:
    task, sample = TASKS.get("grounded_count"), draw("grounded_count", 4)
    assert sample.target == 3

    def measured(text: str) -> tuple[float | None, float | None, float | None]:
        rollout = a_rollout(text)
        agree, overlap = (task.measures[k](rollout, sample) for k in ("agreement", "union_iou"))
        return task.score(rollout, sample), agree, overlap

    assert measured(task.gold(sample)) == (1.0, 1.0, pytest.approx(1.0))
    one = "[{},{},{},{}]".format(*sample.meta["boxes"][0])
    assert measured(f"<think>{one} {one} {one}</think><answer>3</answer>")[:2] == (1.0, 0.0)
    areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in sample.meta["boxes"]]
    overlap = measured(f"<think>{one}</think><answer>1</answer>")
    assert overlap == (0.0, 0.0, pytest.approx(areas[0] / sum(areas)))
    for reward in task.rewards:
        assert reward(a_rollout(task.gold(sample)), sample, {}, CLOCK) == 1.0
