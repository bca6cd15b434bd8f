"""Broken and odd media, made from real ones: none ends a run, none that is broken gives pixels.

Every broken file is refused with its reason and counted once; every odd one is read rightly.
"""

import io
import json
import os
import struct
import wave
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmrl.config.load import load_recipe
from mmrl.data.registry import DATASETS
from mmrl.errors import MediaError
from mmrl.media.plan import MediaBudget
from mmrl.media.store import MediaStore
from mmrl.media.video import write_video
from mmrl.train.run import train
from mmrl.types import MediaRef, Sample

DATA = Path(__file__).parents[1] / "data" / "media"
TINY = Path(__file__).parents[2] / "assets" / "tiny-vlm"
BUDGET = MediaBudget(num_frames=12, min_pixels=784, max_pixels=12544)


@dataclass(frozen=True, kw_only=True)
class Case:
    kind: str
    name: str
    media: str
    reasons: frozenset[str] = frozenset()
    """Why it is refused; empty for an odd medium that must be read."""
    shows: Callable[[np.ndarray], bool] | None = None
    size: tuple[int, int] | None = None
    """Of an odd medium: what its pixels satisfy, its upright size."""


class Corpus:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cases: list[Case] = []

    def broken(self, kind: str, name: str, content: bytes | None, *reasons: str) -> None:
        self._add(kind, name, content, reasons=frozenset(reasons))

    def odd(self, kind, name, content, size, shows=None) -> None:
        self._add(kind, name, content, size=size, shows=shows)

    def _add(self, kind: str, name: str, content: bytes | None, **fields) -> None:
        """`name` is unique; a trailing ":image" or ":video" overrides what its suffix says."""
        name, _, said = name.partition(":")
        pictures = (".jpg", ".png", ".gif", ".webp", ".bmp", ".tif")
        media = said or ("image" if name.endswith(pictures) else "video")
        if content is not None:
            (self.folder / name).write_bytes(content)
        self.cases.append(Case(kind=kind, name=name, media=media, **fields))


def real(name: str) -> bytes:
    return (DATA / name).read_bytes()


def flipped(whole: bytes, begin: float, end: float, step: int) -> bytes:
    changed = bytearray(whole)
    for at in range(int(len(whole) * begin), int(len(whole) * end), step):
        changed[at] ^= 0x5A
    return bytes(changed)


def encoded(image: Image.Image, form: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def png_claiming(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(100)))
        + chunk(b"IEND", b"")
    )


def sound() -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(8000))
    return buffer.getvalue()


def near(*rgb: int) -> Callable[[np.ndarray], bool]:
    """All pixels lie within 12 levels of a colour."""
    return lambda pixels: bool((np.abs(pixels.astype(int) - rgb) <= 12).all())


