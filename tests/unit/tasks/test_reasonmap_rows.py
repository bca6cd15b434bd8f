"""ReasonMap's rows: converted by its script, read by its YAML, checked as a run does."""

from __future__ import annotations

import base64
import importlib.util
import io
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

from mmrl.data.check import check_data
from mmrl.data.load import open_dataset
from mmrl.errors import DataError
from mmrl.media.store import MediaStore
from mmrl.parse.routes import parse_map_answer
from mmrl.tasks.base import TASKS
from mmrl.tasks.transit.network import Network
from mmrl.tasks.transit.stations import station_list

ROOT = Path(__file__).parents[3]
ROWS = ROOT / "tests" / "data" / "rows" / "reasonmap"
STATIONS = ROWS / "stations"
PLACE = {"country": "united_arab_emirates", "city": "dubai", "difficulty_city": "easy"}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reasonmap", ROOT / "datasets_cfg/reasonmap.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def png() -> str:
    held = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 30, 30)).save(held, "png")
    return base64.b64encode(held.getvalue() + bytes(512)).decode()  # as long as a real one


def plus_row() -> dict[str, Any]:
    """The row that RewardMap prints, in the columns of ReasonMap-Plus."""
    item = json.loads((ROWS / "plus_sample.json").read_text())["items"][0]
    asked, said = (turn["value"] for turn in item["conversations"])
    return {**PLACE, "type": "Counting1", "question": asked, "answer": "ABCD".index(said),
            "station_1": "Danube Station", "station_2": "lbn Battuta Station",
            "city_line_count": 2, "city_transfer_count": 2,
            "question_transfer_count": -1}  # fmt: skip


def planning_row(**other: Any) -> dict[str, Any]:
    """A row of ReasonMap's form; its reference calls the line by the operator's name."""
    legs = [{"route_name": "MRed1", "departure_stop": "lbn Battuta", "arrival_stop": "BurJuman",
             "via_stops": ["Energy"], "num_via_stops": 1},
            {"route_name": "MGrn", "departure_stop": "BurJuman", "arrival_stop": "Oud Metha",
             "via_stops": None, "num_via_stops": 0}]  # fmt: skip
    return {**PLACE, "station_1": "lbn Battuta Station", "station_2": "Oud Metha Station",
            "question_short": "How do I get there?",
            "question_long": "How do I get there? … Number of Via Stops: ",
            "routes": {"plan_1": legs, "plan_2": None}, "difficulty_question": "middle",
            "question_transfer_count": 1, "figure": png(), **other}  # fmt: skip


def test_the_printed_row_of_reasonmap_plus_and_its_map_agree(script):
    (sample,) = script.converted(plus_row(), STATIONS, "x", "row 1")
    assert sample["answer"] == "B"
    lines = script.station_lists(STATIONS, "united_arab_emirates", "dubai", "row 1")
    ways = Network(lines).rides("Danube", "lbn Battuta")
    assert [len(way) for way in ways] == [1]
    assert "B) 1 " in sample["question"]
    assert not sample["question"].startswith("<image>")


def test_reference_lines_take_the_names_of_the_station_list(script):
    short, long = script.converted(planning_row(), STATIONS, "x", "row 1")
    assert [leg["route_name"] for leg in short["answer"]] == ["Red Line", "Green Line"]
    # the planner's own numbers stay in `plans`; what is asked for is what the list has
    assert [leg["num_via_stops"] for leg in long["plans"][0]] == [1, 0]
    assert [leg["num_via_stops"] for leg in long["answer"]] == [16, 0]
    assert long["answer"][0]["via_stops"][0] == "Jabal Ali Station"  # not Expo 2020, see BRANCHES
    assert (short["template"], long["template"]) == ("short", "long_count")
    assert (short["id"], long["id"]) == ("x-short", "x-long")
    assert "(Transfer" not in str(short["lines"]) and "(Branch" not in str(short["lines"])


def test_without_a_route_that_runs_the_best_one_is_searched(script):
    rows = [planning_row(routes=None), planning_row(routes="{}"),
            planning_row(routes={"p": [{"route_name": "MRed1", "departure_stop": "lbn Battuta",
                                        "arrival_stop": "Oud Metha"}]})]  # fmt: skip
    for row in rows:
        sample = next(script.converted(row, STATIONS, "x", "row 1"))
        assert [leg["route_name"] for leg in sample["answer"]] == ["Red Line", "Green Line"]
        assert sample["answer"][0]["departure_stop"] == "lbn Battuta Station"
    with pytest.raises(LookupError, match="no line leads from Paddington to Oud Metha"):
        list(
            script.converted(planning_row(routes=None, station_1="Paddington"), STATIONS, "x", "1")
        )


