import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrl.errors import MediaError
from mmrl.media import frames


def count(available, fps_of_clip=30.0, **changes):
    settings_ = {
        "fps": 2.0,
        "num_frames": None,
        "min_frames": 4,
        "max_frames": 768,
        "frame_factor": 2,
    }
    return frames.frame_count(available, fps_of_clip, **{**settings_, **changes})


def test_count_by_rate_by_hand():
    assert count(300) == 20  # 10 s at 2 a second
    assert count(310) == 20  # 20.67, down to a multiple of 2
    assert count(30) == 4  # 2 a second gives 2; the minimum is 4
    assert count(3) == 2  # the minimum is more than there are
    assert count(300, max_frames=9) == 8
    assert count(300, num_frames=7) == 8  # 3.5 pairs, ties to even: 4 pairs
    assert count(300, num_frames=5) == 4  # 2.5 pairs, ties to even: 2 pairs
    assert count(10, num_frames=64) == 10


def test_one_temporal_patch_is_always_filled():
    assert count(1) == 2
    assert count(1, frame_factor=1) == 1
    assert count(0 + 1, num_frames=1, frame_factor=4) == 4


def test_span_to_frames_by_hand():
    assert frames.span_to_frames(None, 100, 10.0) == (0, 99)
    assert frames.span_to_frames((1.05, 2.0), 100, 10.0) == (11, 20)
    assert frames.span_to_frames((-3.0, float("inf")), 100, 10.0) == (0, 99)
    with pytest.raises(MediaError, match=r"span 1\.01 to 1\.09 s of a clip of 10\.00 s") as caught:
        frames.span_to_frames((1.01, 1.09), 100, 10.0)
    assert caught.value.reason == "empty_span"
    with pytest.raises(MediaError):
        frames.span_to_frames((5.0, 4.0), 100, 10.0)


def test_span_by_time_uses_the_frames_own_times():
    times = [0.0, 0.1, 0.9, 1.0, 5.0]
    assert frames.span_to_frames_by_time((0.5, 1.0), times) == (2, 3)
    assert frames.span_to_frames_by_time((0.0, 9.0), times) == (0, 4)
    with pytest.raises(MediaError):
        frames.span_to_frames_by_time((2.0, 4.0), times)


def test_spread_by_hand():
    assert frames.spread(0, 24, 4) == (0, 8, 16, 24)
    assert frames.spread(0, 9, 4) == (0, 3, 6, 9)
    assert frames.spread(0, 5, 3) == (0, 2, 5)  # 2.5 rounds to even
    assert frames.spread(7, 7, 1) == (7,)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 5000), st.integers(0, 20000), st.integers(1, 768))
def test_spread_equals_torch_linspace(start, length, num):
    import torch

    want = torch.linspace(start, start + length, num).round().long().tolist()
    assert list(frames.spread(start, start + length, num)) == want


def test_spread_in_time_takes_nearest_times():
    times = [0.0, 0.1, 0.2, 0.3, 2.0, 3.0]
    # goals 0, 1, 2, 3: 1.0 is nearer to 0.3 (0.7 away) than to 2.0
    assert frames.spread_in_time(times, 0, 5, 4) == (0, 3, 4, 5)
    assert frames.spread_in_time(times, 2, 2, 2) == (2, 2)


def test_spread_around_puts_half_inside_and_keeps_order():
    chosen = frames.spread_around((40, 49), 100, 8, 2)
    inside = [i for i in chosen if 40 <= i <= 49]
    assert len(chosen) == 8 and len(inside) == 4
    assert list(chosen) == sorted(chosen)
    # a span at the very start leaves nothing before it
    assert frames.spread_around((0, 9), 10, 4, 2) == (0, 3, 6, 9)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_spread_around_always_gives_count_frames_of_the_clip(data):
    total = data.draw(st.integers(4, 200))
    first = data.draw(st.integers(0, total - 1))
    last = data.draw(st.integers(first, total - 1))
    num = data.draw(st.integers(1, total // 2)) * 2
    chosen = frames.spread_around((first, last), total, num, 2)
    assert len(chosen) == num
    assert min(chosen) >= 0 and max(chosen) < total
    assert list(chosen) == sorted(chosen)


def test_scenes_each_get_a_frame():
    # scenes 0-9, 10-11, 12-99; three frames: the middle of each
    assert frames.spread_over_scenes((10, 12), 0, 99, 3) == (5, 11, 56)
    # a fourth goes to the longest
    assert frames.spread_over_scenes((10, 12), 0, 99, 4) == (5, 11, 34, 78)
    # more scenes than frames: the longest ones
    assert frames.spread_over_scenes((10, 12), 0, 99, 2) == (5, 56)


def test_shuffled_is_a_fixed_permutation_and_not_the_identity():
    for n in range(2, 40):
        order = tuple(range(n))
        mixed = frames.shuffled(order, seed=3)
        assert sorted(mixed) == list(order) and mixed != order
        assert mixed == frames.shuffled(order, seed=3)
    assert frames.shuffled((4, 4), 0) == (4, 4)
    many = {frames.shuffled(tuple(range(16)), seed) for seed in range(20)}
    assert len(many) == 20
    assert np.array(sorted(many)).shape == (20, 16)