def red_left(pixels: np.ndarray) -> bool:
    """The left half is red, the right half blue."""
    width = pixels.shape[-2]
    left, right = pixels[..., : width // 3, :], pixels[..., -(width // 3) :, :]
    return bool(left[..., 0].mean() > 180 and right[..., 2].mean() > 180)


def break_clips(add: Corpus) -> None:
    for name in ("bikes.mp4", "bbb_432_433_vp8.webm", "decord_video_90.mov", "h265_video.mp4"):
        whole, suffix = real(name), name.rpartition(".")[2]
        for share in (0.4, 0.97):
            cut = whole[: int(len(whole) * share)]
            add.broken(
                "truncated clip",
                f"cut{share}-{name[:4]}.{suffix}",
                cut,
                "truncated",
                "container",
                "no_frames",
            )
    damage = ("corrupt", "missing_frames", "no_frames", "no_reader", "truncated")
    for number, (begin, end) in enumerate(((0.2, 0.3), (0.4, 0.42), (0.7, 0.9))):
        add.broken(
            "damaged clip", f"bad{number}.mp4", flipped(real("bikes.mp4"), begin, end, 211), *damage
        )
    add.broken("damaged clip", "bad10.mp4", flipped(real("h264_10bits.mp4"), 0.3, 0.6, 53), *damage)
    add.broken("damaged clip", "badav1.mkv", flipped(real("av1_video.mkv"), 0.3, 0.6, 53), *damage)
    small = real("carphone_distorted.mp4")
    add.broken("damaged clip", "badcar.mp4", flipped(small, 0.2, 0.6, 29), *damage)
    for kind in (b"moov", b"mdia", b"stbl", b"trak", b"avcC"):
        add.broken(
            "broken boxes",
            f"box-{kind.decode()}.mp4",
            small.replace(kind, b"zzzz"),
            "container",
            "no_video",
            "no_frames",
            "corrupt",
            "no_reader",
        )
    at = small.index(b"stsz") + 12
    add.broken(
        "over-reported frames",
        "stsz.mp4",
        small[:at] + struct.pack(">I", 1200) + small[at + 4 :],
        "container",
        "no_frames",
        "truncated",
        "corrupt",
    )
    for name in ("bipbop_nonfragment_header", "zero_empty_stsc"):
        add.broken("over-reported frames", f"{name}.mp4", real(f"mp4parse_{name}.mp4"), "truncated")
    chunk = real("mp4parse_chunk_out_of_range.mp4")
    add.broken("over-reported frames", "chunk.mp4", chunk, "container")
    speech = real("mp4parse_sine-3s-xhe-aac-44khz-mono.mp4")
    add.broken("sound only", "speech.mp4", speech, "no_video")
    add.broken("sound only", "silence.wav:video", sound(), "no_video")
    add.broken("sound only", "silence.mp4", sound() + b"\0", "no_video")
    mp4 = write_video(np.full((4, 32, 32, 3), 90, dtype=np.uint8), 4)
    # the sample entry's own width and height; the decoder's header is emptied so that they count
    entry = mp4.index(b"mp4v") + 4 + 24
    grown = mp4[:entry] + struct.pack(">HH", 65000, 65000) + mp4[entry + 4 :]
    add.broken(
        "claims a huge size", "huge.mp4", grown.replace(b"esds", b"zzzz"), "too_large", "no_frames"
    )


def break_pictures(add: Corpus) -> None:
    photo = Image.open(DATA / "BloodImage_00000.jpg").resize((160, 120))
    forms = {"jpg": "JPEG", "png": "PNG", "gif": "GIF", "webp": "WEBP", "bmp": "BMP", "tif": "TIFF"}
    for suffix, form in forms.items():
        whole = encoded(photo, form)
        cut = whole[: int(len(whole) * 0.6)]
        reasons = ("truncated", "corrupt", "not_an_image")
        add.broken("truncated picture", f"cut.{suffix}", cut, *reasons)
    chart = real("10_dot_line.png")
    for share in (0.3, 0.5, 0.7, 0.9):
        at = int(len(chart) * share)
        changed = chart[:at] + bytes([chart[at] ^ 1]) + chart[at + 1 :]
        add.broken("flipped bit in a png", f"bit{share}.png", changed, "corrupt", "truncated")
    for width, height in ((40_000, 40_000), (90_000_000, 1), (2_000_000_000, 3)):
        bomb = png_claiming(width, height)
        add.broken("claims a huge size", f"bomb{width}.png", bomb, "too_large")
    for size in ((4000, 3), (2, 900)):
        thin = encoded(Image.new("RGB", size), "PNG")
        add.broken("thin picture", f"thin{size[0]}.png", thin, "aspect_ratio")


def break_files(add: Corpus) -> None:
    for suffix in ("mp4", "webm", "jpg", "png", "gif"):
        add.broken("empty file", f"empty.{suffix}", b"", "empty")
        words = f"this is no {suffix}, whatever its name says\n".encode() * 40
        add.broken("text", f"text.{suffix}", words, "container", "not_an_image", "no_video")
        noise = np.random.default_rng(zlib.crc32(suffix.encode())).bytes(5000)
        add.broken("noise", f"noise.{suffix}", noise, "container", "not_an_image", "no_video")
    add.broken("wrong kind", "clip.jpg", real("decord_unordered.mov"), "not_an_image")
    add.broken("wrong kind", "sound.png", sound(), "not_an_image")
    (add.folder / "folder.mp4").mkdir()
    (add.folder / "nowhere.mp4").symlink_to(add.folder / "not there")
    (add.folder / "loop.png").symlink_to(add.folder / "loop.png")
    os.mkfifo(add.folder / "pipe.mp4")
    add.broken("no file there", "folder.mp4", None, "not_a_file")
    add.broken("no file there", "nowhere.mp4", None, "missing")
    add.broken("no file there", "loop.png", None, "missing")
    add.broken("no file there", "pipe.mp4", None, "not_a_file")
    add.broken("no file there", "absent.jpg", None, "missing")
    if os.getuid():  # root may read everything
        add.broken("no file there", "secret.png", real("10_dot_line.png"), "permission")
        (add.folder / "secret.png").chmod(0)


def add_odd(add: Corpus) -> None:
    flag = Image.new("RGB", (120, 80), (220, 10, 10))
    flag.paste((10, 10, 220), (60, 0, 120, 80))
    for name, image, form, options in (
        ("cmyk.jpg", flag.convert("CMYK"), "JPEG", {"quality": 95}),
        ("palette.png", flag.convert("P"), "PNG", {}),
        ("palette.gif", flag.convert("P"), "GIF", {}),
        ("clear.webp", flag.convert("RGBA"), "WEBP", {}),
        ("named-wrongly.jpg", flag, "PNG", {}),
        ("named-wrongly.png", flag, "JPEG", {"quality": 95}),
    ):
        add.odd("odd colours", name, encoded(image, form, **options), (120, 80), red_left)
    deep = Image.fromarray(np.full((80, 120), 257 * 100, dtype=np.uint16))
    add.odd("deep grey", "deep.png", encoded(deep, "PNG"), (120, 80), near(100, 100, 100))
    share = Image.fromarray(np.full((80, 120), 0.5, dtype=np.float32))
    add.odd("deep grey", "share.tif", encoded(share, "TIFF"), (120, 80), near(128, 128, 128))
    add.odd(
        "deep grey",
        "bits.png",
        encoded(Image.new("1", (120, 80), 1), "PNG"),
        (120, 80),
        near(255, 255, 255),
    )
    hidden = Image.new("RGBA", (120, 80), (0, 0, 0, 0))
    add.odd("alpha", "hidden.png", encoded(hidden, "PNG"), (120, 80), near(255, 255, 255))
    for form, suffix in (("GIF", "gif"), ("WEBP", "webp"), ("PNG", "png")):
        frames = {"save_all": True, "append_images": [Image.new("RGB", (120, 80))] * 2}
        content = encoded(flag, form, **frames)
        add.odd("animated", f"animated.{suffix}", content, (120, 80), red_left)
    turned, exif = flag.rotate(90, expand=True), Image.Exif()
    exif[0x0112] = 6  # stored turned to the left: to be shown turned to the right
    content = encoded(turned, "JPEG", exif=exif, quality=95)
    add.odd("rotated", "exif.jpg", content, (120, 80), red_left)
    add.odd("rotated", "r90.mov", real("decord_video_90.mov"), (320, 568))
    add.odd("rotated", "r180.mov", real("decord_video_180.mov"), (568, 320))
    add.odd("rotated", "r90.mp4", real("mp4parse_video_rotation_90.mp4"), (60, 100))
    add.odd("tiny clip", "one-pixel.mp4", real("1x1_video.mp4"), (1, 1))
    white = real("mp4parse_h264_white_frame_sar_16_9.mp4")
    add.odd("tiny clip", "one-frame.mp4", white, (640, 480), near(255, 255, 255))
    add.odd("odd timing", "unordered.mov", real("decord_unordered.mov"), (50, 50))
    add.odd("odd timing", "variable.mp4", real("fire2_rot180_vfr.mp4"), (1280, 720))
    bikes = real("bikes.mp4")
    at = bikes.index(b"elst") + 12
    for seconds in (3, 5):  # decord counts frames that the edit list cuts off, and stalls on them
        trim = bikes[:at] + struct.pack(">I", seconds * 1000) + bikes[at + 4 :]
        add.odd("trimmed by an edit list", f"trim{seconds}.mp4", trim, (640, 272))
    add.odd("wrong extension", "really-webm.mp4", real("bbb_432_433_vp8.webm"), (1280, 720))
    add.odd("wrong extension", "really-mp4.avi", real("carphone_distorted.mp4"), (176, 144))
    add.odd("odd codec", "av1.mkv", real("av1_video.mkv"), (640, 360))
    add.odd("odd codec", "ten-bits.mp4", real("h264_10bits.mp4"), (200, 200))


@pytest.fixture
def corpus(tmp_path):
    made = Corpus(tmp_path / "media")
    made.folder.mkdir()
    for fill in (break_clips, break_pictures, break_files, add_odd):
        fill(made)
    return made


def test_no_medium_of_the_corpus_ends_a_run_and_none_broken_is_seen(corpus, tmp_path):
    kinds = Counter(case.kind for case in corpus.cases)
    assert len(corpus.cases) >= 60 and len(kinds) >= 12 and max(kinds.values()) <= 8
    wrong, expected = [], Counter()
    store = MediaStore(
        workers=2,
        timeout_s=20.0,
        cache_dir=tmp_path / "cache",
        quarantine_path=tmp_path / "quarantine.jsonl",
    )
    with store:
        planned = []
        for case in corpus.cases:
            ref = MediaRef(kind=case.media, path=corpus.folder / case.name)
            try:
                planned.append((case, ref, store.plan(ref, BUDGET, 28, 2)))
            except MediaError as error:
                expected[error.reason] += 1
                if error.reason not in case.reasons:
                    wrong.append((case.name, error.reason, str(error)))
        store.prefetch((ref, plan) for _, ref, plan in planned)
        for case, ref, plan in planned:
            try:
                pixels = (store.image if case.media == "image" else store.video)(ref, plan)
            except MediaError as error:
                expected[error.reason] += 1
                if error.reason not in case.reasons:
                    wrong.append((case.name, error.reason, str(error)))
                continue
            if case.reasons:
                wrong.append((case.name, "gave pixels", pixels.shape))
            elif plan.original_size != case.size or pixels.dtype != np.uint8:
                wrong.append((case.name, "size", plan.original_size))
            elif case.shows is not None and not case.shows(pixels):
                wrong.append((case.name, "shows something else", pixels.mean((0, 1))))
        counts = store.counters()
    assert not wrong, "\n".join(map(str, wrong))
    assert counts["quarantined"] == dict(expected)
    assert sum(expected.values()) == sum(bool(case.reasons) for case in corpus.cases)
    assert counts["killed"] == 0
    odd = sum(not case.reasons for case in corpus.cases)
    assert counts["decoded"] == odd


def test_a_run_over_the_corpus_trains_on_the_readable_alone(corpus, tmp_path, monkeypatch):
    samples = [
        Sample(
            id=case.name,
            task="number",
            question="how many?",
            target=1,
            media=(
                MediaRef(
                    kind=case.media,
                    path=corpus.folder / case.name,
                    options={"min_pixels": 784, "max_pixels": 12544}
                    | ({"num_frames": 12} if case.media == "video" else {}),
                ),
            ),
        )
        for case in corpus.cases
    ]
    monkeypatch.setitem(DATASETS._parts, "media_corpus", lambda split: samples)
    readable = {case.name for case in corpus.cases if not case.reasons}
    run = load_recipe(
        {
            "name": "corpus",
            "run_dir": str(tmp_path / "run"),
            "policy": {"model": str(TINY)},
            "method": {"name": "grpo", "group_size": 2},
            "rollout": {"max_new_tokens": 2},
            "data": [{"dataset": "media_corpus"}],
            "train": {
                "steps": 1,
                "prompts_per_step": len(readable),
                "max_draws": len(samples),
                "threads": 1,
            },
            "media": {"workers": 2, "timeout_s": 20},
            "log": {"console": "quiet"},
        }
    )
    summary = train(run).summary
    lines = (tmp_path / "run/rollouts/step-000000.jsonl").read_text().splitlines()
    assert {json.loads(line)["sample"] for line in lines} == readable
    assert set(summary["bad_samples"]) == {case.name for case in corpus.cases} - readable
    step = json.loads((tmp_path / "run/metrics.jsonl").read_text().splitlines()[0])
    skipped = {k.removeprefix("skipped/"): v for k, v in step.items() if k.startswith("skipped/")}
    assert sum(skipped.values()) == len(samples) - len(readable)
    allowed = {reason for case in corpus.cases for reason in case.reasons}
    assert set(skipped) <= allowed
