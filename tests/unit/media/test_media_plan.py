import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrl.errors import ConfigError, MediaError
from mmrl.media.frames import round_by
from mmrl.media.header import VideoHeader
from mmrl.media.image import ImageHeader
from mmrl.media.plan import MediaBudget, plan_image, plan_video, smart_resize


def header(num_frames=250, fps=25.0, size=(640, 272), **fields):
    return VideoHeader(
        num_frames=num_frames, fps=fps, duration=num_frames / fps, size=size, **fields
    )


def test_smart_resize_by_hand():
    # 480/28 = 17.14 -> 17 * 28, 640/28 = 22.86 -> 23 * 28
    assert smart_resize(480, 640, 28) == (476, 644)
    # 307200 px into 50176: shrink by 2.4744; 193.99 -> 6 * 28, 258.65 -> 9 * 28
    assert smart_resize(480, 640, 28, 3136, 50176) == (168, 252)
    # enlarge 10x10 to at least 3136
    assert smart_resize(10, 10, 28) == (56, 56)


@settings(max_examples=400, deadline=None)
@given(
    st.integers(1, 4000),
    st.integers(1, 4000),
    st.sampled_from([14, 16, 28, 32]),
    st.integers(1, 2000),
    st.integers(1, 8),
)
def test_smart_resize_keeps_its_bounds(height, width, factor, tokens, low):
    if max(height, width) > 200 * min(height, width):
        with pytest.raises(MediaError) as caught:
            smart_resize(height, width, factor)
        assert caught.value.reason == "aspect_ratio"
        return
    least, most = min(low, tokens) * factor**2, max(low, tokens) * factor**2
    high, wide = smart_resize(height, width, factor, least, most)
    assert high % factor == 0 and wide % factor == 0
    assert high >= factor and wide >= factor
    rounded = max(factor, round_by(height, factor)) * max(factor, round_by(width, factor))
    if rounded >= least:
        assert high * wide <= most
    else:
        assert high * wide >= least


def test_image_plan_and_fixed_size():
    head = ImageHeader(size=(640, 480), orientation=1, mode="RGB", format="PNG")
    plan = plan_image(head, MediaBudget(), 28)
    assert plan.original_size == (640, 480) and plan.processed_size == (644, 476)
    fixed = plan_image(head, MediaBudget(resized_height=100, resized_width=57), 28)
    assert fixed.processed_size == (56, 112)


def test_video_plan_by_hand():
    plan = plan_video(header(), MediaBudget(num_frames=6), 28, 2)
    assert plan.indices == (0, 50, 100, 149, 199, 249)  # 49.8 apart
    assert plan.seconds == pytest.approx((0, 2.0, 4.0, 5.96, 7.96, 9.96))
    # 272/28 = 9.71 -> 280, 640/28 = 22.86 -> 644
    assert plan.processed_size == (644, 280)
    assert plan.sample_fps == pytest.approx(6 / 250 * 25)


def test_span_cuts_the_clip():
    plan = plan_video(header(), MediaBudget(num_frames=4), 28, 2, span=(2.0, 4.0))
    assert plan.indices == (50, 67, 83, 100)
    assert plan.sample_fps == pytest.approx(4 / 51 * 25)


@settings(max_examples=300, deadline=None)
@given(
    st.integers(1, 5000),
    st.integers(1, 4000),
    st.floats(0.005, 1.0),
    st.integers(1, 40000),
    st.sampled_from(["fps", "uniform", "shuffled"]),
    st.sampled_from([(28, 2), (32, 2), (14, 1)]),
)
def test_total_pixels_holds_always(num_frames, width, ratio, tokens, strategy, factors):
    factor, patch = factors
    size = (width, max(1, int(width * ratio)))
    if size[0] > 200 * size[1]:
        return
    budget = MediaBudget(total_pixels=tokens * factor**2, strategy=strategy, max_frames=256)
    plan = plan_video(header(num_frames, size=size), budget, factor, patch)
    wide, high = plan.processed_size
    assert len(plan.indices) % patch == 0
    assert len(plan.indices) / patch * wide * high <= budget.total_pixels
    assert len(plan.seconds) == len(plan.indices)
    assert all(0 <= i < num_frames for i in plan.indices)


