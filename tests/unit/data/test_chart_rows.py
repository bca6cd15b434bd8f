"""Chart data sets: rows as they are published, converted, read by the shipped YAML and checked.

The pictures are PlotQA's own; questions, answers and tables are written here, in that form.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from builders import CLOCK, a_rollout

from mmrl.data.check import check_data
from mmrl.data.load import open_dataset
from mmrl.media.store import MediaStore
from mmrl.tasks.base import TASKS
from mmrl.types import Sample

ROOT = Path(__file__).parents[3]
PICTURES = ROOT / "assets" / "charts" / "pictures"


@pytest.fixture(autouse=True)
def shipped_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TASKS, "_loaded", False)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = ROOT / "datasets_cfg" / "chart_rows.py"
    spec = importlib.util.spec_from_file_location("chart_rows", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def convert(script: ModuleType, monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    monkeypatch.setattr(sys, "argv", ["chart_rows.py", *map(str, words)])
    script.main()


def checked(tmp_path: Path, name: str, splits: dict[str, str]) -> list[Sample]:
    """The rows of the test split, by the shipped YAML, after `mmrl check` found nothing."""
    (tmp_path / "datasets_cfg").mkdir(exist_ok=True)
    cfg = tmp_path / "datasets_cfg" / f"{name}.yaml"
    text = (ROOT / "datasets_cfg" / f"{name}.yaml").read_text()
    kept = [line for line in text.splitlines() if not line.startswith(("expected_rows", "splits"))]
    cfg.write_text("\n".join([*kept, f"splits: {json.dumps(splits)}"]))
    with MediaStore(workers=0) as store:
        assert check_data(cfg, split="test", store=store) == []
    return list(open_dataset(cfg, "test"))


def values(sample: Sample, text: str) -> dict[str, float | None]:
    return {r.name: r(a_rollout(text), sample, {}, CLOCK) for r in TASKS.get("chart").rewards}


def plot(index: int, kind: str, models: list[dict[str, Any]]) -> dict[str, Any]:
    axes = {"x_axis": {"label": {"text": "Year"}}, "y_axis": {"label": {"text": "Country"}}}
    return {"image_index": index, "type": kind, "models": models, "general_figure_info": axes}


def test_plotqa(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    source = tmp_path / "published" / "test"
    (source / "png").mkdir(parents=True)
    for index, name in ((0, "181_line"), (1, "3_vbar_categorical")):
        shutil.copy(PICTURES / f"plotqa_{name}.png", source / "png" / f"{index}.png")
    years = {"x": ["2008", "2009"], "name": "Brazil", "y": [10.5, 20]}
    notes = [
        plot(0, "line", [years, {"x": ["2008", "2009"], "y": [1, 2], "name": "Chile"}]),
        plot(1, "hbar_categorical", [{"y": ["Peru", "Cuba"], "x": [3, 4], "name": "Births"}]),
        plot(2, "line", [years, {"x": ["2007", "2009"], "y": [1, 2], "name": "Chile"}]),
    ]
    asked = [
        (0, "What is the number in Brazil in 2009 ?", 20, "data_retrieval"),
        (0, "Does the graph contain grids ?", "Yes", "structural"),
        (1, "What is the ratio of Births in Peru to Cuba ?", 0.75, "reasoning"),
        (9, "What is not there ?", "No", "structural"),
    ]
    pairs = [
        {"image_index": i, "question_string": q, "answer": a, "template": t, "question_id": n}
        for n, (i, q, a, t) in enumerate(asked)
    ]
    (source / "annotations.json").write_text(json.dumps(notes))
    (source / "qa_pairs_V2.json").write_text(json.dumps({"qa_pairs": pairs}))
    convert(script, monkeypatch, "plotqa", "--from", source, "--to", tmp_path / "data/plotqa/test")
    assert "3 rows (1 left out, without their picture)" in capsys.readouterr().out
    first, grids, ratio = checked(tmp_path, "plotqa", {"test": "test/rows.jsonl"})
    assert first.meta["csv_gt"] == "Year,Brazil,Chile\n2008,10.5,1\n2009,20,2"
    assert ratio.meta["csv_gt"] == "Country,Births\nPeru,3\nCuba,4"
    assert [s.meta["programmable"] for s in (first, grids, ratio)] == ["high", "low", "high"]
    assert script.plot_table(notes[2]) is None  # series at different places are no one table
    found = values(first, "<CODE>chart_data=pd.DataFrame({'Year':[2008,2009]})\\boxed{20.9}")
    # within 5 %; one column of three: 0.2 / 3 + 0.1 + 0.7
    assert found == {
        "chart_answer": 1.0, "chart_decision": 1.0, "chart_format": 1.0,
        "chart_data": pytest.approx(0.2 / 3 + 0.8),
    }  # fmt: skip
    assert values(grids, "<DIRECT>\\boxed{yes}")["chart_decision"] == 1.0


def test_chartqa(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    source = tmp_path / "ChartQA Dataset" / "test"
    for folder in ("png", "tables"):
        (source / folder).mkdir(parents=True)
    shutil.copy(PICTURES / "plotqa_181_line.png", source / "png" / "41.png")
    shutil.copy(PICTURES / "plotqa_1304_line.png", source / "png" / "42.png")
    (source / "tables" / "41.csv").write_text("Year,Share\n2019,45\n2020,50.5\n")
    (source / "tables" / "42.csv").write_text("Year,Share\n2019,45\n2020\n")  # rows of two widths
    human = [
        {"imgname": "41.png", "query": "How much was it in 2019?", "label": "45%"},
        {"imgname": "42.png", "query": "Which year is highest?", "label": "2020"},
    ]
    made = [{"imgname": "7.png", "query": "What is shown?", "label": "Shares"}]
    (source / "test_human.json").write_text(json.dumps(human))
    (source / "test_augmented.json").write_text(json.dumps(made))
    convert(script, monkeypatch, "chartqa", "--from", source, "--to", tmp_path / "data/chartqa/t")
    assert "2 rows (1 without a table; 1 left out" in capsys.readouterr().out
    first, second = checked(tmp_path, "chartqa", {"test": "t/rows.jsonl"})
    assert first.meta["csv_gt"] == "Year,Share\n2019,45\n2020,50.5"
    assert "csv_gt" not in second.meta
    assert values(first, "\\boxed{47}") == {
        "chart_answer": 1.0, "chart_decision": None, "chart_data": None, "chart_format": 1.0,
    }  # fmt: skip
    assert values(first, "\\boxed{48}")["chart_answer"] == 0.0
    assert values(second, "\\boxed{2021}")["chart_answer"] == 0.0  # a year is exact


def test_charxiv(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "charxiv"
    folder.mkdir(parents=True)
    picture = {"bytes": (PICTURES / "plotqa_181_line.png").read_bytes(), "path": "0.jpg"}
    row = {"image": picture, "reasoning_q": "Which line ends highest?", "reasoning_a": "Chile"}
    pq.write_table(pa.Table.from_pylist([row]), folder / "val.parquet")
    (sample,) = checked(tmp_path, "charxiv", {"test": "val.parquet"})
    assert sample.target == "Chile" and len(sample.media) == 1


def test_what_is_wrong_is_said(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(what: str, match: str) -> None:
        with pytest.raises(SystemExit, match=match):
            convert(script, monkeypatch, what, "--from", tmp_path / "in", "--to", tmp_path / "out")

    fails("chartqa", "in: no such folder")
    (tmp_path / "in").mkdir()
    fails("chartqa", r"no \*_human\.json")
    fails("plotqa", r"no qa_pairs_V2\.json")
    (tmp_path / "in" / "test_human.json").write_text('[{"imgname": "1.png", "question": "?"}]')
    fails("chartqa", r'test_human\.json: row 0: no "query"; there are imgname, question')
    (tmp_path / "in" / "test_human.json").write_text("[]")
    fails("chartqa", "no rows; is this the folder of a split")
