"""The drawn map world: exact answers, the same bytes for a seed, gold that earns the maximum."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
from builders import CLOCK, a_rollout
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mmrl.errors import ConfigError
from mmrl.parse.lines import line_key, stop_key
from mmrl.tasks.base import TASKS
from mmrl.tasks.transit.network import Network, Stage
from mmrl.tasks.transit.octilinear import LEVELS, LINE_COLOURS, draw_map
from mmrl.tasks.transit.questions import KINDS, TEMPLATES, Ask, Asked
from mmrl.types import Sample


def draw(index: int, **options: object) -> Sample:
    world = TASKS.get("transit").world
    assert world is not None
    return world(index, **{"split": "train", "seed": 0, **options})


# red A-B-C-D, blue C-E-F, green loop F-G-H-K, fork D-L-M and D-L-N
NET = Network(
    {
        "red": ["A", "B", "C", "D"],
        "blue": ["C", "E", "F"],
        "green": ["F", "G", "H", "K", "F"],
        "fork": [["D", "L", "M"], ["D", "L", "N"]],
    }
)


def test_routes_by_hand():
    assert NET.best_route("A", "D") == (Stage("red", ("A", "B", "C", "D")),)
    assert NET.best_route("A", "F") == (
        Stage("red", ("A", "B", "C")),
        Stage("blue", ("C", "E", "F")),
    )
    assert NET.best_route("M", "N") == (Stage("fork", ("M", "L")), Stage("fork", ("L", "N")))
    assert NET.best_route("F", "K") == (Stage("green", ("F", "K")),)  # the short way round
    assert NET.transfers_from("A") == {
        **dict.fromkeys("BCD", 0), **dict.fromkeys("EFLMN", 1), **dict.fromkeys("GHK", 2),
    }  # fmt: skip
    assert NET.interchanges == ("C", "D", "F")


def fewest(network: Network, start: str, end: str) -> tuple[int, int] | None:
    """(changes, stops) of the best route by trying all rides from all stops, ride after ride."""
    stops_to = {start: 0}
    for changes in range(len(network.stops)):
        fresh: dict[str, int] = {}
        for stop, count in stops_to.items():
            for other in network.stops:
                for way in network.rides(stop, other):
                    fresh[other] = min(fresh.get(other, 999), count + len(way) + 1)
        if end in fresh:
            return changes, fresh[end]
        stops_to = fresh
    return None


COURSES = st.lists(st.sampled_from("ABCDEFGH"), min_size=2, max_size=6, unique=True).flatmap(
    lambda c: st.sampled_from([c, [*c, c[0]]] if len(c) > 2 else [c])
)
NETWORKS = st.lists(
    st.builds(
        lambda tracks, way: {"tracks": tracks, "one_way": way},
        st.lists(COURSES, min_size=1, max_size=2),
        st.booleans(),
    ),
    min_size=1,
    max_size=4,
).map(lambda lines: Network({f"line {i}": line for i, line in enumerate(lines)}))


@settings(max_examples=200, deadline=None)
@given(NETWORKS, st.data())
def test_best_routes_are_those_of_trying_everything(network, data):
    """Loops, branches and one-way lines: equal changes and stops, and each leg is a ride."""
    start, end = data.draw(st.tuples(*[st.sampled_from(network.stops)] * 2))
    if start == end:
        return
    stages, best = network.best_route(start, end), fewest(network, start, end)
    assert network.transfers_from(start).get(end) == (best[0] if best else None)
    if stages is None:
        assert best is None
        return
    assert (len(stages) - 1, sum(len(s.stops) - 1 for s in stages)) == best
    assert (stages[0].stops[0], stages[-1].stops[-1]) == (start, end)
    for one, then in pairwise(stages):
        assert one.stops[-1] == then.stops[0]
    for stage in stages:
        line = network.lines[line_key(stage.line)]
        keys = [stop_key(stop) for stop in stage.stops]
        assert tuple(keys[1:-1]) in line.rides(keys[0], keys[-1])


@pytest.mark.parametrize(
    ("template", "level"), [*product(TEMPLATES, ("tiny", "easy", "medium", "hard"))]
)
def test_gold_earns_each_maximum_and_empty_each_minimum(template, level):
    task = TASKS.get("transit")
    for index in range(8):
        kind = KINDS[index % len(KINDS)]
        sample = draw(index, template=template, difficulty=[level], questions=[kind])
        gold, empty = a_rollout(task.gold(sample)), a_rollout("")
        assert (task.score(gold, sample), task.score(empty, sample)) == (1.0, 0.0)
        for reward in task.rewards:
            assert reward(gold, sample, {}, CLOCK) in (reward.bounds[1], None), reward.name
            assert reward(empty, sample, {}, CLOCK) in (reward.bounds[0], None), reward.name


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_routes_need_as_many_changes_as_asked_for(depth):
    for index in range(12):
        sample = draw(index, questions=["planning"], transfers=[depth, depth])
        network = Network(sample.meta["lines"])
        start, end = sample.meta["station_1"], sample.meta["station_2"]
        assert len(sample.target) - 1 == depth == network.transfers_from(start)[end]
        assert sample.meta["question_transfer_count"] == depth


def test_other_answers_are_those_of_the_graph():
    for index in range(60):
        sample = draw(index, questions=KINDS[1:])
        lines = {n: str(c) for n, c in sample.meta["lines"].items()}
        one, two = sample.meta["station_1"], sample.meta["station_2"]
        at = {n for n, c in lines.items() if f"'{one}'" in c}
        match sample.meta["type"]:
            case "TorF1":
                both = at & {n for n, c in lines.items() if f"'{two}'" in c}
                assert sample.target == ("yes" if both else "no")
            case "TorF2":
                asked = sample.question.removesuffix("?").split(" on ")[1]
                assert sample.target == ("yes" if asked in at else "no")
            case "Counting2":
                assert sample.target == len(at)
            case "Counting3":
                assert sample.target == len(lines)


def test_no_answer_shows_in_the_text():
    """Maps and questions without pictures: every answer of a kind is as often right as the others.

    2,000 draws of two answers stay within 0.5 +- 0.045 (4 standard deviations) of evenness, 3,000
    draws of four letters within 0.25 +- 0.032; so do they given the colour, the one word of a text
    that maps differ in by more than random letters.
    """
    level, rng = LEVELS["tiny"], np.random.default_rng(1)

    def asked(kind: str) -> Asked:
        wish, count = int(rng.integers(1 << 30)), int(rng.integers(2, 4))
        while True:
            shown = draw_map(rng, level, count)
            if shown is None:
                continue
            found = Ask(network=shown.network, stops=shown.network.stops, wish=wish)(rng, kind)
            if found is not None:
                return found

    for kind in ("torf1", "torf2", "counting2", "counting3"):
        drawn = [asked(kind) for _ in range(2000)]
        targets = Counter(a.target for a in drawn)
        assert len(targets) == 2
        assert max(targets.values()) / 2000 == pytest.approx(0.5, abs=0.045), (kind, targets)
        if kind == "torf2":
            for colour in LINE_COLOURS:
                own = Counter(a.target for a in drawn if a.question.endswith(f" {colour}?"))
                assert own["yes"] / own.total() == pytest.approx(0.5, abs=0.11), colour
    drawn = [asked("counting1") for _ in range(3000)]
    options = [dict(zip(a.question[-15::4], a.question[-13::4], strict=True)) for a in drawn]
    for right in (Counter(a.target for a in drawn),
                  Counter(o[a.target] for o, a in zip(options, drawn, strict=True))):  # fmt: skip
        assert len(right) == 4
        assert max(right.values()) / 3000 == pytest.approx(0.25, abs=0.032), right
    assert {frozenset(o.values()) for o in options} == {frozenset("0123")}


def test_each_tiny_stop_has_a_cell_and_its_letter_stands_in_it():
    for index in range(40):
        sample = draw(index, difficulty=["tiny"], marks=True)
        picture = np.asarray(Image.open(io.BytesIO(sample.media[0].data or b"")))
        assert picture.shape == (168, 168, 3)
        marks = sample.meta["marks"]
        letters = [m for m in marks if m[0] == "text"]
        stops = Network(sample.meta["lines"]).serving
        assert sorted(m[1] for m in letters) == sorted(stops)
        assert len({(m[2] // 28, m[3] // 28) for m in letters}) == len(letters)
        for _, letter, x, y in letters:
            assert abs(x % 28 - 14) <= 0.5 and abs(y % 28 - 14) <= 0.5
            here = sorted(
                m[1] for m in marks if m[0] == "colour" and abs(m[2] - x) < 2 > abs(m[3] - y)
            )
            assert here == sorted(line.name for line in stops[letter])
            disc = picture[round(y) - 6 : round(y) + 7, round(x) - 6 : round(x) + 7]
            assert disc.min() < 60 and disc.max() > 240  # ink on white
        lines = [m for m in marks if m[0] == "line"]
        free = [
            m
            for m in lines
            if all(abs(m[2] - x) > 11 or abs(m[3] - y) > 11 for _, _, x, y in letters)
        ]
        for _, colour, x, y in free:  # away from stops the colour is exactly there
            seen = picture[int(y), int(x)].astype(int)
            assert np.abs(seen - LINE_COLOURS[colour]).max() < 12, (index, colour, x, y)
        assert {m[1] for m in lines} == set(sample.meta["lines"])


def test_same_arguments_same_bytes_and_each_argument_counts():
    first, again = draw(5), draw(5)
    assert first == again and first.media[0].data == again.media[0].data
    changes: list[dict[str, object]] = [{}, {"seed": 1}, {"split": "test"}]
    pictures = [draw(i, **c).media[0].data for i in (5, 6) for c in changes]

    assert len(set(pictures)) == 6


def test_reasonmap_takes_answers_without_tags():
    task = TASKS.get("reasonmap")
    sample = replace(draw(1, questions=["torf1"]), task="reasonmap")
    text = rf"so \boxed{{{sample.target}}}"
    assert task.score(replace(a_rollout(text), parsed=task.parse(text)), sample) == 1.0


def test_unknown_options_name_the_nearest():
    with pytest.raises(ConfigError, match='Did you mean "easy"'):
        draw(0, difficulty=["esay"])
    with pytest.raises(ConfigError, match='Did you mean "planning"'):
        draw(0, questions=["planing"])
    with pytest.raises(ConfigError, match='Did you mean "compact"'):
        draw(0, template="compat")
