"""Drawn pixels lie where the coordinates say: every space, turned, odd-sized and shrunk pictures.

Pictures are blue with a red thing. A box's line is `2 * half` pixels wide around its edge, `half`
one for every 320 pixels of the longer side: an edge at pixel 150 colours columns 148 to 151 where
half is 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmrl.errors import MediaError
from mmrl.inspector import pen
from mmrl.inspector.draw import GOLD, PREDICTED, Frames, Layer, draw_picture, draw_strip
from mmrl.inspector.load import load_medium
from mmrl.media.image import read_image_header
from mmrl.media.plan import MediaBudget, plan_image
from mmrl.media.write import write_video
from mmrl.tasks.base import TASKS
from mmrl.tasks.overlay import (
    BoxMark,
    Overlay,
    PointMark,
    RouteMark,
    SpanMark,
    answer_overlay,
    gold_overlay,
)
from mmrl.types import MediaInfo, MediaRef, Prompt, Rollout, Sample, StopReason

RED, BLUE = (200, 0, 0), (0, 0, 200)
Rect = tuple[int, int, int, int]
TURNS = {  # EXIF orientation -> how the upright picture is stored
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@dataclass(frozen=True)
class Case:
    """A picture, its red thing, the sizes and the box that follow, all worked out by hand."""

    size: tuple[int, int]
    thing: Rect
    processed: tuple[int, int]
    answers: dict[str, str]
    drawn_size: tuple[int, int]
    edges: Rect
    half: int
    max_pixels: int | None = None


PLAIN = Case(
    size=(200, 100),
    thing=(50, 20, 150, 80),
    processed=(196, 112),  # multiples of 28
    answers={
        "abs_original": "[50, 20, 150, 80]",
        "abs_resized": "[49, 22.4, 147, 89.6]",
        "norm_1": "[0.25, 0.2, 0.75, 0.8]",
        "norm_100": "[25, 20, 75, 80]",
        "norm_1000": "[250, 200, 750, 800]",
    },
    drawn_size=(600, 300),  # three times
    edges=(150, 60, 450, 240),
    half=2,
)
ODD = Case(
    size=(101, 57),
    thing=(20, 11, 70, 40),
    processed=(112, 56),
    answers={
        "abs_original": "[20, 11, 70, 40]",
        "abs_resized": "[22.17822, 10.80702, 77.62376, 39.29825]",  # * 112 / 101, * 56 / 57
        "norm_1": "[0.198020, 0.192982, 0.693069, 0.701754]",
        "norm_100": "[19.8020, 19.2982, 69.3069, 70.1754]",
        "norm_1000": "[198.020, 192.982, 693.069, 701.754]",
    },
    drawn_size=(606, 342),  # six times
    edges=(120, 66, 420, 240),
    half=2,
)
LARGE = Case(
    size=(2000, 1000),
    thing=(500, 200, 1500, 800),
    processed=(476, 224),  # at most 120,000 pixels: 489.9 x 244.9, down to multiples of 28
    answers={
        "abs_original": "[500, 200, 1500, 800]",
        "abs_resized": "[119, 44.8, 357, 179.2]",
        "norm_1": "[0.25, 0.2, 0.75, 0.8]",
        "norm_100": "[25, 20, 75, 80]",
        "norm_1000": "[250, 200, 750, 800]",
    },
    drawn_size=(640, 320),  # shrunk
    edges=(160, 64, 480, 256),
    half=2,
    max_pixels=120_000,
)
CASES = {"plain": PLAIN, "odd": ODD, "large": LARGE}


def stored(case: Case, folder: Path, orientation: int = 1) -> Path:
    """The case's picture as a PNG file that says how it is turned."""
    upright = Image.new("RGB", case.size, BLUE)
    upright.paste(RED, case.thing)
    turn = TURNS[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = folder / f"{orientation}.png"
    (upright if turn is None else upright.transpose(turn)).save(path, exif=exif)
    return path


def planned(path: Path, case: Case) -> MediaInfo:
    """What a prompt says of the picture after planning it."""
    header = read_image_header(MediaRef(kind="image", path=path))
    plan = plan_image(header, MediaBudget(max_pixels=case.max_pixels), factor=28)
    assert (plan.original_size, plan.processed_size) == (case.size, case.processed)
    return MediaInfo(
        kind="image",
        digest="0",
        original_size=plan.original_size,
        processed_size=plan.processed_size,
        num_tokens=1,
    )


def said(task: str, answer: str, info: MediaInfo, space: str, target: object) -> Overlay:
    """What that answer draws, of a model that writes in that space."""
    text = f"<think>so</think><answer>{answer}</answer>"
    prompt = Prompt(messages=(), token_ids=(1,), media=(info,), coord_space=space)
    rollout = Rollout(
        prompt=prompt,
        sampled_under=prompt,
        segments=(),
        text=text,
        offsets=(),
        parsed=TASKS.get(task).parse(text),
        stop=StopReason.EOS,
        policy_step=0,
    )
    sample = Sample(
        id="s", task=task, question="?", target=target, meta={"coord_space": "abs_original"}
    )
    overlay = answer_overlay(TASKS.get(task), rollout, sample)
    assert overlay is not None
    return overlay


def extent(image: Image.Image, colour: Sequence[int]) -> Rect:
    """First column, first row, last column, last row with a pixel of exactly that colour."""
    ys, xs = np.nonzero((np.asarray(image) == np.array(colour)).all(axis=-1))
    assert len(xs), f"no pixel of {colour}"
    return int(xs.min()), int(ys.min()), int(xs.max()), int(ys.max())


def around(edges: Rect, half: int) -> Rect:
    """The coloured columns and rows of a line of `2 * half` pixels along a box."""
    return edges[0] - half, edges[1] - half, edges[2] + half - 1, edges[3] + half - 1


def assert_near(found: Rect, wanted: Rect) -> None:
    assert max(abs(a - b) for a, b in zip(found, wanted, strict=True)) <= 1, (found, wanted)


def assert_frames_the_thing(drawn: Image.Image, case: Case) -> None:
    """Red just within the line, blue just outside of it, in the middle of every side."""
    x1, y1, x2, y2 = case.edges
    x, y, far = (x1 + x2) // 2, (y1 + y2) // 2, case.half + 3
    within = [(x1 + far, y), (x2 - far, y), (x, y1 + far), (x, y2 - far)]
    outside = [(x1 - far, y), (x2 + far, y), (x, y1 - far), (x, y2 + far)]
    for points, colour in ((within, RED), (outside, BLUE)):
        for point in points:
            got = drawn.getpixel(point)
            assert max(abs(a - b) for a, b in zip(got, colour, strict=True)) < 30, (point, got)


@pytest.mark.parametrize("space", list(PLAIN.answers))
@pytest.mark.parametrize("name", list(CASES))
def test_an_answered_box_lands_on_its_pixels(name: str, space: str, tmp_path: Path) -> None:
    case = CASES[name]
    path = stored(case, tmp_path)
    overlay = said("grounding", case.answers[space], planned(path, case), space, (0, 0, 9, 9))
    image = load_medium(path, "image")
    assert isinstance(image, Image.Image)
    drawn = draw_picture(image, None, [Layer(overlay)])
    assert drawn.size == case.drawn_size
    assert_near(extent(drawn, PREDICTED[0]), around(case.edges, case.half))
    assert_frames_the_thing(drawn, case)


@pytest.mark.parametrize("space", list(PLAIN.answers))
@pytest.mark.parametrize("name", list(CASES))
def test_a_reference_box_lands_on_its_pixels(name: str, space: str, tmp_path: Path) -> None:
    case = CASES[name]
    path = stored(case, tmp_path)
    target, meta = case.answers[space], {"coord_space": space}
    sample = Sample(id="s", task="grounding", question="?", target=target, meta=meta)
    overlay = gold_overlay(TASKS.get("grounding"), sample, (planned(path, case),))
    image = load_medium(path, "image")
    assert isinstance(image, Image.Image)
    drawn = draw_picture(image, overlay)
    assert_near(extent(drawn, GOLD), around(case.edges, case.half))
    assert_frames_the_thing(drawn, case)


@pytest.mark.parametrize("space", ["abs_original", "abs_resized", "norm_1", "norm_1000"])
@pytest.mark.parametrize("orientation", list(TURNS))
def test_a_turned_picture_is_drawn_on_upright(orientation: int, space: str, tmp_path: Path) -> None:
    # the thing lies off the middle, so that a picture left as it is stored is noticed
    case = Case(
        size=(200, 100),
        thing=(20, 10, 60, 40),
        processed=(196, 112),
        answers={
            "abs_original": "[20, 10, 60, 40]",
            "abs_resized": "[19.6, 11.2, 58.8, 44.8]",
            "norm_1": "[0.1, 0.1, 0.3, 0.4]",
            "norm_1000": "[100, 100, 300, 400]",
        },
        drawn_size=(600, 300),
        edges=(60, 30, 180, 120),
        half=2,
    )
    path = stored(case, tmp_path, orientation)
    overlay = said("grounding", case.answers[space], planned(path, case), space, (0, 0, 9, 9))
    image = load_medium(path, "image")
    assert isinstance(image, Image.Image)
    drawn = draw_picture(image, None, [Layer(overlay)])
    assert drawn.size == case.drawn_size
    assert_near(extent(drawn, PREDICTED[0]), around(case.edges, case.half))
    assert_frames_the_thing(drawn, case)


@pytest.mark.parametrize(
    ("space", "answer"),
    [
        ("abs_original", "[50, 80]"),
        ("abs_resized", "[49, 89.6]"),
        ("norm_1", "[0.25, 0.8]"),
        ("norm_1000", "[250, 800]"),
    ],
)
def test_points_land_on_their_pixel(space: str, answer: str, tmp_path: Path) -> None:
    path = stored(PLAIN, tmp_path)
    info = planned(path, PLAIN)
    overlay = said("pointing", answer, info, space, (0, 0, 9, 9))
    image = Image.new("RGB", PLAIN.size, BLUE)
    # (50, 80) three times as large, the middle of a cross: its diagonals end 4 * half away
    x1, y1, x2, y2 = extent(draw_picture(image, None, [Layer(overlay)]), PREDICTED[0])
    assert abs((x1 + x2 + 1) / 2 - 150) <= 1 and abs((y1 + y2 + 1) / 2 - 240) <= 1
    assert 14 <= x2 - x1 <= 22
    # of the reference a ring with a dot: GOLD in the middle, none between dot and ring
    ringed = draw_picture(image, overlay)
    x1, y1, x2, y2 = extent(ringed, GOLD)
    assert abs((x1 + x2 + 1) / 2 - 150) <= 1 and abs((y1 + y2 + 1) / 2 - 240) <= 1
    assert ringed.getpixel((150, 240)) == GOLD
    between = ringed.getpixel((150, 235))
    assert max(abs(a - b) for a, b in zip(between, BLUE, strict=True)) < 10


def test_where_an_answer_is_the_reference_both_are_seen() -> None:
    overlay = Overlay(boxes=(BoxMark((0.25, 0.25, 0.75, 0.75)),))
    both = draw_picture(Image.new("RGB", (64, 64)), overlay, [Layer(overlay)])
    top = np.asarray(both)[160, 160:480]  # the upper edge of the box on 640 x 640 pixels
    green, orange = ((top == np.array(c)).all(axis=-1).mean() for c in (GOLD, PREDICTED[0]))
    assert green > 0.2 and orange > 0.4
    assert extent(both, PREDICTED[0]) == around((160, 160, 480, 480), 2)  # to the very corners


@pytest.mark.parametrize("ground", [0, 128, 255, GOLD, PREDICTED[0]])
def test_lines_have_a_rim_on_any_ground(ground) -> None:
    tone = ground if isinstance(ground, tuple) else (ground,) * 3
    image = Image.new("RGB", (64, 64), tone)
    drawn = draw_picture(image, Overlay(boxes=(BoxMark((0.25, 0.25, 0.75, 0.75)),)))
    # columns 157 and 162 stand on both sides of the line of columns 158 to 161
    row = [drawn.getpixel((x, 320)) for x in range(156, 164)]
    assert row == [tone, pen.RIM, GOLD, GOLD, GOLD, GOLD, pen.RIM, tone]


def test_routes_run_along_their_points() -> None:
    corners = ((0.1, 0.5), (0.5, 0.5), (0.5, 0.9))
    overlay = Overlay(routes=(RouteMark(corners),))
    white = Image.new("RGB", (100, 100), (255, 255, 255))
    # 0.7 of the colour over 0.3 of white
    tone = [round(0.7 * c + 0.3 * 255) for c in GOLD]
    gold = np.abs(np.asarray(draw_picture(white, overlay, side=100), int) - tone).max(-1) <= 1
    for across in (gold[:, 30], gold[70]):  # y = 50, then x = 50: rows and columns 48 to 51
        found = np.nonzero(across)[0]
        assert 47 <= found.min() <= 48 and 51 <= found.max() <= 52 and len(found) >= 4
    xs = np.nonzero(gold[49])[0]
    assert abs(int(xs.min()) - 10) <= 2 and abs(int(np.nonzero(gold[:, 49])[0].max()) - 90) <= 2
    tone = [round(0.7 * c + 0.3 * 255) for c in PREDICTED[0]]
    drawn = draw_picture(white, None, [Layer(overlay)], side=100)
    dashes = (np.abs(np.asarray(drawn, int) - tone).max(-1) <= 1)[49, 10:50]
    assert 0.3 < dashes.mean() < 0.8


def test_marks_of_another_medium_are_not_drawn() -> None:
    image = Image.new("RGB", (64, 64), BLUE)
    overlay = Overlay(
        boxes=(BoxMark((0.1, 0.1, 0.9, 0.9), 1),),
        points=(PointMark((0.5, 0.5), 1),),
        routes=(RouteMark(((0.0, 0.0), (1.0, 1.0)), 1),),
    )
    plain = draw_picture(image, None)
    assert draw_picture(image, overlay, [Layer(overlay)]).tobytes() == plain.tobytes()
    assert draw_picture(image, overlay, medium=1).tobytes() != plain.tobytes()


def four_frames() -> Frames:
    tones = [(10, 0, 90), (20, 0, 90), (30, 0, 90), (40, 0, 90)]
    images = tuple(Image.new("RGB", (32, 32), tone) for tone in tones)
    return Frames(images, (0.0, 1.0, 2.0, 3.0))


def test_bars_stand_below_their_frames() -> None:
    gold, answer = Overlay(spans=(SpanMark((1.0, 3.0)),)), Overlay(spans=(SpanMark((0.5, 2.25)),))
    strip = draw_strip(four_frames(), gold, [Layer(answer)], side=32)
    left = [extent(strip, (tone, 0, 90))[0] for tone in (10, 20, 30, 40)]
    assert left == [left[0] + 36 * i for i in range(4)]  # frames of 32 pixels, 4 between
    x1, y1, x2, y2 = extent(strip, GOLD)
    assert (x1, x2) == (left[1], left[3] - 1)
    px1, py1, px2, _ = extent(strip, PREDICTED[0])
    assert (px1, px2) == (left[0] + 18, left[2] + 9 - 1)  # half and a quarter of 36
    assert 36 < y1 < y2 < py1  # below the frames, the reference above the answer


def test_spans_that_lie_outside_of_the_clip_are_held_at_its_ends() -> None:
    overlay = Overlay(spans=(SpanMark((2.0, 900.0)),))
    late = Overlay(spans=(SpanMark((500.0, 900.0)),))
    strip = draw_strip(four_frames(), overlay, [Layer(late)], side=32)
    left = [extent(strip, (tone, 0, 90))[0] for tone in (10, 20, 30, 40)]
    x1, _, x2, _ = extent(strip, GOLD)
    assert (x1, x2) == (left[2], left[3] + 36 - 1)  # the last frame lasts a second too
    x1, _, x2, _ = extent(strip, PREDICTED[0])
    assert left[3] + 36 <= x1 <= x2 < strip.width


def test_boxes_are_drawn_on_every_frame_of_a_strip() -> None:
    overlay = Overlay(boxes=(BoxMark((0.25, 0.25, 0.75, 0.75)),))
    strip = np.asarray(draw_strip(four_frames(), overlay, side=32))
    green = (strip == np.array(GOLD)).all(axis=-1)
    first = green[:, 4:36]  # no bars, no gutter: the first frame begins behind the gap
    assert first.sum() == 4 * 16 * 2  # four sides of 16 pixels, two wide
    for i in range(1, 4):
        assert (green[:, 4 + 36 * i : 36 + 36 * i] == first).all()


def test_a_long_strip_is_thinned_to_sixteen_frames() -> None:
    images = tuple(Image.new("RGB", (8, 8), (i, 0, 0)) for i in range(200))
    strip = draw_strip(Frames(images, tuple(i / 2 for i in range(200))), None, side=8)
    assert strip.width == 4 + 16 * 12 + 4
    assert strip.getpixel((6, 6)) == (0, 0, 0)
    assert strip.getpixel((4 + 15 * 12 + 2, 6)) == (199, 0, 0)
    assert draw_strip(Frames((), ()), Overlay(spans=(SpanMark((0.0, 1.0)),))).height > 0


def test_hostile_overlays_are_drawn_in_bounds() -> None:
    far = 1e6
    boxes = tuple(BoxMark((-far, -far, far, far), 0, "x" * 120) for _ in range(10_000))
    routes = tuple(RouteMark(((-far, far),) * 500) for _ in range(200))
    label = "\x1b[31m\u202e\n<script>"
    overlay = Overlay(
        boxes=(*boxes[:9000], BoxMark((0.1, 0.1, 0.2, 0.2), 0, label)),
        points=(PointMark((far, -far), 0, label), PointMark((0.5, 0.5), 0, label)),
        spans=(SpanMark((0.0, far)),),
        routes=routes,
    )
    layers = [Layer(overlay, label)] * 50
    for size in ((1, 1), (3, 2000), (2000, 3)):
        drawn = draw_picture(Image.new("RGB", size), overlay, layers)
        assert max(drawn.size) <= 640 and min(drawn.size) >= 1
    strip = draw_strip(four_frames(), overlay, layers, side=32)
    assert strip.width < 500 and strip.height < 500
    assert pen.plain(label) == "\u25a1[31m\u25a1\u25a1<script>"
    assert len(pen.plain("x" * 9999)) == 24


def test_frames_are_loaded_at_their_seconds_and_bounded(tmp_path: Path) -> None:
    tones = np.arange(20, dtype=np.uint8) * 12
    clip = np.broadcast_to(tones[:, None, None, None], (20, 48, 640, 3)).copy()
    path = tmp_path / "clip.mp4"
    path.write_bytes(write_video(clip, fps=10.0))
    frames = load_medium(path, "video", [0.0, 0.5, 1.0, 1.9])
    assert isinstance(frames, Frames)
    assert frames.seconds == (0.0, 0.5, 1.0, 1.9)
    assert {image.size for image in frames.images} == {(320, 24)}
    means = [float(np.asarray(image).mean()) for image in frames.images]
    assert means == pytest.approx([0, 60, 120, 228], abs=4)  # frames 0, 5, 10, 19
    many = load_medium(path, "video", [i / 10 for i in range(20)], most=5)
    assert isinstance(many, Frames) and many.seconds == (0.0, 0.5, 1.0, 1.4, 1.9)
    told = load_medium(path, "video", [float("nan"), -3.0, 1e9])
    assert isinstance(told, Frames) and told.seconds == (0.0, 1.9)
    assert len(load_medium(path, "video").images) == 16


def test_pictures_are_loaded_bounded_and_broken_files_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.new("RGB", (4000, 1000)).save(path)
    loaded = load_medium(path, "image")
    assert isinstance(loaded, Image.Image) and loaded.size == (1600, 400)
    (tmp_path / "text.png").write_text("<script>alert(1)</script>")
    (tmp_path / "noise.mp4").write_bytes(bytes(range(128, 256)) * 20)
    for name, kind, reason in (
        ("text.png", "image", "not_an_image"),
        ("none.png", "image", "missing"),
        ("noise.mp4", "video", "container"),
        (".", "video", "not_a_file"),
    ):
        with pytest.raises(MediaError) as caught:
            load_medium(tmp_path / name, kind)
        assert caught.value.reason == reason
