"""ReasonMap's map score and weights by hand; weighted accuracy as evaluation reports it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import a_sample, answered

from mmrl.errors import DataError
from mmrl.eval.run import Item, _weighted
from mmrl.parse.routes import Leg, route_text
from mmrl.rewards.map_score import map_score_long, map_score_short, question_weight
from mmrl.tasks.base import TASKS

LINES = {"Line 1": list("ABCD"), "Line 2": list("CEF"), "Line 3": ["A", "X", "Y", "F"]}


def leg(line: str, start: str, end: str, *via: str) -> dict[str, object]:
    return {
        "route_name": line, "departure_stop": start, "arrival_stop": end,
        "via_stops": list(via), "num_via_stops": len(via),
    }  # fmt: skip


CHANGE = [leg("Line 1", "A", "C", "B"), leg("Line 2", "C", "F", "E")]
DIRECT = [leg("Line 3", "A", "F", "X", "Y")]


def asked(template: str, target: list[dict[str, object]] = CHANGE, **meta: object):
    return a_sample(target, lines=LINES, template=template, difficulty_city="easy", **meta)


@pytest.mark.parametrize(
    ("answer", "points"),
    [
        ("Line 1: A > C; Line 2: C > F", 19),  # 1 + 2 x (2 + 1 + 1), and 10 for right
        ("Line 1: A > D; Line 2: C > F", 8),  # one arrival wrong: 1 + 3 + 4
        ("Line 2: A > C; Line 2: C > F", 7),  # one line wrong
        ("Line 3: A > F", 12),  # right on another way: 1 + departure, and 10
        ("Line 1: A > C", 0),  # wrong end
        ("Line 1: A > C; Line 2: C > F; Line 2: F > F", 9),  # a leg too many, not right
        ("", 0),
    ],
)
def test_short_points(answer, points):
    sample = asked("short")
    assert map_score_short(answered(answer), sample) == points
    assert map_score_long(answered(answer), sample) is None


def test_points_for_parts_of_short_answers_end_at_ten():
    lines = {**LINES, "Line 4": ["F", "G"]}
    sample = a_sample([*CHANGE, leg("Line 4", "F", "G")], lines=lines, template="short")
    right = "Line 1: A > C; Line 2: C > F; Line 4: F > G"
    assert map_score_short(answered(right), sample) == 20  # 1 + 12, at most 10, and 10
    assert map_score_short(answered(right.replace("Line 2", "Line 1")), sample) == 10  # 1 + 10


def test_the_best_reference_plan_counts():
    sample = asked("short", plans=[CHANGE, DIRECT])
    assert map_score_short(answered("Line 3: A > F"), sample) == 15  # 1 + 4, and 10
    assert map_score_short(answered("Line 1: A > C; Line 2: C > F"), sample) == 19


def said(first: int | tuple[str, ...] | None, second: int | tuple[str, ...] | None) -> str:
    legs = []
    for (line, start, end), via in zip(
        (("Line 1", "A", "C"), ("Line 2", "C", "F")), (first, second), strict=True
    ):
        count, names = (via, None) if isinstance(via, int) else (None, via)
        legs.append(Leg(line, start, end, names, count))
    return route_text(tuple(legs))


@pytest.mark.parametrize(
    ("template", "first", "second", "points"),
    [
        ("long_count", 1, 1, 9 + 8 + 20),
        ("long_count", 2, 1, 9 + 2 + 4 + 20),  # 4 - 4 x 1 / max(2, 1)
        ("long_count", 0, 1, 9 + 0 + 4 + 20),
        ("long_count", None, None, 9 + 20),
        ("long_list", ("B",), ("E",), 9 + 6 + 20),  # (10 x 1 + 2) / 2
        ("long_list", ("B", "D"), ("E",), 29 + (20 / 3 + 2) / 2),
        ("long_list", (), (), 9 + 20),
        ("long_list", None, None, 9 + 20),
    ],
)
def test_long_points(template, first, second, points):
    value = map_score_long(answered(said(first, second)), asked(template))
    assert value == pytest.approx(points)


def test_empty_lists_agree_and_points_for_parts_are_capped():
    near = [leg("Line 1", "A", "B")]
    assert map_score_long(answered(route_text((Leg("Line 1", "A", "B", ()),))),
                          asked("long_list", near)) == 1 + 4 + 5 + 20  # fmt: skip
    stops = [f"S{i}" for i in range(20)]
    sample = a_sample(
        [leg("L", "S0", "S19", *stops[1:-1])], lines={"L": stops}, template="long_list"
    )
    full = route_text((Leg("L", "S0", "S19", tuple(stops[1:-1])),))
    assert map_score_long(answered(full), sample) == 15 + 20  # 1 + 4 + (10 + min(10, 18)) / 2


@pytest.mark.parametrize(
    ("meta", "weight"),
    [
        ({"difficulty_city": "easy"}, 1.0),
        ({"difficulty_city": "hard", "question_transfer_count": 1}, 2.5),
        ({"difficulty_city": "middle", "question_transfer_count": 5}, 2.5),
        ({"difficulty_city": "hard", "difficulty_question": "hard"}, 3.0),
        ({"difficulty_city": "hard", "difficulty_question": "easy"}, 2.0),
    ],
)
def test_weights_of_planning(meta, weight):
    assert question_weight(a_sample(CHANGE, lines=LINES, **meta)) == weight


def test_weights_of_other_questions():
    found = [
        question_weight(a_sample("yes", difficulty_city=d)) for d in ("easy", "middle", "hard")
    ]
    assert found == [1.0, 1.5, 2.0]
    with pytest.raises(DataError, match='difficulty_city"\\] is None'):
        question_weight(a_sample("yes"))


def test_weighted_accuracy_is_the_sum_over_the_weights():
    """Weights 1, 2 and 1.5 with scores 1, 0 and 0.5: (1 + 0 + 0.75) / 4.5."""
    task = TASKS.get("reasonmap")
    samples = [replace(a_sample("yes", difficulty_city=d), id=str(i), task=task.name)
               for i, d in enumerate(("easy", "hard", "middle"))]  # fmt: skip
    items = [Item(id=str(i), task=task.name, values={"right": v}, texts=())
             for i, v in enumerate((1.0, 0.0, 0.5))]  # fmt: skip
    values = [item.values["weighted_right"] for item in _weighted(items, samples)]
    assert sum(values) / 3 == pytest.approx(1.75 / 4.5)
    assert _weighted([Item(id="x", task="choice", values={"right": 1.0}, texts=())], []) == [
        Item(id="x", task="choice", values={"right": 1.0}, texts=())
    ]