def test_total_drops_frames_before_pixels():
    # a frame keeps at least 128 tokens: 280 tokens hold two temporal patches, not ten
    budget = MediaBudget(num_frames=20, total_pixels=280 * 28**2)
    plan = plan_video(header(size=(320, 240)), budget, 28, 2)
    wide, high = plan.processed_size
    assert wide * high // 28**2 >= 120
    assert len(plan.indices) == 4


def test_total_below_one_token_is_refused():
    with pytest.raises(ConfigError, match="less than one visual token"):
        plan_video(header(), MediaBudget(total_pixels=100), 28, 2)


def test_spacing_by_seconds_follows_timestamps():
    times = (0.0, 0.1, 0.2, 0.3, 2.0, 3.0)
    head = header(6, 2.0, timestamps=times)
    by_index = plan_video(head, MediaBudget(num_frames=4), 28, 2)
    assert by_index.indices == (0, 2, 3, 5)
    assert by_index.seconds == (0.0, 0.2, 0.3, 3.0)  # told times are true either way
    by_time = plan_video(head, MediaBudget(num_frames=4, spacing="seconds"), 28, 2)
    assert by_time.indices == (0, 3, 4, 5)
    span = plan_video(head, MediaBudget(num_frames=2, spacing="seconds"), 28, 2, span=(0.25, 2.5))
    assert span.indices == (3, 4)


def test_shuffled_frames_are_told_ordered_seconds():
    straight = plan_video(header(), MediaBudget(num_frames=8), 28, 2)
    mixed = plan_video(header(), MediaBudget(num_frames=8, strategy="shuffled"), 28, 2)
    assert sorted(mixed.indices) == list(straight.indices) and mixed.indices != straight.indices
    assert mixed.seconds == straight.seconds
    assert mixed.processed_size == straight.processed_size


def test_short_clip_repeats_its_last_frame():
    plan = plan_video(header(1), MediaBudget(), 28, 2)
    assert plan.indices == (0, 0)
    assert plan_video(header(1), MediaBudget(), 28, 1).indices == (0,)


def test_scenes_need_cuts_but_not_for_their_size():
    budget = MediaBudget(num_frames=4, strategy="scenes")
    with pytest.raises(ConfigError, match="needs the cuts"):
        plan_video(header(), budget, 28, 2)
    plan = plan_video(header(), budget, 28, 2, cuts=(30, 137, 187))
    assert plan.indices == (15, 83, 162, 218)
    assert plan.processed_size == plan_video(header(), MediaBudget(num_frames=4)).processed_size


def test_override_replaces_and_refuses():
    base = MediaBudget(num_frames=8, max_pixels=1000)
    assert base.override({}) is base
    assert base.override({"max_pixels": 500}).max_pixels == 500
    by_rate = base.override({"fps": 4.0})
    assert by_rate.fps == 4.0 and by_rate.num_frames is None
    with pytest.raises(ConfigError, match=r"max_pixel. is not known\. Did you mean"):
        base.override({"max_pixel": 3})
    with pytest.raises(ConfigError, match="exclude each other"):
        base.override({"fps": 1.0, "num_frames": 4})


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"fps": 0}, "fps = 0"),
        ({"min_frames": 9, "max_frames": 8}, "min_frames = 9"),
        ({"min_pixels": 9, "max_pixels": 8}, "exceeds"),
        ({"strategy": "unifrom"}, 'Did you mean "uniform"'),
        ({"resized_width": 9}, "go together"),
    ],
)
def test_impossible_budgets_are_refused_in_words(fields, text):
    with pytest.raises(ConfigError, match=text):
        MediaBudget(**fields)
