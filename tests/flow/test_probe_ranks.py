"""Probes under two processes: each asks for its own groups, and finds what one process finds."""

from __future__ import annotations

import json
from pathlib import Path

from test_ranks import launch

SCRIPT = Path(__file__).parent / "ranks" / "probes.py"


def test_two_processes_find_what_one_finds(tmp_path):
    launch(1, str(SCRIPT), str(tmp_path / "one"))
    launch(2, str(SCRIPT), str(tmp_path / "two"))
    one = json.loads((tmp_path / "one" / "rank0.json").read_text())
    first, second = (json.loads((tmp_path / "two" / f"rank{r}.json").read_text()) for r in (0, 1))
    assert sorted(one["own"]) == ["0.0", "0.1", "0.2", "0.3"]
    assert sorted(first["own"]) == ["0.0", "0.2"] and sorted(second["own"]) == ["0.1", "0.3"]
    assert {**first["own"], **second["own"]} == one["own"]
    assert first["everyone"] == second["everyone"] == one["everyone"]
    assert sorted(len(found["contrasts"]) for found in one["own"].values()) == [0, 0, 1, 1]
    assert all(len(parts["consistency"]) == 4 for parts in one["everyone"].values())
