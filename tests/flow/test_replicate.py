"""`replicate` with jobs of its own: killed with them running, gone on with by the same call."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from mmrl.config.yaml import dump_yaml

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CALL = """
import signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
from mmrl.eval.replicate import replicate
folder, runs = map(Path, sys.argv[1:])
replicate(folder, seeds=[0], jobs=2, runs=runs, least_items=4)
"""
RECIPE = {
    "policy": {"model": "assets/tiny-vlm"},
    "method": {"name": "grpo", "group_size": 2, "normalize": "mean_only"},
    "rollout": {"max_new_tokens": 40},
    "optimizer": {"lr": 1e-4},
    "data": [{"task": "digit_box"}],
    "train": {"steps": 24, "prompts_per_step": 2, "threads": 1},
    "media": {"workers": 0},
    "checkpoint": {"every": 50},
}
CLAIM = {
    **{"name": "sees", "claim": "It looks.", "kind": "trained", "measure": "test.iou"},
    **{"arm": "plain", "against": "blind", "direction": "up", "source": "ours"},
}
CLAIMS = {
    "paper": {"title": "A toy", "arxiv": "0000.00000"},
    "evaluations": {"test": {"data": [{"task": "digit_box"}], "items": 4, "samples": 1}},
    "arms": {"plain": {}, "blind": {"blank": True}},
    "claims": [CLAIM],
}


def start(tmp: Path) -> subprocess.Popen[bytes]:
    folder = tmp / "toy"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tiny.yaml").write_text(dump_yaml(RECIPE))
    (folder / "claims.yaml").write_text(dump_yaml(CLAIMS))
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", CALL, str(folder), str(tmp / "runs")]
    return subprocess.Popen(command, cwd=ROOT, env=env)


def until(true: Callable[[], Any], seconds: float = 240.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def figures(tmp: Path) -> dict[str, Any]:
    lines = (tmp / "toy" / "log.jsonl").read_text().splitlines()
    return {row["arm"]: row["estimates"] for row in map(json.loads, lines)}


def training(runs: Path) -> bool:
    files = [runs / "toy" / f"{arm}_0" / "metrics.jsonl" for arm in ("plain", "blind")]
    return all(f.exists() and f.read_text().count('"step"') >= 3 for f in files)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
def test_killed_with_jobs_running_and_gone_on_with(tmp_path: Path, sign: signal.Signals) -> None:
    once = tmp_path / "whole"
    assert start(once).wait(300) == 0

    broken = tmp_path / "broken"
    process = start(broken)
    until(lambda: training(broken / "runs"))
    jobs = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(sign)
    process.wait(120)
    until(lambda: not any(job.is_running() and job.status() != "zombie" for job in jobs), 120)
    assert not (broken / "toy" / "log.jsonl").exists()
    # each job stopped at a step of its own choice, with a checkpoint
    for arm in ("plain", "blind"):
        assert list((broken / "runs" / "toy" / f"{arm}_0" / "checkpoints").glob("step-*"))
    assert start(broken).wait(300) == 0
    assert figures(broken) == figures(once)
    assert set(figures(once)) == {"plain", "blind"}
