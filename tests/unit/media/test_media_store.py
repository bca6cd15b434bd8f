import json
import subprocess
import sys
import time

import numpy as np
import pytest

from mmrl.errors import MediaError
from mmrl.media.cache import ClipCache
from mmrl.media.decode import decode
from mmrl.media.plan import MediaBudget
from mmrl.media.store import MediaStore
from mmrl.types import MediaRef

SMALL = MediaBudget(num_frames=4, min_pixels=784, max_pixels=20000)


def test_cache_keeps_and_bounds(tmp_path):
    cache = ClipCache(tmp_path / "cache", max_bytes=3500)
    array = np.arange(1000, dtype=np.uint8)  # 1,128 bytes as npy
    for name in ("a", "b", "c"):
        assert cache.put(name, array)
        time.sleep(0.02)
    assert cache.num_bytes() == 3 * 1128
    assert np.array_equal(cache.get("a"), array)  # now b is the oldest
    cache.put("d", array)
    assert [name for name in "abcd" if cache.has(name)] == ["a", "c", "d"]
    assert cache.get("b") is None
    assert not cache.put("e", np.zeros(4000, dtype=np.uint8))
    assert cache.num_bytes() <= 3500
    assert not list((tmp_path / "cache").glob("*.part"))


def test_cache_drops_damaged_entries_and_pickles(tmp_path):
    cache = ClipCache(tmp_path, max_bytes=10_000)
    cache.put("a", np.zeros(100, dtype=np.uint8))
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:150])
    assert cache.get("a") is None and not cache.has("a")
    np.save(tmp_path / "b.npy", np.array([{"x": 1}], dtype=object), allow_pickle=True)
    assert cache.get("b") is None
    with pytest.raises(ValueError, match="letters and digits"):
        cache.get("../a")


WRITER = """
import sys, numpy as np
from mmrl.media.cache import ClipCache
cache = ClipCache(sys.argv[1], max_bytes=40_000)
seed = int(sys.argv[2])
worst = 0
for i in range(60):
    name = f"k{(i * 7 + seed) % 12}"
    array = cache.get(name)
    if array is not None:
        assert (array == int(name[1:])).all() and array.size == 5000
    cache.put(name, np.full(5000, int(name[1:]), dtype=np.uint8))
    worst = max(worst, cache.num_bytes())
print(worst)
"""


def test_cache_is_safe_with_several_processes(tmp_path):
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(seed)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in range(3)
    ]
    for writer in writers:
        out, err = writer.communicate(timeout=120)
        assert writer.returncode == 0, err
        assert int(out) <= 40_000
    assert 0 < ClipCache(tmp_path, 40_000).num_bytes() <= 40_000


def test_one_decoded_copy_read_only(clip, picture):
    with MediaStore() as store:
        for ref in (clip("bikes.mp4"), picture("BloodImage_00000.jpg")):
            plan = store.plan(ref, SMALL)
            get = store.image if ref.kind == "image" else store.video
            first = get(ref, plan)
            again = get(MediaRef(kind=ref.kind, data=ref.path.read_bytes()), plan)
            assert again is first  # same content under another name
            assert np.array_equal(first, decode(ref, plan))
            with pytest.raises(ValueError, match="read-only"):
                first[0] = 0
        counts = store.counters()
        assert (counts["decoded"], counts["memory_hits"]) == (2, 2)


def test_memory_is_bounded(clip):
    ref = clip("carphone_distorted.mp4")
    with MediaStore(memory_bytes=200_000) as store:
        for number in (2, 4, 6):
            plan = store.plan(ref, MediaBudget(num_frames=number, max_pixels=20000, min_pixels=784))
            store.video(ref, plan)
            assert store._pixels.size <= 200_000
        assert store.counters()["decoded"] == 3


def test_second_run_reads_the_disk_cache(tmp_path, clip):
    ref = clip("bikes.mp4")
    with MediaStore(cache_dir=tmp_path) as store:
        plan = store.plan(ref, SMALL)
        first = store.video(ref, plan)
    with MediaStore(cache_dir=tmp_path) as store:
        assert np.array_equal(store.video(ref, plan), first)
        other = store.plan(ref, MediaBudget(num_frames=6, min_pixels=784, max_pixels=20000))
        store.video(ref, other)
        counts = store.counters()
    assert (counts["cache_hits"], counts["decoded"]) == (1, 1)


def test_prefetch_decodes_beside_and_once(clip, picture):
    refs = [clip("carphone_distorted.mp4"), clip("decord_video_90.mov"), picture("1033.jpg")]
    with MediaStore(workers=1, timeout_s=60) as store:
        items = [(ref, store.plan(ref, SMALL)) for ref in refs]
        store.prefetch(items)
        store.prefetch(items)
        for ref, plan in items:
            get = store.image if ref.kind == "image" else store.video
            assert np.array_equal(get(ref, plan), decode(ref, plan))
        assert store.counters()["decoded"] == 3


def test_options_and_span_of_the_reference_count(clip):
    ref = clip("bikes.mp4", span=(2.0, 4.0), options={"num_frames": 2})
    with MediaStore() as store:
        assert store.plan(ref, SMALL).indices == (50, 100)
        scenes = clip("bikes.mp4", options={"strategy": "scenes", "num_frames": 6})
        # one frame in the middle of each of the six scenes
        assert store.plan(scenes, SMALL).indices == (15, 53, 106, 162, 214, 246)


def test_failed_media_are_counted_once_and_not_tried_again(tmp_path, clip, picture):
    listed = tmp_path / "quarantine.jsonl"
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(picture("BloodImage_00000.jpg").path.read_bytes()[:9000])
    bad = [
        (clip("mp4parse_zero_empty_stsc.mp4"), "truncated"),
        (clip("nowhere.mp4"), "missing"),
        (MediaRef(kind="image", path=cut), "truncated"),
    ]
    for again in range(2):
        with MediaStore(quarantine_path=listed) as store:
            for ref, reason in bad * 2:
                with pytest.raises(MediaError) as caught:
                    plan = store.plan(ref, SMALL)
                    store.image(ref, plan)
                assert caught.value.reason == reason, again
            assert store.counters()["quarantined"] == {"truncated": 2, "missing": 1}
            assert store.counters()["decoded"] == 0
    rows = [json.loads(line)["reason"] for line in listed.read_text().splitlines()]
    assert rows == ["truncated", "truncated"]


def test_a_span_outside_does_not_condemn_the_clip(clip):
    with MediaStore() as store:
        with pytest.raises(MediaError, match=r"bikes\.mp4: no frame lies in the span") as caught:
            store.plan(clip("bikes.mp4", span=(50.0, 60.0)), SMALL)
        assert caught.value.reason == "empty_span"
        ref = clip("bikes.mp4")
        assert len(store.video(ref, store.plan(ref, SMALL))) == 4


def test_media_modules_need_no_torch():
    code = (
        "import sys, mmrl.media.store, mmrl.media.worker;"
        "bad = {'torch', 'transformers', 'torchvision', 'cv2', 'decord'} & set(sys.modules);"
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
