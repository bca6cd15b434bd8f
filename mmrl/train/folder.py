"""A run folder: what lies where, and how it is cut back to a checkpoint.

config.yaml  metrics.jsonl  rollouts/  evals/  stages/  checkpoints/  model/  best/
summary.json  report.html  quarantine.jsonl  events/
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from mmrl.config.load import dump_run
from mmrl.config.schema import Run
from mmrl.errors import ConfigError

_MAY_CHANGE = (
    "log",
    "checkpoint",
    "train.time_limit_s",
    "train.steps",
    "train.prefetch",
    "run_dir",
)
"""Settings that may differ between the first start of a run and its continuation."""


class RunFolder:
    """One run's folder; every path is inside of it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def rollouts(self) -> Path:
        return self.path / "rollouts"

    def evaluation(self, step: int) -> Path:
        return self.path / "evals" / f"step-{step:06d}.jsonl"

    def collected(self, stage: str, half: str) -> Path:
        """The file of what a collect stage has "kept" or "failed"."""
        return self.path / "stages" / stage / f"{half}.jsonl"

    @property
    def summary(self) -> dict[str, Any] | None:
        """The summary of a finished run, or None."""
        path = self.path / "summary.json"
        return json.loads(path.read_text()) if path.exists() else None

    def claim(self, run: Run, *, fresh: bool) -> None:
        """Makes the folder this recipe's; a folder of another recipe is refused."""
        config = self.path / "config.yaml"
        if fresh and self.path.exists():
            if not config.exists() and any(self.path.iterdir()):
                raise ConfigError(f"{self.path} is not a run folder; --fresh would delete it")
            shutil.rmtree(self.path)
        if config.exists():
            differing = _differences(yaml.safe_load(config.read_text()), _as_data(run))
            if differing:
                raise ConfigError(
                    f"{self.path} holds a run with other settings: {'; '.join(differing[:8])}. "
                    "Continue it with its own settings, give this one another `name` or "
                    "`run_dir`, or delete the old one with --fresh"
                )
        self.path.mkdir(parents=True, exist_ok=True)
        self.write("config.yaml", dump_run(run))

    def write(self, name: str, text: str) -> Path:
        """Writes a file aside and renames it."""
        path = self.path / name
        aside = path.with_name(f".{name}.part")
        aside.write_text(text)
        os.replace(aside, path)
        return path

    def replace(self, name: str, save: Callable[[Path], None]) -> Path:
        """Lets `save` fill a folder that then takes the place of `name`."""
        final, aside = self.path / name, self.path / f".{name}.part"
        shutil.rmtree(aside, ignore_errors=True)
        save(aside)
        if final.exists():
            shutil.rmtree(final)
        os.replace(aside, final)
        return final

    def sizes(self) -> dict[str, int]:
        """Lengths of the append-only logs, for the checkpoint."""
        metrics = self.metrics.stat().st_size if self.metrics.exists() else 0
        return {"metrics": metrics, **{n: p.stat().st_size for n, p in self._collected().items()}}

    def _collected(self) -> dict[str, Path]:
        """Files of collect stages by their name in the folder."""
        return {str(p.relative_to(self.path)): p for p in self.path.glob("stages/*/*.jsonl")}

    def cut_back(self, sizes: Mapping[str, int], *, next_step: int) -> None:
        """Removes what was logged at or after `next_step`, the step that will be run again."""
        if self.metrics.exists():
            os.truncate(self.metrics, sizes.get("metrics", 0))
        for name, path in self._collected().items():
            os.truncate(path, sizes.get(name, 0))
        for path in self.rollouts.glob("step-*"):
            if int(path.name[5:11]) >= next_step:
                path.unlink()
        for path in (self.path / "evals").glob("step-*.jsonl"):
            if int(path.name[5:11]) > next_step or next_step == 0:
                path.unlink()


def _as_data(run: Run) -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load(dump_run(run))
    return data


def _differences(old: Any, new: Any, prefix: str = "") -> list[str]:
    if prefix and any(prefix == k or prefix.startswith(f"{k}.") for k in _MAY_CHANGE):
        return []
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            line
            for key in sorted({*old, *new})
            for line in _differences(
                old.get(key), new.get(key), f"{prefix}.{key}" if prefix else key
            )
        ]
    return [] if old == new else [f"{prefix} was {old!r}, is {new!r}"]
