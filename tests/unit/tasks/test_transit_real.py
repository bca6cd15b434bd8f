"""Windows of real networks: true to their files, legible, and apart between splits."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from builders import CLOCK, a_rollout

from mmrl.errors import ConfigError
from mmrl.tasks.base import TASKS
from mmrl.tasks.transit.layout import Style, lay_out
from mmrl.tasks.transit.network import Network
from mmrl.tasks.transit.questions import KINDS, Ask
from mmrl.tasks.transit.real import (
    FOLDER,
    SPLITS,
    _longest_inside,
    networks_of,
    real_network,
)
from mmrl.tasks.transit.scene import MapLine, TransitMap, octilinear
from mmrl.types import Sample

HOMES = [(split, name) for split, names in SPLITS.items() for name in names]
FIELDS = ("departure_stop", "arrival_stop")


def draw(index: int, split: str, name: str, **options: object) -> Sample:
    world = TASKS.get("transit").world
    assert world is not None
    return world(index, split=split, seed=0, networks=[name], **options)


def test_each_network_has_one_split_and_each_split_its_files():
    names = [name for _, name in HOMES]
    assert len(set(names)) == len(names)
    assert sorted(names) == sorted(path.stem for path in FOLDER.glob("*.json"))


@pytest.mark.parametrize(("split", "name"), HOMES)
def test_windows_are_parts_of_their_network_and_gold_earns_all(split, name):
    task = TASKS.get("transit")
    network = real_network(name)
    steps: dict[str, set[frozenset[str]]] = {}
    for line in network.lines:
        steps[line.name] = set()
        for course in line.courses:
            stops = [node for node in course if isinstance(node, str)]
            assert set(stops) <= set(network.places)
            steps[line.name] |= {frozenset(pair) for pair in pairwise(stops)}
    for index, kind in enumerate(KINDS):
        level = ("easy", "medium", "hard")[index % 3]
        sample = draw(index, split, name, difficulty=[level], questions=[kind], marks=True)
        shown = Network(sample.meta["lines"])
        for line, value in sample.meta["lines"].items():
            courses = [value] if isinstance(value[0], str) else value
            for course in courses:
                assert {frozenset(pair) for pair in pairwise(course)} <= steps[line]
            # no line on its own
            assert {stop for course in courses for stop in course} & set(shown.interchanges)
        legible = {word for mark, word, *_ in sample.meta["marks"] if mark == "text"}
        asked = {sample.meta["station_1"], sample.meta["station_2"]} - {""}
        if kind == "planning":
            asked |= {leg[field] for leg in sample.target for field in FIELDS}
        assert asked <= legible
        gold = a_rollout(task.gold(sample))
        assert task.score(gold, sample) == 1.0
        for reward in task.rewards:
            assert reward(gold, sample, {}, CLOCK) in (reward.bounds[1], None), reward.name


def test_a_seed_gives_the_same_bytes():
    one, two = (draw(3, "train", "real", difficulty=["medium"]) for _ in range(2))
    assert one == two
    assert one.meta["city"] in SPLITS["train"]


def test_loops_are_cut_where_the_window_ends_and_stay_whole_inside():
    line = next(x for x in real_network("beijing").lines if x.name == "Line 2")
    (whole,) = line.courses
    assert whole[0] == whole[-1]
    network = real_network("beijing")
    for seed in range(40):
        window = network.window(np.random.default_rng(seed), 60)
        found = [x for x in window.lines if x.name == "Line 2"] if window else []
        for part in found:
            course = part.courses[0]
            stops = set(course)
            assert len(stops) == len(course) - (course[0] == course[-1])
            if course[0] == course[-1]:
                assert stops == {n for n in whole if isinstance(n, str)}
        if found:
            return
    raise AssertionError("no window with line 2")


def test_a_loop_may_be_cut_anywhere_and_a_course_only_where_it_leaves():
    loop, bend = ("A", "B", (1.0, 2.0), "C", "D", "A"), (1.0, 2.0)
    assert _longest_inside(loop, {"D", "A", "B"}) == ("D", "A", "B")
    assert _longest_inside(loop, {"B", "C", "D"}) == ("B", bend, "C", "D")
    assert _longest_inside(loop, {"A", "B", "C", "D"}) == loop
    assert _longest_inside(("A", "B", bend, "C", "D"), {"A", "C", "D"}) == ("C", "D")
    assert _longest_inside(("A", "B"), {"X"}) == ()


def test_branches_leave_where_they_do():
    """Rome's B parts at Bologna; ReasonMap's list has Jonio's branch behind Rebibbia."""
    line = next(x for x in real_network("rome").lines if x.name == "Line B")
    assert [course[-1] for course in line.courses] == ["Rebibbia", "Jonio"]
    one, two = line.courses
    assert one[:15] == two[:15] and one[14] == "Bologna"
    network = Network({"B": [list(course) for course in line.courses]})
    assert network.rides("Rebibbia", "Jonio") == ()
    assert [len(way) for way in network.rides("Laurentina", "Jonio")] == [17]


