"""What answers draw: the boxes that rewards read, in shares of the picture, whatever is written."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from mmrl.media.header import read_video_header
from mmrl.media.image import read_image_header
from mmrl.rewards.iou import boxes_iou_reward
from mmrl.tasks.base import TASKS
from mmrl.tasks.overlay import (
    MOST_MARKS,
    BoxMark,
    Overlay,
    Place,
    PointMark,
    RouteMark,
    SpanMark,
    answer_overlay,
    gold_overlay,
)
from mmrl.types import MediaInfo, MediaRef, Prompt, Rollout, Sample, StopReason

LEVELS = [
    (name, level)
    for name in TASKS
    if TASKS.get(name).world is not None
    for level in TASKS.get(name).levels
]
PICTURE = MediaInfo(
    kind="image", digest="0", original_size=(200, 100), processed_size=(196, 112), num_tokens=28
)
CLIP = replace(PICTURE, kind="video", seconds=(0.0, 1.0))


def info_of(ref: MediaRef) -> MediaInfo:
    header = read_image_header(ref) if ref.kind == "image" else read_video_header(ref)
    return MediaInfo(
        kind=ref.kind,
        digest="0",
        original_size=header.size,
        processed_size=header.size,
        num_tokens=1,
    )


def drawn(
    task: str,
    text: str,
    target=None,
    *,
    family: str | None = None,
    media: tuple[MediaInfo, ...] = (PICTURE,),
    **meta,
) -> Overlay:
    """What a completion draws of a sample with that target and meta."""
    found = TASKS.get(task)
    prompt = Prompt(messages=(), token_ids=(1,), media=media, coord_space=family)
    rollout = Rollout(
        prompt=prompt,
        sampled_under=prompt,
        segments=(),
        text=text,
        offsets=(),
        parsed=found.parse(text),
        stop=StopReason.EOS,
        policy_step=0,
    )
    sample = Sample(id="s", task=task, question="?", target=target, meta=meta)
    overlay = answer_overlay(found, rollout, sample)
    assert overlay is not None
    return overlay


def says(answer: str, reason: str = "so") -> str:
    return f"<think>{reason}</think><answer>{answer}</answer>"


@pytest.mark.parametrize(("name", "level"), LEVELS)
def test_what_the_reference_draws_lies_on_its_media(name: str, level: str) -> None:
    task = TASKS.get(name)
    assert task.world is not None
    for index in range(3):
        options = {**task.world_options, **task.levels[level]}
        sample = task.world(index, split="test", seed=3, **options)
        media = tuple(info_of(ref) for ref in sample.media)
        overlay = gold_overlay(task, sample, media)
        if task.overlay is None:
            assert overlay is None
            continue
        assert overlay is not None
        assert overlay.is_empty == (name == "transit" and not isinstance(sample.target, list))
        values = [v for mark in overlay.boxes for v in mark.box]
        values += [v for mark in overlay.points for v in mark.point]
        values += [v for mark in overlay.routes for point in mark.line for v in point]
        assert all(0.0 <= v <= 1.0 for v in values)
        assert all(0.0 <= m.span[0] < m.span[1] <= 4.0 for m in overlay.spans)


BOX_TASKS = ("digit_box", "letter_box", "shape_box", "gui_box", "many_box", "shape_point")


@pytest.mark.parametrize("name", BOX_TASKS)
def test_the_references_box_is_the_targets(name: str) -> None:
    task = TASKS.get(name)
    assert task.world is not None
    sample = task.world(0, split="test", seed=3)
    boxes = sample.target if name == "many_box" else [sample.target]
    overlay = gold_overlay(task, sample, ())
    assert overlay is not None  # whole hundredths of the sides: no size is needed
    assert [m.box for m in overlay.boxes] == [tuple(v / 100 for v in box) for box in boxes]


def test_the_places_of_stops_are_the_middles_of_their_badges() -> None:
    task = TASKS.get("transit")
    assert task.world is not None
    options = {**task.levels["tiny"], "questions": ("planning",), "marks": True}
    sample = task.world(1, split="train", seed=0, **options)
    side = info_of(sample.media[0]).original_size[0]
    texts = {word: (x, y) for kind, word, x, y in sample.meta["marks"] if kind == "text"}
    assert set(texts) == set(sample.meta["places"])
    for name, (x, y) in sample.meta["places"].items():  # letters stand inside of their stops
        assert abs(x * side - texts[name][0]) <= 1.5 and abs(y * side - texts[name][1]) <= 1.5


MAP = {
    "lines": {"red": ["A", "B", "C"], "blue": ["C", "D", "E", "F", "C"]},
    "places": {
        "A": (0.1, 0.1),
        "B": (0.5, 0.1),
        "C": (0.9, 0.1),
        "D": (0.9, 0.5),
        "E": (0.5, 0.5),
        "F": (0.5, 0.2),
    },
}


@pytest.mark.parametrize(
    ("answer", "lines"),
    [
        ("red: A > C", [((0.1, 0.1), (0.5, 0.1), (0.9, 0.1))]),
        ("red: C > A", [((0.9, 0.1), (0.5, 0.1), (0.1, 0.1))]),
        # round the loop by the shorter way, and by the longer where the answer names its stops
        ("blue: C > D", [((0.9, 0.1), (0.9, 0.5))]),
        (
            "blue: C > F > E > D",
            [((0.9, 0.1), (0.5, 0.2), (0.5, 0.5), (0.9, 0.5))],
        ),
        # no train: straight; no such stop: nothing, and the other leg is drawn all the same
        ("blue: A > E", [((0.1, 0.1), (0.5, 0.5))]),
        ("red: A > B; red: B > Z", [((0.1, 0.1), (0.5, 0.1))]),
        ("yes", []),
        ("3", []),
        ("red: A", []),
    ],
)
def test_a_route_follows_the_stops_that_it_passes(answer: str, lines: list) -> None:
    overlay = drawn("transit", says(answer), "yes", **MAP)
    assert [mark.line for mark in overlay.routes] == lines
    assert [mark.label for mark in overlay.routes] == [answer.split(":")[0]] * len(lines)


def test_a_map_without_places_draws_nothing() -> None:
    assert drawn("reasonmap", says("red: A > C"), "yes", lines=MAP["lines"]).is_empty


def test_boxes_are_those_that_the_reward_reads() -> None:
    text = says("[0, 0, 50, 50] or rather [50, 20, 150, 80]")
    of_one = drawn("grounding", text, (1, 1, 2, 2), coord_space="abs_original")
    assert [m.box for m in of_one.boxes] == [(0.25, 0.2, 0.75, 0.8)]  # the last one
    of_many = drawn("boxes", text, (1, 1, 2, 2), coord_space="abs_original")
    assert [m.box for m in of_many.boxes] == [(0.0, 0.0, 0.25, 0.5), (0.25, 0.2, 0.75, 0.8)]


@pytest.mark.parametrize(
    ("meta", "family", "expected"),
    [
        ({"coord_space": "abs_original"}, None, (0.25, 0.2, 0.5, 0.4)),  # of 200 x 100
        ({"coord_space": "abs_original"}, "norm_1000", (0.05, 0.02, 0.1, 0.04)),
        ({"coord_space": "norm_1"}, "norm_100", (0.5, 0.2, 1.0, 0.4)),
        (
            {"coord_space": "norm_1", "answer_space": "norm_1000"},
            "norm_100",
            (0.05, 0.02, 0.1, 0.04),
        ),
        ({"coord_space": "norm_1"}, "abs_resized", (50 / 196, 20 / 112, 100 / 196, 40 / 112)),
    ],
)
def test_an_answer_is_read_in_the_rewards_space(meta, family, expected) -> None:
    overlay = drawn("grounding", says("[50, 20, 100, 40]"), (0, 0, 1, 1), family=family, **meta)
    assert overlay.boxes[0].box == pytest.approx(expected, abs=1e-12)
    # the reward that reads the same text gives 1 to a reference of just these shares
    prompt = Prompt(messages=(), token_ids=(1,), media=(PICTURE,), coord_space=family)
    task = TASKS.get("grounding")
    rollout = Rollout(
        prompt=prompt,
        sampled_under=prompt,
        segments=(),
        text="",
        offsets=(),
        parsed=task.parse(says("[50, 20, 100, 40]")),
        stop=StopReason.EOS,
        policy_step=0,
    )
    space = meta.get("answer_space") or family or meta["coord_space"]
    known = {**meta, "coord_space": "norm_1", "answer_space": space}
    sample = Sample(id="s", task="grounding", question="?", target=expected, meta=known)
    assert boxes_iou_reward(rollout, sample) == pytest.approx(1.0)


def test_pixels_of_a_picture_of_unknown_size_are_no_place() -> None:
    text, target = says("[50, 20, 100, 40]"), (0, 0, 1, 1)
    assert drawn("grounding", text, target, media=(), coord_space="abs_original").is_empty
    assert drawn("grounding", text, target).is_empty  # nobody says what the numbers count


def test_places_draw_points_and_boxes_their_middle_too() -> None:
    meta = {"coord_space": "norm_1000"}
    point = drawn("gui", says("[[100, 200], [300, 400]]"), (0, 0, 9, 9), **meta)
    assert point == Overlay(points=(PointMark((0.3, 0.4)),))
    box = drawn("gui", says("[100, 200, 300, 400]"), (0, 0, 9, 9), **meta)
    assert box.boxes == (BoxMark((0.1, 0.2, 0.3, 0.4)),)
    assert box.points[0].point == pytest.approx((0.2, 0.3))


def test_things_keep_their_labels() -> None:
    answer = '[{"bbox_2d": [0, 0, 100, 50], "point_2d": [50, 25], "label": "<b>cat</b>"}]'
    meta = {"coord_space": "abs_original"}
    expected = Overlay(
        boxes=(BoxMark((0.0, 0.0, 0.5, 0.5), 0, "<b>cat</b>"),),
        points=(PointMark((0.25, 0.25), 0, "<b>cat</b>"),),
    )
    assert drawn("detection", says(answer), "none", **meta) == expected
    things = [{"bbox_2d": [0, 0, 100, 50], "point_2d": [50, 25], "label": "<b>cat</b>"}]
    sample = Sample(id="s", task="detection", question="?", target=things, meta=meta)
    assert gold_overlay(TASKS.get("detection"), sample, (PICTURE,)) == expected


def test_counts_draw_the_boxes_of_the_reasoning_and_of_the_row() -> None:
    meta = {"coord_space": "norm_100", "boxes": [(10, 10, 20, 20), (30, 30, 40, 40)]}
    text = says("2", reason="[10,10,30,30] [50,50,90,90]")
    overlay = drawn("grounded_count", text, 2, **meta)
    assert [m.box for m in overlay.boxes] == [(0.1, 0.1, 0.3, 0.3), (0.5, 0.5, 0.9, 0.9)]
    for task, boxes in (("grounded_count", meta["boxes"]), ("boxed_count", "[10,10,20,20]")):
        sample = Sample(id="s", task=task, question="?", target=2, meta={**meta, "boxes": boxes})
        gold = gold_overlay(TASKS.get(task), sample, (PICTURE,))
        assert gold is not None and gold.boxes[0].box == (0.1, 0.1, 0.2, 0.2)
    bare = Sample(id="s", task="boxed_count", question="?", target=2)
    assert gold_overlay(TASKS.get("boxed_count"), bare, (PICTURE,)) == Overlay()


def test_a_step_is_drawn_in_shares_whatever_the_model_writes_elsewhere() -> None:
    text = "<think>so</think><action>{'action': 'CLICK', 'position': [0.5, 0.25]}</action>"
    target = {"action": "CLICK", "position": [0.5, 0.25]}
    overlay = drawn("gui_action", text, target, family="norm_1000")
    assert overlay == Overlay(points=(PointMark((0.5, 0.25), 0, "click"),))
    sample = Sample(id="s", task="gui_action", question="?", target=target)
    assert gold_overlay(TASKS.get("gui_action"), sample, (PICTURE,)) == overlay


def test_spans_belong_to_the_clip() -> None:
    overlay = drawn("temporal", says("from 1.5 to 3.0 s"), (1, 2), media=(PICTURE, CLIP))
    assert overlay == Overlay(spans=(SpanMark((1.5, 3.0), 1),))
    share = {"span_unit": "share", "video_length": 40.0}
    sample = Sample(id="s", task="temporal", question="?", target=(0.25, 0.5), meta=share)
    assert gold_overlay(TASKS.get("temporal"), sample, (CLIP,)) == Overlay(
        spans=(SpanMark((10.0, 20.0)),)
    )


def test_a_target_that_cannot_be_read_draws_nothing() -> None:
    for task in ("grounding", "detection", "temporal", "gui_action", "transit"):
        sample = Sample(id="s", task=task, question="?", target="?", meta={"coord_space": "norm_1"})
        assert gold_overlay(TASKS.get(task), sample, (PICTURE,)) == Overlay()


HOSTILE = [
    "",
    "[nan, nan, nan, nan]",
    "[inf, 0, 1, 1]",
    "[1e308, 1e308, 1e309, 1e309]",
    "[-1e308, -1e308, 1e308, 1e308]",
    "[80, 80, 20, 20]",
    "[5, 5, 5, 5]",
    "[1, 2, 3",
    "[[1, 2, 3, 4, 5, 6, 7]]",
    "[1e400, 2]",
    "(1e308, 1e308)",
    "9" * 5000,
    f"[{'9' * 400}, {'9' * 400}]",
    f"{'9' * 400} - {'9' * 401}",
    "3.0 to 1.0",
    "00:99:99 - 1:2:3:4",
    "[" * 3000,
    '{"bbox_2d": [1e999, 0, 1, 1], "label": "x"}',
    '{"bbox_2d": ' + "[" * 500,
    "{'action': 'CLICK', 'position': [1e308, -1e308]}",
    "{'action': 'CLICK', 'position': [" + "9" * 4000 + ", 1]}",
    "red: A > " + "B > " * 400 + "C",
    "red: \x00 > \x1b[31m",
    "<script>alert(1)</script>\u202e",
]


@pytest.mark.parametrize("name", [n for n in TASKS if TASKS.get(n).overlay is not None])
def test_hostile_answers_draw_nothing_or_little_and_raise_nothing(name: str) -> None:
    task = TASKS.get(name)
    assert task.overlay is not None
    sample = Sample(id="s", task=name, question="?", target="?", meta=MAP)
    for text in HOSTILE:
        for space in ("abs_original", "abs_resized", "norm_1", "norm_1000"):
            place = Place(space, (PICTURE, CLIP))
            for said in (says(text, text), f"<think>{text}</think><action>{text}</action>", text):
                overlay = task.overlay.answer(task.parse(said), sample, place)
                written = json.dumps(overlay.to_json(), allow_nan=False)
                assert len(written) < 2000
                for mark in overlay.boxes:
                    assert mark.box[0] < mark.box[2] and mark.box[1] < mark.box[3]
                assert all(0 <= m.span[0] < m.span[1] < math.inf for m in overlay.spans)


@pytest.mark.parametrize("name", ["boxes", "many_box", "detection", "grounded_count"])
def test_ten_thousand_boxes_are_two_hundred(name: str) -> None:
    piece = '{"bbox_2d": [1, 2, 30, 40]} ' if name == "detection" else "[1, 2, 30, 40] "
    text = says(piece * 10_000, piece * 10_000)
    overlay = drawn(name, text, (0, 0, 9, 9), coord_space="norm_100")
    assert len(overlay.boxes) == MOST_MARKS == 200


def test_json_brings_an_overlay_back() -> None:
    overlay = Overlay(
        boxes=(BoxMark((0.25, -0.5, 0.75, 1.5), 1, "<cat>"),),
        points=(PointMark((0.1, 0.2)),),
        spans=(SpanMark((0.5, 1.25), 2),),
        routes=(RouteMark(((0.0, 0.1), (0.2, 0.3)), 0, "red"),),
    )
    written = overlay.to_json()
    assert written["boxes"] == [{"medium": 1, "box": [0.25, -0.5, 0.75, 1.5], "label": "<cat>"}]
    assert written["points"] == [{"medium": 0, "point": [0.1, 0.2], "label": ""}]
    assert written["spans"] == [{"medium": 2, "span": [0.5, 1.25], "label": ""}]
    assert written["routes"] == [{"medium": 0, "line": [[0.0, 0.1], [0.2, 0.3]], "label": "red"}]
    assert Overlay.from_json(json.loads(json.dumps(written))) == overlay


@pytest.mark.parametrize(
    "value",
    [
        None,
        3,
        [],
        {"boxes": 3, "points": {"point": [1, 2]}},
        {"boxes": [None, 3, {}, {"box": [0, 0, 1]}, {"box": [1, 1, 0, 0]}]},
        {"boxes": [{"box": [0, 0, math.nan, 1]}, {"box": [0, 0, 10**400, 1]}]},
        {"boxes": [{"box": [0, 0, 1, 1], "medium": -1}, {"box": ["0", 0, 1, 1]}]},
        {"points": [{"point": [math.inf, 0]}, {"point": [True, 0]}]},
        {"spans": [{"span": [2, 1]}, {"span": [-1, 1]}, {"span": [0, 1e300]}]},
        {"routes": [{"line": [[0, 0]]}, {"line": [[0, 0], None]}, {"line": 3}]},
    ],
)
def test_what_is_no_mark_is_left_out(value: object) -> None:
    assert Overlay.from_json(value).is_empty
