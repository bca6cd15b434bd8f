"""Two processes over gloo are one process: the same losses and gradients on the same groups."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).parent / "ranks" / "learn.py"


def launch(processes: int, *arguments: str) -> None:
    command = [sys.executable]
    if processes > 1:
        command += ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, *arguments], cwd=ROOT, env=env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("method", ["grpo", "dapo", "reinforce_pp"])
def test_two_processes_give_the_gradients_of_one(method, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    launch(1, str(SCRIPT), str(one), method)
    launch(2, str(SCRIPT), str(two), method)
    losses = [json.loads(p.with_suffix(".json").read_text()) for p in (one, two)]
    assert losses[0].keys() == losses[1].keys()
    for name, value in losses[0].items():
        assert losses[1][name] == pytest.approx(value, rel=1e-5, abs=1e-5), name
    first, second = (load_file(p.with_suffix(".safetensors")) for p in (one, two))
    scale = max(float(g.abs().max()) for g in first.values())
    assert scale > 1e-3
    assert first.keys() <= second.keys()
    for name, gradient in first.items():
        assert torch.allclose(second[name], gradient, rtol=0, atol=1e-5 * scale), name


@pytest.mark.slow
def test_two_processes_train_the_same_curve(tmp_path):
    curves = []
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        launch(
            processes,
            "-m",
            "mmrl",
            "train",
            "recipes/quickstart.yaml",
            f"run_dir={folder}",
            "train.steps=4",
            "train.prompts_per_step=4",
            "train.threads=1",
            "eval.limit=6",
            "log.console=quiet",
        )
        lines = (folder / "metrics.jsonl").read_text().splitlines()
        curves.append([json.loads(line) for line in lines])
    assert len(curves[0]) == len(curves[1]) == 6  # four steps, an evaluation before and after
    for one, two in zip(*curves, strict=True):
        for name in ("reward", "score", "loss", "grad_norm", "length", "iou", "iou_greedy"):
            if name in one:
                assert two[name] == pytest.approx(one[name], rel=1e-3, abs=1e-4), name
