"""Two processes of one run leave together, and resume to the end of the run that never stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from test_ranks import launch

SCRIPT = Path(__file__).parent / "ranks" / "session.py"


def logged(folder: Path) -> list[dict[str, Any]]:
    rows = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [{k: v for k, v in row.items() if not k.startswith("time/")} for row in rows]


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    launch(2, str(SCRIPT), str(folder))
    return folder


def test_a_signal_or_a_clock_of_one_rank_is_all_ranks(runs):
    first, second = (json.loads((runs / f"rank{r}.json").read_text()) for r in (0, 1))
    assert first == second
    assert first["learning"] == first["evaluating"] == "interrupted"
    assert first["collecting"] == first["cut"] == "power cut"
    summary = json.loads((runs / "limited" / "summary.json").read_text())
    assert (summary["steps"], summary["stopped"]) == (2, "time limit")


def test_a_run_of_two_ranks_resumes_to_the_same_weights_and_collects_once(runs):
    ended = json.loads((runs / "rank0.json").read_text())
    assert ended["resumed"] == ended["whole"] != 0.0
    assert logged(runs / "broken") == logged(runs / "whole")
    for half, number in (("kept", 6), ("failed", 2)):
        whole, broken = (runs / r / "stages/filter" / f"{half}.jsonl" for r in ("whole", "broken"))
        assert whole.read_text() == broken.read_text()
        assert len(whole.read_text().splitlines()) == number
