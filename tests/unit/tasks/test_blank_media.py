"""Blank media keep their sizes, lengths and options, and show nothing."""

from __future__ import annotations

import dataclasses

import numpy as np

from mmrl.data.registry import open_data
from mmrl.media.image import open_image
from mmrl.media.plan import MediaBudget, plan_video
from mmrl.media.video import read_frames, read_video_header


def test_a_blank_picture_is_grey_of_the_same_size_and_all_else_stays() -> None:
    shown, hidden = (
        open_data({"task": "digit_box", "blank": b}, "train", 3)[5] for b in (False, True)
    )
    picture = np.asarray(open_image(hidden.media[0]))
    assert picture.shape == np.asarray(open_image(shown.media[0])).shape == (112, 112, 3)
    assert (picture == 128).all()
    assert dataclasses.replace(hidden, media=shown.media) == shown


def test_a_blank_clip_keeps_its_frames_rate_and_budget() -> None:
    shown, hidden = (
        open_data({"task": "digit_span", "blank": b}, "test", 0)[1] for b in (False, True)
    )
    heads = [read_video_header(s.media[0]) for s in (shown, hidden)]
    assert heads[0].num_frames == heads[1].num_frames == 40
    assert heads[0].fps == heads[1].fps
    assert hidden.media[0].options == shown.media[0].options
    plans = [plan_video(h, MediaBudget(**shown.media[0].options)) for h in heads]
    assert plans[0] == plans[1]
    frames = read_frames(hidden.media[0], plans[1]).frames.astype(int)
    assert frames.max() - frames.min() <= 4  # the codec moves flat colours by a few levels


def test_blank_holds_for_a_limited_entry_too() -> None:
    view = open_data({"task": "digit_box", "blank": True, "limit": 2}, "train", 0)
    assert view.size == 2
    assert (np.asarray(open_image(view[1].media[0])) == 128).all()
