"""kill -9 at any moment, the same command again: bit for bit the run that was never stopped."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
RECIPE = Path(__file__).parent / "resume" / "recipe.yaml"

KILLS = [
    "checkpoint_half_written:1",
    "checkpoint_half_written:3",
    "checkpoint_renamed:2",
    "evaluating:2",
    "evaluating:8",
    "evaluation_logged:3",
    "refill:1",
    "refill:4",
    "ema_updated:2",
    "ema_updated:7",
    "round_scored:6",
    "stage_border:1",
    "stage_border:2",
    "metrics_written:5",
    "step_collected:10",
]


def start(folder: Path, kill: str = "", *, recipe: Path = RECIPE) -> int:
    """Runs a recipe in `folder`; the exit code (-9 when it was killed)."""
    env = {**os.environ, "MMRL_TEST_KILL": kill, "MMRL_TEST_HIT": str(folder) + ".hit"}
    env["OMP_NUM_THREADS"] = "1"
    command = [sys.executable, "-m", "mmrl", "train", str(recipe), f"run_dir={folder}"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode in (0, -9), done.stderr
    return done.returncode


def record(folder: Path) -> dict[str, object]:
    """What must be equal: logs without clock readings, rollouts, evaluations, weights."""
    metrics = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    kept = [{k: v for k, v in m.items() if not k.startswith("time/")} for m in metrics]
    files = [*folder.glob("rollouts/step-*.jsonl"), *folder.glob("evals/*.jsonl")]
    files += [*folder.glob("model/*.safetensors"), *folder.glob("best/*.safetensors")]
    last = sorted(folder.glob("checkpoints/step-*"))[-1]
    files += sorted(last.glob("*.safetensors"))
    names = {str(p.relative_to(folder)): p for p in sorted(files)}
    digests = {n: hashlib.sha256(p.read_bytes()).hexdigest() for n, p in names.items()}
    state = json.loads((last / "state.json").read_text())
    for clock in ("seconds_train", "seconds_total"):
        state["progress"].pop(clock)
    state.pop("logs")
    return {"metrics": kept, "digests": digests, "state": state}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert start(folder) == 0
    return record(folder)


def test_two_undisturbed_runs_are_equal(undisturbed, tmp_path):
    assert start(tmp_path / "run") == 0
    assert record(tmp_path / "run") == undisturbed


@pytest.mark.parametrize("kill", KILLS)
def test_a_killed_run_goes_on_as_if_nothing_had_happened(kill, undisturbed, tmp_path):
    folder = tmp_path / "run"
    assert start(folder, kill) == -9, f"the moment {kill} never came"
    assert Path(f"{folder}.hit").read_text() == kill.split(":")[0]
    assert start(folder) == 0
    assert record(folder) == undisturbed


def test_many_kills_of_one_run(undisturbed, tmp_path):
    folder = tmp_path / "run"
    for kill in ("step_collected:4", "evaluating:2", "refill:2", "checkpoint_half_written:1"):
        assert start(folder, kill) == -9
    assert start(folder) == 0
    assert record(folder) == undisturbed
