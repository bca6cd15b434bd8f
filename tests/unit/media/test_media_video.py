import io
import json
import struct

import av
import numpy as np
import pytest

from mmrl.errors import MediaError
from mmrl.media.plan import MediaBudget, plan_video
from mmrl.media.readers import DecordReader, OpenCVReader, PyAVReader, readers_for
from mmrl.media.scenes import find_cuts
from mmrl.media.video import FallbackCount, read_frames, read_video_header, write_video
from mmrl.types import MediaRef

READABLE = {
    # frames, rate, (width, height) upright, rotation
    "bikes.mp4": (250, 25.0, (640, 272), 0),
    "nasa_13013.mp4": (390, 30000 / 1001, (480, 270), 0),
    "carphone_distorted.mp4": (120, 30000 / 1001, (176, 144), 0),
    "h264_10bits.mp4": (30, 30.0, (200, 200), 0),
    "h265_video.mp4": (10, 10.0, (128, 128), 0),
    "av1_video.mkv": (125, 25.0, (640, 360), 0),
    "bbb_432_433_vp8.webm": (24, 24.0, (1280, 720), 0),
    "decord_video_0.mov": (3, 30.0, (568, 320), 0),
    "decord_video_90.mov": (3, 30.0, (320, 568), 90),
    "decord_video_180.mov": (3, 30.0, (568, 320), 180),
    "mp4parse_video_rotation_90.mp4": (1, 24.0, (60, 100), 90),
    "decord_unordered.mov": (4, 32.0, (50, 50), 0),
    "1x1_video.mp4": (5, 1.0, (1, 1), 0),
    "mp4parse_h264_white_frame_sar_16_9.mp4": (1, 25.0, (640, 480), 0),
    "fire2_rot180_vfr.mp4": (25, 750000 / 71393, (1280, 720), 180),
}


@pytest.mark.parametrize("name", READABLE)
def test_header(clip, name):
    header = read_video_header(clip(name))
    frames, fps, size, rotation = READABLE[name]
    assert (header.num_frames, header.size, header.rotation) == (frames, size, rotation)
    assert header.fps == pytest.approx(fps)
    assert (header.timestamps is None) == (name != "fire2_rot180_vfr.mp4")


@pytest.mark.parametrize("name", READABLE)
def test_header_equals_a_full_decode(clip, name):
    header = read_video_header(clip(name))
    with av.open(str(clip(name).path)) as container:
        stream = container.streams.best("video")
        times = [float(f.pts * f.time_base) for f in container.decode(stream)]
    assert len(times) == header.num_frames
    told = [header.time_of(i) for i in range(header.num_frames)]
    assert np.abs(np.array(times) - times[0] - told).max() < 0.5 / header.fps


def test_times_equal_the_published_table(clip, data):
    table = json.loads((data / "nasa_13013.mp4.stream3.all_frames_info.json").read_text())
    header = read_video_header(clip("nasa_13013.mp4"))
    assert len(table) == header.num_frames
    for index, row in enumerate(table):
        assert header.time_of(index) == pytest.approx(float(row["pts_time"]), abs=1e-5)


def test_variable_rate_times_are_the_frames_own(clip):
    header = read_video_header(clip("fire2_rot180_vfr.mp4"))
    # sample table of the file: 9000, 8098, ... ticks of 1/90000 s
    assert header.timestamps[:8] == pytest.approx(
        (0, 0.1, 0.2, 0.3, 0.4, 0.5, 53098 / 90000, 61196 / 90000)
    )
    plan = plan_video(header, MediaBudget(num_frames=4, spacing="seconds"), 28, 2)
    assert plan.seconds == tuple(header.timestamps[i] for i in plan.indices)


