"""A recipe whose data reward runs programs: what it earns, and that nothing of it is left."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from mmrl.config.load import load_recipe
from mmrl.data.registry import DATASETS
from mmrl.errors import ConfigError
from mmrl.policy.scripted import Scripted
from mmrl.rewards import programs
from mmrl.sandbox.walls import missing_walls
from mmrl.tasks.base import TASKS
from mmrl.train import run as run_module
from mmrl.train.models import Doors
from mmrl.types import Sample

CSV = "x,y\nA,1\nB,2\nC,3"
LOOP = "<CODE>chart_data=DataFrame([(c,i+1) for i,c in enumerate('ABC')],columns=['x','y'])"
SCRIPT = {
    "B": [LOOP + "\\boxed{2}", "<CODE>chart_data=DataFrame({'x':['A','B','C']})\\boxed{2}"],
    "C": [LOOP + "\\boxed{2}", "<DIRECT>\\boxed{3}"],
}
RECIPE = {
    "name": "charts",
    "policy": {"model": "none"},
    "method": {"name": "grpo", "group_size": 2},
    "rollout": {"max_new_tokens": 256},
    "data": [{"dataset": "three_bars"}],
    "rewards": [
        {"name": "chart_answer", "weight": 0.8},
        {"name": "chart_data", "weight": 0.15, "kwargs": {"run": {"limits": {"wall_s": 10}}}},
    ],
    "train": {"steps": 1, "prompts_per_step": 2},
    "log": {"console": "quiet"},
}


def three_bars(split: str) -> list[Sample]:
    meta = {"programmable": "high", "csv_gt": CSV}
    return [
        Sample(id=name, task="chart_brief", question=name, target=target, meta=meta)
        for name, target in (("B", "2"), ("C", "3"))
    ]


@pytest.fixture
def policy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if missing_walls():
        pytest.skip(f"no isolation here: {dict(missing_walls())}")
    made = Scripted(SCRIPT, parser=TASKS.get("chart_brief").parse)

    def load(loaded: Any, *, quarantine: Path | None = None) -> Doors:
        return Doors(made, made, loaded.run.rollout, seed=loaded.run.seed)

    monkeypatch.setattr(run_module, "load_models", load)
    monkeypatch.setitem(DATASETS._parts, "three_bars", three_bars)
    yield


def test_programs_are_run_and_the_sandbox_ends_with_the_run(policy: None, tmp_path: Path) -> None:
    before = set(psutil.Process().children(recursive=True))  # pools that other tests left open
    run_module.train(load_recipe({**RECIPE, "run_dir": str(tmp_path / "run")}))
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    (step,) = [r for r in map(json.loads, lines) if r["kind"] == "step"]
    # a list that only running spells: 1, twice; one of two columns: 0.2 / 2 + 0.1 + 0.7; no code: 0
    assert step["reward/chart_data"] == pytest.approx((1 + 0.9 + 1 + 0) / 4)
    assert step["reward/chart_answer"] == pytest.approx(3 / 4)
    assert not programs._OPEN
    children = set(psutil.Process().children(recursive=True)) - before
    assert not [c for c in children if "mmrl.sandbox.zygote" in " ".join(c.cmdline())]


def test_a_wrong_setting_is_named_with_its_line(policy: None, tmp_path: Path) -> None:
    path = tmp_path / "charts.yaml"
    settings = {
        **RECIPE,
        "run_dir": str(tmp_path / "run"),
        "data": [{"task": "chart"}],
        "rewards": [{"name": "chart_data", "kwargs": {"run": {"wall_s": 3}}}],
    }
    path.write_text("\n".join(f"{k}: {json.dumps(v)}" for k, v in settings.items()))
    with pytest.raises(ConfigError, match=r'charts\.yaml:\d+: .*no setting "kwargs\.run\.wall_s"'):
        run_module.train(path)