@pytest.mark.parametrize(
    ("text", "words"),
    [("[]", "maps lines to lists"), ('{"1": "ab"}', "maps lines to lists"),
     ('{"1": ["a", 2]}', "maps lines to lists"), ('{"1": ["a"]}', "needs two stops")],
)  # fmt: skip
def test_a_station_list_that_is_none_is_a_data_error(text, words, tmp_path):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(DataError, match=words):
        station_list(tmp_path / "x.json")


def test_a_branch_begins_where_it_leaves():
    lines = station_list(STATIONS / "united_arab_emirates" / "dubai.json")
    trunk, branch = lines["Red Line"]
    assert trunk[-1] == "Expo 2020 Station" and branch[-1] == "UAE Exchange Staton"
    assert branch[24:26] == ["Jabal Ali Station", "lbn Battuta Station"]
    assert trunk[:25] == branch[:25]
    assert isinstance(lines["Green Line"][0], str)


@pytest.mark.parametrize(
    ("kind", "answer", "target"),
    [("TorF1", 1, "yes"), ("TorF2", "0", "no"), ("Counting1", 3, "D"), ("Counting2", 2, 2),
     ("Counting3", "18", 18)],
)  # fmt: skip
def test_answers(script, kind, answer, target):
    assert script.target_of(kind, answer, "row") == target


@pytest.mark.parametrize(
    ("kind", "answer"),
    [("TorF1", 2), ("TorF1", "yes"), ("Counting1", 4), ("Counting2", None), ("Counting3", -1),
     ("planing", 1)],
)  # fmt: skip
def test_wrong_answers_are_data_errors(script, kind, answer):
    with pytest.raises(DataError, match=f"row 7: the answer {answer!r} is none"):
        script.target_of(kind, answer, "row 7")


def test_paths_stay_inside_their_folders(script, tmp_path):
    for country, city in (("..", "dubai"), ("/etc", "passwd"), ("united_arab_emirates", "../../x")):
        with pytest.raises(DataError, match=r"lead out of|no station list"):
            script.station_lists(STATIONS / "united_arab_emirates", country, city, "row")
        with pytest.raises(DataError, match="no name of a country or city"):
            script.picture({"country": country, "city": city, "figure": png()}, tmp_path, None, "r")
    (tmp_path / "secret.json").write_text('{"Line": ["a", "b"]}')
    (tmp_path / "in").mkdir()
    with pytest.raises(DataError, match="lead out of"):
        script.station_lists(tmp_path / "in", "..", "secret", "row")
    with pytest.raises(DataError, match="row 3: no station_1; there are country"):
        list(script.converted(planning_row(station_1=None), STATIONS, "x", "row 3"))
    with pytest.raises(DataError, match=r"holds no picture; give --maps with dubai\.png"):
        script.picture({**PLACE, "figure": "./maps/dubai.png"}, tmp_path, None, "row")


def test_from_rows_to_samples_that_pass_the_check(script, tmp_path, capsys):
    rows = tmp_path / "rows.jsonl"
    made = [planning_row(), {**plus_row(), "figure": "./maps/x.png"},
            {**planning_row(), "station_1": "Nowhere", "routes": None}]  # fmt: skip
    rows.write_text("\n".join(map(json.dumps, made)))
    there = tmp_path / "data" / "reasonmap"
    script.main(["--rows", str(rows), "--stations", str(STATIONS), "--to", str(there)])
    told = capsys.readouterr().out
    assert "planning_test.jsonl: 2 rows" in told and "plus_test.jsonl: 1 rows" in told
    assert "left out 1: dubai: no line leads from Nowhere" in told
    (tmp_path / "cfg").mkdir()
    for name, expected in (("reasonmap", 2), ("reasonmap_plus", 1)):
        text = (ROOT / "datasets_cfg" / f"{name}.yaml").read_text()
        lines = [line for line in text.splitlines() if not line.startswith("expected_rows")]
        cfg = tmp_path / "cfg" / f"{name}.yaml"
        cfg.write_text("\n".join(lines))
        with MediaStore(workers=1) as store:
            found = check_data(cfg, split="test", store=store)
        assert not [finding for finding in found if finding.level == "error"], found
        samples = open_dataset(cfg, "test")
        assert len(samples) == expected
        task = TASKS.get("reasonmap")
        assert all(
            task.weight is not None and task.weight(s) == (1.5 if name == "reasonmap" else 1.0)
            for s in samples
        )
    assert parse_map_answer(r"\boxed{B}").answer == samples[0].target
