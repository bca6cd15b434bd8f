"""Indices, sizes and pixels equal those of the installed qwen_vl_utils, which reads with decord."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrl.media.image import open_image, read_image_header, resize_image
from mmrl.media.plan import MediaBudget, plan_image, plan_video, smart_resize
from mmrl.media.readers import PyAVReader
from mmrl.media.video import read_frames, read_video_header
from mmrl.torchvision_shim import ensure_torchvision
from mmrl.types import MediaRef

os.environ.setdefault("FORCE_QWENVL_VIDEO_READER", "decord")
ensure_torchvision()
pytest.importorskip("decord")
vision = pytest.importorskip("qwen_vl_utils.vision_process")

CLIPS = (
    "bikes.mp4",
    "nasa_13013.mp4",
    "carphone_distorted.mp4",
    "h264_10bits.mp4",
    "h265_video.mp4",
    "bbb_432_433_vp8.webm",
    "decord_video_0.mov",
    "decord_video_90.mov",
    "decord_video_180.mov",
    "decord_unordered.mov",
    "fire2_rot180_vfr.mp4",
)
PICTURES = ("BloodImage_00000.jpg", "BloodImage_00004.jpg", "1033.jpg", "10_dot_line.png")
DECORD_SEEKS_WRONG = {"h265_video.mp4"}
"""decord gives frames 3 and 6 of this clip other pixels alone than when it reads all ten."""

VIDEO_OPTIONS = (
    {"min_pixels": 16 * 28 * 28, "max_pixels": 64 * 28 * 28},
    {"nframes": 6, "max_pixels": 30000, "min_pixels": 3136},
    {"fps": 5.0, "max_frames": 9, "min_frames": 2, "max_pixels": 100352, "min_pixels": 784},
    {"fps": 1.0, "min_frames": 7, "total_pixels": 600 * 28 * 28, "min_pixels": 16 * 28 * 28},
)
SPANS = ((0.4, 2.1), (None, 1.9), (0.33, None))


def budget_of(options: dict) -> MediaBudget:
    ours = {k: v for k, v in options.items() if not k.startswith("video_")}
    if "nframes" in ours:
        ours["num_frames"] = ours.pop("nframes")
    return MediaBudget(**ours)


def span_of(options: dict) -> tuple[float, float] | None:
    if not options.keys() & {"video_start", "video_end"}:
        return None
    return options.get("video_start", 0.0), options.get("video_end", float("inf"))


def theirs(path, options: dict, patch: int = 14):
    """(indices, (width, height), pixels [F, H, W, 3], sample_fps) of qwen_vl_utils."""
    (video, metadata), sample_fps = vision.fetch_video(
        {"video": str(path), **options},
        image_patch_size=patch,
        return_video_sample_fps=True,
        return_video_metadata=True,
    )
    pixels = video.permute(0, 2, 3, 1).numpy()
    size = (pixels.shape[2], pixels.shape[1])
    return tuple(metadata["frames_indices"]), size, pixels, sample_fps


def assert_same_pixels(ours: np.ndarray, other: np.ndarray) -> None:
    """Equal, but for one level where float32 rounding falls on the other side of a half."""
    apart = np.abs(ours.astype(np.int16) - other.astype(np.int16))
    assert apart.max() <= 1
    assert (apart > 0).mean() < 1e-3


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("patch", [14, 16])
def test_clip_by_default(data, name, patch):
    if patch == 16 and name == "fire2_rot180_vfr.mp4":
        pytest.skip("large, and the patch is tested on the others")
    ref = MediaRef(kind="video", path=data / name)
    indices, size, pixels, sample_fps = theirs(ref.path, {}, patch)
    plan = plan_video(read_video_header(ref), MediaBudget(), patch * 2, 2)
    assert plan.indices == indices
    assert plan.processed_size == size
    assert plan.sample_fps == pytest.approx(sample_fps)
    if name not in DECORD_SEEKS_WRONG:
        assert_same_pixels(read_frames(ref, plan, resized=True).frames, pixels)


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("options", VIDEO_OPTIONS, ids=["pixels", "nframes", "fps", "total"])
def test_clip_options(data, name, options):
    header = read_video_header(MediaRef(kind="video", path=data / name))
    if header.num_frames < options.get("nframes", 2):
        with pytest.raises(ValueError, match="nframes should in interval"):
            vision.smart_nframes(options, header.num_frames, header.fps)
        return  # where it refuses, ours takes the frames there are (test_media_plan.py)
    indices, size, _, sample_fps = theirs(data / name, options)
    plan = plan_video(header, budget_of(options), 28, 2)
    assert (plan.indices, plan.processed_size) == (indices, size)
    assert plan.sample_fps == pytest.approx(sample_fps)


@pytest.mark.parametrize("name", ["bikes.mp4", "carphone_distorted.mp4", "fire2_rot180_vfr.mp4"])
@pytest.mark.parametrize("span", SPANS)
def test_spans(data, name, span):
    options = {"max_pixels": 50176, "min_pixels": 3136}
    for key, value in zip(("video_start", "video_end"), span, strict=True):
        if value is not None:
            options[key] = value
    indices, size, pixels, _ = theirs(data / name, options)
    ref = MediaRef(kind="video", path=data / name)
    plan = plan_video(read_video_header(ref), budget_of(options), 28, 2, span=span_of(options))
    assert (plan.indices, plan.processed_size) == (indices, size)
    assert_same_pixels(read_frames(ref, plan, resized=True).frames, pixels)


def test_where_decord_seeks_wrong_it_agrees_when_it_reads_everything(clip):
    import decord

    ref = clip("h265_video.mp4")
    every = decord.VideoReader(str(ref.path)).get_batch(list(range(10))).asnumpy()
    ours = np.stack(list(PyAVReader().read(ref, read_video_header(ref), [0, 3, 6, 9])))
    assert np.array_equal(ours, every[[0, 3, 6, 9]])


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize(
    "options",
    [{}, {"max_pixels": 100352}, {"min_pixels": 512 * 28 * 28}, {"resized_height": 90}],
    ids=["default", "max", "min", "fixed"],
)
@pytest.mark.parametrize("patch", [14, 16])
def test_pictures(data, name, options, patch):
    if "resized_height" in options:
        options = {**options, "resized_width": 200}
    ref = MediaRef(kind="image", path=data / name)
    want = vision.fetch_image({"image": str(ref.path), **options}, image_patch_size=patch)
    plan = plan_image(read_image_header(ref), MediaBudget(**options), patch * 2)
    assert plan.processed_size == want.size
    ours = resize_image(open_image(ref), plan.processed_size)
    assert np.array_equal(np.asarray(ours), np.asarray(want))


@settings(max_examples=500, deadline=None)
@given(
    st.integers(1, 5000),
    st.integers(1, 5000),
    st.sampled_from([28, 32]),
    st.none() | st.integers(1, 200),
    st.none() | st.integers(200, 20000),
)
def test_smart_resize(height, width, factor, low, high):
    least = None if low is None else low * factor**2
    most = None if high is None else high * factor**2 - 7
    if max(height, width) / min(height, width) > 200:
        return
    if least is not None and most is not None and most < least:
        return
    want = vision.smart_resize(height, width, factor, least, most)
    if min(want) > 0:
        assert smart_resize(height, width, factor, least, most) == want


@settings(max_examples=300, deadline=None)
@given(st.integers(2, 5000), st.floats(1.0, 120.0), st.data())
def test_frame_counts(total, fps, data):
    options = data.draw(
        st.fixed_dictionaries({"nframes": st.integers(2, total)})
        | st.fixed_dictionaries(
            {
                "fps": st.floats(0.1, 30.0),
                "min_frames": st.integers(1, 20),
                "max_frames": st.integers(20, 900),
            }
        )
    )
    try:
        want = vision.smart_nframes(options, total_frames=total, video_fps=fps)
    except ValueError:
        return
    from mmrl.media.frames import frame_count

    ours = frame_count(
        total,
        fps,
        fps=options.get("fps", 2.0),
        num_frames=options.get("nframes"),
        min_frames=options.get("min_frames", 4),
        max_frames=options.get("max_frames", 768),
        frame_factor=2,
    )
    assert ours == want