def crossing(stop_at: float) -> TransitMap:
    """Line a runs along y = 0 from 0 to 10; line b from (5, 5) to (5, stop_at) and on to (0, 0)."""
    places = {"P": (0.0, 0.0), "Q": (10.0, 0.0), "R": (5.0, 5.0), "S": (5.0, stop_at)}
    lines = (
        MapLine(name="a", colour=(0, 0, 200), courses=(("P", "Q"),), paths=(((0, 0), (10, 0)),)),
        MapLine(
            name="b", colour=(200, 0, 0), courses=(("R", "S", "P"),),
            paths=(((5, 5), (5, stop_at), (0, 0)),),
        ),
    )  # fmt: skip
    return TransitMap(lines, places)


def test_a_stop_on_a_line_that_does_not_serve_it_is_no_map():
    style = Style(side=224)
    assert lay_out(crossing(2.5), style) is not None
    assert lay_out(crossing(0.0), style) is None
    assert lay_out(crossing(0.2), style) is None
    assert lay_out(crossing(4.8), style) is None  # two stops in one place


def test_a_line_that_runs_along_another_unseen_is_no_map():
    """Line b bends onto line a between P and Q: whether it stops at Q cannot be seen."""
    places = {"P": (0.0, 0.0), "Q": (10.0, 0.0), "R": (2.0, 4.0)}

    def shown(*path: tuple[float, float]) -> TransitMap:
        lines = (
            MapLine(name="a", colour=(0, 0, 200), courses=(("P", "Q"),),
                    paths=(((0, 0), (10, 0)),)),
            MapLine(name="b", colour=(200, 0, 0), courses=(("R", "Q"),), paths=(path,)),
        )  # fmt: skip
        return TransitMap(lines, places)

    assert lay_out(shown((2, 4), (6, 0), (10, 0)), Style(side=224)) is None
    assert lay_out(shown((2, 4), (6, 4), (10, 0)), Style(side=224)) is not None


def test_paths_keep_to_the_eight_directions():
    assert octilinear((0, 0), (3, 0)) == ((0, 0), (3, 0))
    assert octilinear((0, 0), (5, 2)) == ((0, 0), (2, 2), (5, 2))
    assert octilinear((0, 0), (-2, 5)) == ((0, 0), (-2, 2), (-2, 5))
    assert octilinear((0, 0), (4, -4)) == ((0, 0), (4, -4))


def test_only_legible_stops_are_asked_about():
    network = Network({"x": list("abcdef"), "y": list("cgh")})
    for kind in ("planning", "torf1", "torf2", "counting1", "counting2"):
        for wish in range(8):
            ask = Ask(network=network, stops=("a", "b", "c", "h"), wish=wish, transfers=(0, 1))
            asked = ask(np.random.default_rng(wish), kind)
            if asked is not None:
                assert set(asked.stations) - {""} <= {"a", "b", "c", "h"}
    listed = Ask(network=network, stops=("a", "b", "c", "h"), template="long_list", wish=1,
                 transfers=(1, 1))  # fmt: skip
    assert listed(np.random.default_rng(0), "planning") is None  # g, passed to h, cannot be read


def test_wrong_networks_say_what_there_is():
    with pytest.raises(ConfigError, match='"rome" is in the split "test", not in "train"'):
        draw(0, "train", "rome")
    with pytest.raises(ConfigError, match='Did you mean "beijing"'):
        draw(0, "test", "bejing")
    with pytest.raises(ConfigError, match="networks is empty"):
        networks_of("train", [])
    with pytest.raises(ConfigError, match='no level "tiny"; they have'):
        draw(0, "train", "taipei", difficulty=["tiny"])
    assert networks_of("val", ["drawn", "real"]) == ("drawn", *SPLITS["val"])
