import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from mmrl.errors import MediaError
from mmrl.media.decode import decode, plan_from_json, plan_to_json
from mmrl.media.image import read_image_header
from mmrl.media.plan import ImagePlan, MediaBudget, VideoPlan, plan_image, plan_video
from mmrl.media.quarantine import Quarantine
from mmrl.media.readers import DecordReader
from mmrl.media.video import read_video_header
from mmrl.media.workers import DecodePool
from mmrl.types import MediaRef

HERE = Path(__file__).parent


def plan_of(ref: MediaRef, **budget):
    if ref.kind == "image":
        return plan_image(read_image_header(ref), MediaBudget(**budget), 28)
    return plan_video(read_video_header(ref), MediaBudget(**budget), 28, 2)


def at(*indices: int) -> VideoPlan:
    return VideoPlan(
        original_size=(640, 272),
        processed_size=(640, 272),
        indices=indices,
        seconds=tuple(i / 25 for i in indices),
        sample_fps=1.0,
        source_fps=25.0,
        num_source_frames=250,
    )


def test_a_reader_hung_in_native_code_is_killed_and_the_pool_goes_on(tmp_path, clip):
    good = clip("carphone_distorted.mp4")
    bad = MediaRef(kind="video", path=tmp_path / "hang.mp4")
    bad.path.write_bytes(good.path.read_bytes() + b"\0" * 8)
    plan = plan_of(good, num_frames=2)
    listed = tmp_path / "quarantine.jsonl"
    with DecodePool(1, 3.0, listed, command=(str(HERE / "hanging_worker.py"),)) as pool:
        hanging = pool.submit(bad, plan)
        behind = pool.submit(good, plan)
        with pytest.raises(MediaError, match=r"not decoded within 3 s.*killed") as caught:
            hanging.result(120)
        assert caught.value.reason == "timeout"
        assert np.array_equal(behind.result(120), decode(good, plan))
        assert pool.counters()["killed"] == 1
        with pytest.raises(MediaError, match="in quarantine"):
            pool.get(bad, plan)
        assert pool.counters()["killed"] == 1  # the second time nothing was decoded
    (row,) = [json.loads(line) for line in listed.read_text().splitlines()]
    assert row["reason"] == "timeout" and row["path"] == str(bad.path)
    assert len(row["digest"]) == 64 and row["when"].endswith("Z")


def test_the_clip_on_which_decord_stalls_is_read_without_it(tmp_path, trim):
    decord = pytest.importorskip("decord")
    ref = MediaRef(kind="video", path=tmp_path / "over_reported.mp4")
    ref.path.write_bytes(trim(0, 5.0))
    # decord counts frames behind the end of the edit list; asked for one, it searches for seconds
    assert len(decord.VideoReader(str(ref.path))) == 188
    header = read_video_header(ref)
    assert header.num_frames == 125
    with pytest.raises(MediaError, match="decord counts 188 frames, the header 125") as caught:
        list(DecordReader().read(ref, header, [0, 124]))
    assert caught.value.reason == "no_reader"
    with DecodePool(1, 60.0) as pool:
        assert pool.get(ref, at(0, 61, 124)).shape == (3, 272, 640, 3)


def test_a_crash_is_counted_and_the_worker_replaced(tmp_path, clip):
    source = clip("carphone_distorted.mp4")
    bad = MediaRef(kind="video", path=tmp_path / "crash.mp4")
    bad.path.write_bytes(source.path.read_bytes() + b"\0" * 8)
    plan = plan_of(source, num_frames=2)
    with DecodePool(1, 30.0, command=(str(HERE / "crashing_worker.py"),)) as pool:
        with pytest.raises(MediaError, match=r"died \(exit status -11\)") as caught:
            pool.get(bad, plan)
        assert caught.value.reason == "crashed"
        assert np.array_equal(pool.get(source, plan), decode(source, plan))
        assert pool.counters() == {"killed": 1, "fallbacks": {}, "quarantined": {"crashed": 1}}


