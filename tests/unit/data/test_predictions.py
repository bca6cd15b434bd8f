"""Predictions in the forms of lmms-eval and VLMEvalKit."""

from __future__ import annotations

import csv
import json

import pytest

from mmrl.data.predictions import write_predictions
from mmrl.errors import DataError

ROWS = [
    {
        "id": "a",
        "task": "choice",
        "question": "which?\nA. left\tB. right",
        "target": "B",
        "prediction": '<answer>"B"</answer>',
        "options": ["left", "right"],
        "values": {"accuracy": 1.0},
    },
    {"id": 2, "task": "choice", "question": "q", "target": [1, 2], "prediction": ""},
    {"id": 3, "task": "a/b", "question": "q", "target": "x", "prediction": "y"},
]


def test_lmms_eval_lines(tmp_path):
    files = write_predictions(ROWS, tmp_path / "p")
    assert [f.name for f in files] == [
        "samples_choice.jsonl",
        "choice.tsv",
        "samples_a_b.jsonl",
        "a_b.tsv",
    ]
    lines = [json.loads(line) for line in files[0].read_text().splitlines()]
    assert [line["doc_id"] for line in lines] == [0, 1]
    assert lines[0]["resps"] == [['<answer>"B"</answer>']]
    assert lines[0]["filtered_resps"] == ['<answer>"B"</answer>']
    assert lines[0]["target"] == "B" and lines[0]["accuracy"] == 1.0
    assert lines[1]["target"] == "[1, 2]"


def test_vlmevalkit_table_survives_tabs_quotes_and_line_breaks(tmp_path):
    table = write_predictions(ROWS, tmp_path)[1]
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert rows[0]["question"] == ROWS[0]["question"]
    assert (rows[0]["A"], rows[0]["B"]) == ("left", "right")
    assert rows[0]["prediction"] == '<answer>"B"</answer>' and rows[0]["answer"] == "B"
    assert rows[1]["A"] == "" and rows[1]["index"] == "1" and rows[1]["answer"] == "[1, 2]"


def test_pandas_reads_the_table_as_vlmevalkit_does(tmp_path):
    pandas = pytest.importorskip("pandas")
    table = pandas.read_csv(write_predictions(ROWS, tmp_path)[1], sep="\t")
    assert table["prediction"][0] == '<answer>"B"</answer>' and len(table) == 2


def test_row_without_a_prediction_is_named(tmp_path):
    with pytest.raises(DataError, match="prediction 0 has no target, prediction; it has id, quest"):
        write_predictions([{"id": 1, "question": "q"}], tmp_path)
