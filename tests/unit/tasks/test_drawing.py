"""Masks, pasting and boxes by hand; collages keep their promises."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from mmrl.errors import ConfigError
from mmrl.tasks.clips import NUM_FRAMES, Pace, draw_clip
from mmrl.tasks.collage import Difficulty, draw_collage
from mmrl.tasks.drawing import (
    SHAPES,
    digit_mask,
    free_spot,
    number_text,
    paste,
    png_bytes,
    shape_mask,
    tight_box,
)
from mmrl.tasks.grounding import box_answer, cell_of, to_norm_100
from mmrl.tasks.temporal import span_answer


def test_tight_box_by_hand() -> None:
    mask = np.zeros((5, 6), np.float32)
    mask[1:3, 2:5] = 0.5
    mask[4, 0] = 0.34  # below INK_LEVEL
    assert tight_box(mask, 10, 20) == (12.0, 21.0, 15.0, 23.0)


def test_paste_blends_and_clips() -> None:
    canvas = np.full((2, 2, 3), 100.0, np.float32)
    mask = np.array([[1.0, 0.5], [0.0, 1.0]], np.float32)
    paste(canvas, mask, 1, 0, np.array([200.0, 0.0, 100.0], np.float32))
    assert canvas[0, 1].tolist() == [200.0, 0.0, 100.0]
    assert canvas[0, 0].tolist() == [100.0] * 3 and canvas[1, 1].tolist() == [100.0] * 3
    paste(canvas, mask, -1, 0, np.array([200.0, 0.0, 100.0], np.float32))
    assert canvas[0, 0].tolist() == [150.0, 50.0, 100.0]  # half way
    before = canvas.copy()
    paste(canvas, mask, 5, 5, np.zeros(3, np.float32))
    assert (canvas == before).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_fill_their_box(shape: str) -> None:
    x1, y1, x2, y2 = tight_box(shape_mask(shape, 30, 40), 0, 0)
    assert x1 <= 1 and y1 <= 3 and x2 >= 29 and y2 >= 39


def test_unknown_shape_is_named() -> None:
    with pytest.raises(ConfigError, match=r'no shape "cirle"\. Did you mean "circle"'):
        shape_mask("cirle", 8, 8)


def test_free_spot_keeps_off_what_is_taken() -> None:
    rng = np.random.default_rng(0)
    assert free_spot(rng, 50, 50, 100, [(0, 0, 100, 100)]) is None
    for _ in range(50):
        spot = free_spot(rng, 20, 20, 64, [(20, 0, 64, 64)])
        if spot is not None:
            assert spot[0] == 0 or spot[0] + 20 <= 20


def test_png_keeps_the_pixels() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (9, 7, 3)).astype(np.uint8)
    assert (np.asarray(Image.open(io.BytesIO(png_bytes(picture)))) == picture).all()


@pytest.mark.parametrize("kind", ["digit", "letter", "shape"])
def test_things_lie_inside_and_apart_and_one_alone_has_the_name(kind: str) -> None:
    name = {"digit": "7", "letter": "K", "shape": "ring"}[kind]
    rng = np.random.default_rng(3)
    crowded = Difficulty(others=(1, 3))
    for _ in range(25):
        picture, wanted, others = draw_collage(rng, "train", kind, name, crowded)
        assert picture.shape == (112, 112, 3) and picture.dtype == np.uint8
        assert wanted.name == name and all(o.name != name for o in others)
        for box in (wanted.box, *(o.box for o in others)):
            assert 1 <= box[0] < box[2] <= 112 and 1 <= box[1] < box[3] <= 112
        a = wanted.box
        for b in (o.box for o in others):
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def test_ink_is_where_the_box_says() -> None:
    """Without noise, levels far off the ground lie inside the box and reach its four edges."""
    still = Difficulty(others=(0, 0), shapes=(0, 0), contrast=(120, 160), noise=0)
    rng = np.random.default_rng(4)
    for _ in range(10):
        picture, wanted, _ = draw_collage(rng, "train", "digit", "3", still)
        grey = picture.astype(float).mean(2)
        ground = np.median(grey)
        off = np.abs(grey - ground) > 60
        ys, xs = np.nonzero(off)
        x1, y1, x2, y2 = wanted.box
        assert abs(xs.min() - x1) <= 3 and abs(xs.max() + 1 - x2) <= 3
        assert abs(ys.min() - y1) <= 3 and abs(ys.max() + 1 - y2) <= 3


def test_norm_100_and_cells_by_hand() -> None:
    assert to_norm_100((0.0, 56.0, 28.0, 112.0)) == (0, 50, 25, 99)  # 100 is held at 99
    assert cell_of((0, 0, 20, 20)) == (1, 1)
    assert cell_of((40, 0, 60, 10)) == (1, 3)  # the centre 50 opens the third column
    assert cell_of((90, 90, 99, 99)) == (4, 4)
    assert (
        box_answer((12, 34, 56, 78)) == "<think>row 3 col 2</think><answer>[12,34,56,78]</answer>"
    )


def test_span_answer_by_hand() -> None:
    assert span_answer((0.4, 3.0)) == "<think>sec 0 to 3</think><answer>[0.4,3.0]</answer>"
    assert span_answer((1.25, 2.5)).endswith("[1.25,2.5]</answer>")


def test_number_text_reads_back() -> None:
    assert number_text(3.0) == "3" and number_text(-0.1) == "-0.1"
    for value in (1 / 3, 1e-7, 123456789.125):
        assert float(number_text(value)) == value


def test_clip_shows_the_digit_in_its_span_only() -> None:
    pace = Pace(others=(0, 0), contrast=(120, 160))
    for seed in range(5):
        clip, (start, end) = draw_clip(np.random.default_rng(seed), "train", 7, pace)
        assert clip.shape == (NUM_FRAMES, 56, 56, 3)
        bare = clip[0] if start > 0 else clip[-1]
        changed = [bool((np.abs(f.astype(int) - bare) > 40).any()) for f in clip]
        shown = [t for t, seen in enumerate(changed) if seen]
        if start == 0 and end == NUM_FRAMES / 10:
            continue
        assert shown == list(range(round(start * 10), round(end * 10)))


def test_asked_frames_equal_those_of_the_whole_clip() -> None:
    whole, span = draw_clip(np.random.default_rng(1), "train", 2, Pace())
    some, same = draw_clip(np.random.default_rng(1), "train", 2, Pace(), frames=(0, 13, 39))
    assert (some == whole[[0, 13, 39]]).all() and span == same


def test_digit_masks_come_from_their_split() -> None:
    rng = np.random.default_rng(0)
    assert not (
        {digit_mask(rng, "train", 4, 8, 8).tobytes() for _ in range(60)}
        & {digit_mask(rng, "test", 4, 8, 8).tobytes() for _ in range(60)}
    )
