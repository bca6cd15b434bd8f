"""A staged run killed in each of its stages ends bit for bit as the one that was never stopped."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from test_resume import record, start

pytestmark = pytest.mark.slow

RECIPE = Path(__file__).parent / "resume" / "stages.yaml"
MOMENTS = {
    "cold": ("step_collected", 2),
    "judge": ("promotion_logged", 2),
    "filter": ("collected_written", 6),
    "last": ("collected_read", 6),
}
"""Stage -> a moment that comes in it alone, and how often (the last: in each of three steps)."""


def whole_record(folder: Path) -> dict[str, object]:
    """As `record`, with the files of the collect stage."""
    files = {str(p.relative_to(folder)): p.read_text() for p in folder.glob("stages/*/*.jsonl")}
    return {**record(folder), "collected": files}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert start(folder, recipe=RECIPE) == 0
    summary = json.loads((folder / "summary.json").read_text())
    # judge answers in form at once: promoted at its second step of eight
    assert [(s["name"], s["steps"]) for s in summary["stages"]] == [
        ("cold", 2),
        ("judge", 2),
        ("filter", 3),
        ("last", 3),
    ]
    assert summary["stages"][2]["kept"] > 0
    return whole_record(folder)


@pytest.mark.parametrize("seed", [0])
def test_a_run_killed_in_every_stage_ends_as_if_nothing_had_happened(seed, undisturbed, tmp_path):
    folder, rng = tmp_path / "run", random.Random(seed)
    for stage, (moment, times) in MOMENTS.items():
        kill = f"{moment}:{rng.randint(1, times)}"
        assert start(folder, kill, recipe=RECIPE) == -9, f"{kill} in {stage} never came"
    assert start(folder, recipe=RECIPE) == 0
    assert whole_record(folder) == undisturbed