def test_workers_give_what_this_process_gives(clip, picture, data):
    in_memory = MediaRef(kind="video", data=(data / "decord_video_90.mov").read_bytes())
    media = [
        clip("bikes.mp4"),
        clip("1x1_video.mp4"),
        in_memory,
        picture("BloodImage_00000.jpg"),
    ]
    plans = [plan_of(m, max_pixels=20000, min_pixels=784) for m in media]
    with DecodePool(2, 60.0) as pool:
        futures = [pool.prefetch(m, p) for m, p in zip(media, plans, strict=True)]
        for ref, plan, future in zip(media, plans, futures, strict=True):
            assert np.array_equal(future.result(60), decode(ref, plan))
        scratch = Path(pool._scratch)
        assert list(scratch.iterdir()) == []
        assert pool.counters()["quarantined"] == {}
    assert not scratch.exists()


def test_errors_travel_with_their_reason(tmp_path, clip, data):
    whole = bytearray((data / "bikes.mp4").read_bytes())
    whole[200_000:220_000] = os.urandom(20_000)
    bad = MediaRef(kind="video", path=tmp_path / "damaged.mp4")
    bad.path.write_bytes(bytes(whole))
    plan = plan_of(clip("bikes.mp4"), num_frames=30)
    for workers in (0, 1):
        with DecodePool(workers, 60.0) as pool:
            with pytest.raises(MediaError, match=r"damaged\.mp4: damaged inside") as caught:
                pool.get(bad, plan)
            assert caught.value.reason == "corrupt"
            assert pool.counters()["quarantined"] == {"corrupt": 1}
            with pytest.raises(MediaError) as caught:
                pool.get(MediaRef(kind="video", path=tmp_path / "none.mp4"), plan)
            assert caught.value.reason == "missing"
            assert pool.counters()["quarantined"] == {"corrupt": 1}  # may be there tomorrow


def test_fallbacks_of_workers_are_counted(clip):
    ref = clip("1x1_video.mp4")
    with DecodePool(1, 60.0) as pool:
        pool.get(ref, plan_of(ref))
        assert pool.counters()["fallbacks"] == {}  # PyAV reads it
    ten_bits = clip("h264_10bits.mp4")
    with DecodePool(1, 60.0, env={"PYTHONPATH": str(HERE / "without_decord")}) as pool:
        pool._env["PYTHONPATH"] = os.pathsep.join(
            [str(HERE / "without_decord"), str(HERE.parents[2])]
        )
        pool.get(ten_bits, plan_of(ten_bits))
        assert pool.counters()["fallbacks"] == {"decord->pyav": 1}


def test_a_closed_pool_says_so_and_a_worker_that_cannot_start_too(clip):
    ref = clip("1x1_video.mp4")
    pool = DecodePool(1)
    pool.close()
    with pytest.raises(MediaError, match="closed"):
        pool.get(ref, plan_of(ref))
    with DecodePool(1, command=("-c", "raise SystemExit(3)")) as broken:
        with pytest.raises(MediaError, match="did not start"):
            broken.get(ref, plan_of(ref))
        assert broken.counters()["quarantined"] == {}


def test_quarantine_is_shared_by_a_file_and_can_be_pruned(tmp_path, data):
    path = tmp_path / "list.jsonl"
    copy = tmp_path / "copy.jpg"
    shutil.copy(data / "BloodImage_00000.jpg", copy)
    ref = MediaRef(kind="image", path=copy)
    one, other = Quarantine(path), Quarantine(path)
    one.check(ref)
    other.check(ref)
    one.add(ref, MediaError("bad", reason="corrupt"))
    one.add(ref, MediaError("bad", reason="corrupt"))
    assert len(path.read_text().splitlines()) == 1
    with pytest.raises(MediaError, match=r"in quarantine \(listed in .*list.jsonl\): bad"):
        other.check(ref)
    # by content, not by name
    with pytest.raises(MediaError):
        other.check(MediaRef(kind="image", data=copy.read_bytes()))
    with open(path, "a") as file:
        file.write("not json\n{}\n")
    assert Quarantine(path).counts() == {"corrupt": 1}
    path.unlink()
    Quarantine(path).check(ref)


def test_plans_survive_their_text():
    plan = at(0, 5, 5)
    assert plan_from_json(plan_to_json(plan)) == plan
    still = ImagePlan(original_size=(3, 4), processed_size=(28, 56))
    assert plan_from_json(plan_to_json(still)) == still