@pytest.mark.parametrize("name", READABLE)
def test_readers_give_the_same_pictures(clip, name):
    ref = clip(name)
    header = read_video_header(ref)
    wanted = sorted({0, header.num_frames // 3, header.num_frames - 1})
    first = np.stack(list(PyAVReader().read(ref, header, wanted)))
    assert first.shape == (len(wanted), header.size[1], header.size[0], 3)
    agreed = 0
    for reader in (DecordReader(), OpenCVReader()):
        if (name, reader.name) == ("h265_video.mp4", "decord"):
            continue  # seeks to wrong frames in this stream (test_media_qwen_equality.py)
        try:
            other = np.stack(list(reader.read(ref, header, wanted)))
        except MediaError as error:
            assert error.reason == "no_reader"
            continue
        agreed += 1
        if header.bits == 8:
            assert np.array_equal(first, other), reader.name
        else:
            assert np.abs(first.astype(int) - other).mean() < 5
    assert agreed >= (0 if name == "av1_video.mkv" else 1)


def test_seeking_gives_what_decoding_everything_gives(clip):
    for name in ("bikes.mp4", "nasa_13013.mp4", "bbb_432_433_vp8.webm", "h265_video.mp4"):
        ref = clip(name)
        header = read_video_header(ref)
        every = (
            {
                i: f.to_ndarray()
                for i, f in PyAVReader().frames(ref, header, range(0, 250, 1))
                if i % 37 == 0
            }
            if header.num_frames >= 250
            else {
                i: f.to_ndarray()
                for i, f in PyAVReader().frames(ref, header, range(header.num_frames))
            }
        )
        for index, frame in PyAVReader().frames(ref, header, sorted(every)):
            assert np.array_equal(frame.to_ndarray(), every[index]), (name, index)


def test_sparse_frames_do_not_decode_the_clip(clip, monkeypatch):
    import mmrl.media.readers as readers

    decoded = []
    sequence = readers._sequence

    def counted(*args):
        for index, frame in sequence(*args):
            decoded.append(index)
            yield index, frame

    monkeypatch.setattr(readers, "_sequence", counted)
    ref = clip("bikes.mp4")
    header = read_video_header(ref)  # keyframes at 0, 30, 76, 137, 187, 242
    got = [i for i, _ in PyAVReader().frames(ref, header, [1, 78, 243])]
    assert got == [1, 78, 243]
    assert len(decoded) < 20


def test_frames_of_a_plan_keep_its_order_and_repeats(clip):
    ref = clip("bikes.mp4")
    header = read_video_header(ref)
    mixed = plan_video(header, MediaBudget(num_frames=6, strategy="shuffled"), 28, 2)
    straight = plan_video(header, MediaBudget(num_frames=6), 28, 2)
    order = [straight.indices.index(i) for i in mixed.indices]
    ours = read_frames(ref, mixed, resized=True)
    assert ours.frames.shape == (6, 280, 644, 3)
    assert ours.seconds == straight.seconds
    assert np.array_equal(ours.frames, read_frames(ref, straight, resized=True).frames[order])
    single = clip("mp4parse_h264_white_frame_sar_16_9.mp4")
    twice = read_frames(single, plan_video(read_video_header(single), MediaBudget(), 28, 2))
    assert twice.frames.shape == (2, 480, 640, 3)
    assert (twice.frames == 255).all()


BROKEN = {
    "mp4parse_chunk_out_of_range.mp4": "container",
    "mp4parse_bipbop_nonfragment_header.mp4": "truncated",
    "mp4parse_zero_empty_stsc.mp4": "truncated",
    "mp4parse_sine-3s-xhe-aac-44khz-mono.mp4": "no_video",
    "NOTICE.md": "container",
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_clips_say_why(clip, name):
    with pytest.raises(MediaError, match=name) as caught:
        read_video_header(clip(name))
    assert caught.value.reason == BROKEN[name]


def damaged(data, name: str, change) -> MediaRef:
    return MediaRef(kind="video", data=change((data / name).read_bytes()))


@pytest.mark.parametrize(
    "name", ["bikes.mp4", "bbb_432_433_vp8.webm", "decord_video_90.mov", "fire2_rot180_vfr.mp4"]
)
def test_truncation_is_found_in_the_header(data, name):
    for share in (0.5, 0.98):
        ref = damaged(data, name, lambda b, s=share: b[: int(len(b) * s)])
        with pytest.raises(MediaError) as caught:
            read_video_header(ref)
        assert caught.value.reason in ("truncated", "container")


def test_damage_inside_is_refused_not_patched_up(data):
    def flip(whole: bytes) -> bytes:
        changed = bytearray(whole)
        for at in range(len(whole) // 2, len(whole) // 2 + 2000, 97):
            changed[at] ^= 0x55
        return bytes(changed)

    ref = damaged(data, "bikes.mp4", flip)
    header = read_video_header(ref)
    plan = plan_video(header, MediaBudget(num_frames=30), 28, 2)
    with pytest.raises(MediaError) as caught:
        read_frames(ref, plan)
    assert caught.value.reason == "corrupt"
    # and no other reader is asked to make up the missing parts
    count = FallbackCount()
    with pytest.raises(MediaError):
        read_frames(ref, plan, count=count)
    assert count.counts() == {}


@pytest.mark.parametrize(("start_s", "length_s"), [(0, 7.5), (5, 5.0), (2, 4.0)])
def test_a_clip_trimmed_by_its_edit_list_shows_only_what_is_left(
    data, clip, trim, start_s, length_s
):
    ref = MediaRef(kind="video", data=trim(start_s, length_s))
    header = read_video_header(ref)
    assert header.num_frames == pytest.approx(length_s * 25, abs=1)
    wanted = [0, header.num_frames // 2, header.num_frames - 1]
    first = round(start_s * 25)
    whole = clip("bikes.mp4")
    want = list(PyAVReader().read(whole, read_video_header(whole), [first + i for i in wanted]))
    got = list(PyAVReader().read(ref, header, wanted))
    assert np.array_equal(np.stack(got), np.stack(want))


def test_over_reported_frames_are_refused(data):
    def claim(whole: bytes) -> bytes:
        at = whole.index(b"stsz") + 12  # size of each, 4 bytes, then the number of frames
        (real,) = struct.unpack(">I", whole[at : at + 4])
        assert real == 120
        return whole[:at] + struct.pack(">I", 1200) + whole[at + 4 :]

    ref = damaged(data, "carphone_distorted.mp4", claim)
    with pytest.raises(MediaError):
        header = read_video_header(ref)
        read_frames(ref, plan_video(header, MediaBudget(num_frames=8), 28, 2))


def test_fallback_is_counted(clip):
    class Unable:
        name = "unable"

        def read(self, ref, header, indices, /):
            raise MediaError("cannot", reason="no_reader")

    ref, count = clip("carphone_distorted.mp4"), FallbackCount()
    header = read_video_header(ref)
    plan = plan_video(header, MediaBudget(num_frames=2), 28, 2)
    got = read_frames(ref, plan, readers=(Unable(), DecordReader()), count=count)
    assert got.reader == "decord" and count.counts() == {"unable->decord": 1}
    assert np.array_equal(got.frames, read_frames(ref, plan).frames)
    with pytest.raises(MediaError, match=r"no reader can: cannot") as caught:
        read_frames(ref, plan, readers=(Unable(),), count=count)
    assert caught.value.reason == "no_reader"


def test_readers_are_chosen_by_file(clip):
    assert next(r.name for r in readers_for(read_video_header(clip("bikes.mp4")))) == "pyav"
    assert next(r.name for r in readers_for(read_video_header(clip("h264_10bits.mp4")))) == "decord"


@pytest.mark.parametrize("fourcc", ["MJPG", "cvid", "XVID"])
def test_old_avi_codecs_are_read(tmp_path, fourcc):
    frames = np.zeros((12, 32, 48, 3), dtype=np.uint8)
    for i, frame in enumerate(frames):
        frame[8:24, i : i + 16] = (255, 0, 0)
    path = tmp_path / "a.avi"
    codec = {"MJPG": "mjpeg", "cvid": "cinepak", "XVID": "mpeg4"}[fourcc]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=6)
        stream.width, stream.height = 48, 32
        stream.pix_fmt = {"MJPG": "yuvj420p", "cvid": "rgb24", "XVID": "yuv420p"}[fourcc]
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode())
    ref = MediaRef(kind="video", path=path)
    header = read_video_header(ref)
    assert (header.num_frames, header.size) == (12, (48, 32))
    plan = plan_video(header, MediaBudget(num_frames=4), 28, 2)
    seen = read_frames(ref, plan).frames
    assert np.abs(seen.astype(int) - frames[list(plan.indices)]).mean() < 12
    by_cv = np.stack(list(OpenCVReader().read(ref, header, list(plan.indices))))
    assert np.abs(by_cv.astype(int) - seen).mean() < 3


def test_written_clips_are_equal_bytes_and_read_back(tmp_path):
    frames = np.zeros((10, 40, 56, 3), dtype=np.uint8)
    for i, frame in enumerate(frames):
        frame[10:30, 4 * i : 4 * i + 16] = (250, 30, 10)
    once = write_video(frames, 5.0)
    assert once == write_video(frames, 5.0, tmp_path / "a.mp4")
    assert (tmp_path / "a.mp4").read_bytes() == once
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]
    ref = MediaRef(kind="video", data=once)
    header = read_video_header(ref)
    assert (header.num_frames, header.fps, header.size) == (10, 5.0, (56, 40))
    plan = plan_video(header, MediaBudget(num_frames=10), 28, 2)
    assert np.abs(read_frames(ref, plan).frames.astype(int) - frames).mean() < 4
    with pytest.raises(MediaError, match="even sides"):
        write_video(np.zeros((2, 3, 4, 3), dtype=np.uint8), 5.0)
    with pytest.raises(MediaError, match="F > 0"):
        write_video(np.zeros((0, 4, 4, 3), dtype=np.uint8), 5.0)


def test_hard_cuts_are_found(clip):
    # seen by eye: road, man, taxi sign, cyclist, street, then bicycles
    ref = clip("bikes.mp4")
    assert find_cuts(ref, read_video_header(ref)) == (30, 76, 137, 187, 242)
    ref = clip("carphone_distorted.mp4")
    assert find_cuts(ref, read_video_header(ref)) == ()


def test_odd_sizes_survive(tmp_path):
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as container:
        stream = container.add_stream("ffv1", rate=8)
        stream.width, stream.height, stream.pix_fmt = 37, 23, "bgr0"
        picture = np.random.default_rng(0).integers(0, 255, (23, 37, 3), dtype=np.uint8)
        for _ in range(4):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode())
    ref = MediaRef(kind="video", data=buffer.getvalue())
    header = read_video_header(ref)
    assert header.size == (37, 23)
    got = read_frames(ref, plan_video(header, MediaBudget(num_frames=2), 28, 2)).frames
    assert np.array_equal(got[0], picture)
