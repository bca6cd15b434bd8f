"""TensorBoard, wandb and trackio: the same curves, each only where its package is installed.

At steps whose rollouts are written (`log.rollouts_every`) each also gets a few groups with their
picture, question, target, completions, rewards, parts and advantages.
"""

from __future__ import annotations

import importlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmrl.config.schema import Run
from mmrl.errors import ConfigError
from mmrl.eval.run import Evaluation
from mmrl.train.loop import StepReport
from mmrl.train.observers.base import Observer, RunInfo, due
from mmrl.train.observers.tables import COLUMNS, TableRow, markdown, markdown_table, table_rows


def _require(module: str, setting: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = module.split(".")[0] if module != "torch.utils.tensorboard" else "tensorboard"
        raise ConfigError(
            f"log.{setting}: true needs the package {name}: pip install mmrl[{setting}] ({error})"
        ) from error


def curves_of_step(report: StepReport) -> dict[str, float]:
    """What trackers draw of a step: metrics under train/, seconds under time/."""
    out = {f"train/{k}": v for k, v in report.metrics.items()}
    return out | {f"time/{k}": v for k, v in report.seconds.items()}


def curves_of_eval(evaluation: Evaluation) -> dict[str, float]:
    return {f"eval/{k}": v.mean for k, v in evaluation.estimates.items()}


def _cells(
    rows: Sequence[TableRow], image: Callable[[Any], Any], text: Callable[[str], str] = str
) -> list[list[Any]]:
    """Rows in the order of `COLUMNS`; a group's picture is wrapped once."""
    wrapped: dict[int, Any] = {}
    for row in rows:
        if row.picture is not None and id(row.picture) not in wrapped:
            wrapped[id(row.picture)] = image(row.picture)
    return [
        [
            *(row.step, text(row.group), text(row.sample), wrapped.get(id(row.picture))),
            *(text(row.question), text(row.target), text(row.completion), row.reward),
            *(text(row.parts_text), row.advantage),
        ]
        for row in rows
    ]


class TensorBoard(Observer):
    """Event files under `events/`; on resume what came after the checkpoint is purged."""

    def __init__(self, folder: Path) -> None:
        self.module = _require("torch.utils.tensorboard", "tensorboard")
        self.folder = folder / "events"
        self.writer: Any = None
        self.rollouts_every = 0

    def on_start(self, info: RunInfo) -> None:
        self.rollouts_every = info.run.log.rollouts_every
        purge = info.start_step if info.resumed else None
        self.writer = self.module.SummaryWriter(str(self.folder), purge_step=purge)

    def on_step(self, report: StepReport) -> None:
        for name, value in curves_of_step(report).items():
            self.writer.add_scalar(name, value, report.clock.step)
        if due(report, self.rollouts_every):
            for place, rows in enumerate(table_rows(report)):
                self._group(f"rollouts/{place}", rows)

    def _group(self, tag: str, rows: list[TableRow]) -> None:
        self.writer.add_text(tag, markdown_table(rows), rows[0].step)
        if rows[0].picture is not None:
            pixels = np.asarray(rows[0].picture)
            self.writer.add_image(f"{tag}/picture", pixels, rows[0].step, dataformats="HWC")

    def on_eval(self, evaluation: Evaluation, seconds: float) -> None:
        for name, value in curves_of_eval(evaluation).items():
            self.writer.add_scalar(name, value, evaluation.step)
        self.writer.flush()

    def on_end(self, summary: Mapping[str, Any]) -> None:
        self.writer.close()


class Wandb(Observer):
    """wandb, online or offline (`WANDB_MODE=offline`); a resumed run goes on under its id."""

    def __init__(self, folder: Path, run: Run) -> None:
        self.module = _require("wandb", "wandb")
        self.folder, self.run = folder, run

    def on_start(self, info: RunInfo) -> None:
        path = self.folder / "wandb_id"
        if not path.exists():
            path.write_text(secrets.token_hex(4))
        self.module.init(
            project=self.run.log.project,
            name=self.run.name,
            id=path.read_text(),
            dir=str(self.folder),
            resume="allow",
            config=self.run.model_dump(mode="json"),
        )

    def on_step(self, report: StepReport) -> None:
        logged: dict[str, Any] = {**curves_of_step(report), "step": report.clock.step}
        if due(report, self.run.log.rollouts_every):
            rows = [row for group in table_rows(report) for row in group]
            data = _cells(rows, self.module.Image)
            logged["rollouts"] = self.module.Table(columns=list(COLUMNS), data=data)
        self.module.log(logged)

    def on_eval(self, evaluation: Evaluation, seconds: float) -> None:
        self.module.log({**curves_of_eval(evaluation), "step": evaluation.step})

    def on_end(self, summary: Mapping[str, Any]) -> None:
        self.module.finish()


class Trackio(Observer):
    """trackio: a local dashboard with wandb's calls; its tables draw texts as Markdown."""

    def __init__(self, run: Run) -> None:
        self.module = _require("trackio", "trackio")
        self.run = run

    def on_start(self, info: RunInfo) -> None:
        self.module.init(
            project=self.run.log.project,
            name=self.run.name,
            config=self.run.model_dump(mode="json"),
            resume="allow",
        )

    def on_step(self, report: StepReport) -> None:
        logged: dict[str, Any] = dict(curves_of_step(report))
        if due(report, self.run.log.rollouts_every):
            rows = [row for group in table_rows(report) for row in group]
            data = _cells(rows, self.module.Image, text=markdown)
            frame = importlib.import_module("pandas").DataFrame(data, columns=list(COLUMNS))
            logged["rollouts"] = self.module.Table(dataframe=frame)
        self.module.log(logged, step=report.clock.step)

    def on_eval(self, evaluation: Evaluation, seconds: float) -> None:
        self.module.log(curves_of_eval(evaluation), step=evaluation.step)

    def on_end(self, summary: Mapping[str, Any]) -> None:
        self.module.finish()
