"""The run on a terminal: a live table while it works, a plain line a step elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Literal

from rich.console import Console as Terminal
from rich.live import Live

from mmrl.eval.lines import read_jsonl
from mmrl.eval.run import Evaluation
from mmrl.eval.warnings import Alarms
from mmrl.train.loop import StepReport
from mmrl.train.observers.base import Observer, RunInfo, StageEnd
from mmrl.train.observers.panel import (
    Panel,
    closing_table,
    evaluation_line,
    memory_text,
    promotion_line,
    stage_line,
)
from mmrl.train.promotion import Promotion, promotion_record

Mode = Literal["auto", "live", "lines", "quiet"]
_LINE_EVERY_S = 5.0
"""Seconds between plain lines: a log of a fast run stays short."""


class Console(Observer):
    """Progress with rate and ETA, evaluations and warnings as they come, the table at the end."""

    def __init__(self, mode: Mode, terminal: Terminal | None = None) -> None:
        self.terminal = terminal or Terminal(highlight=False, soft_wrap=True)
        if mode == "auto":
            mode = "live" if self.terminal.is_terminal else "lines"
        self.mode = mode
        self.live = Live(console=self.terminal, refresh_per_second=4, transient=True)
        self.panel = Panel(None)
        self.alarms = Alarms()
        self._start = 0
        self._last = time.perf_counter()
        self._since_line = 0.0

    def on_start(self, info: RunInfo) -> None:
        self._start = info.start_step
        self.panel = Panel(info.total_steps)
        self._last = time.perf_counter()
        if info.resumed:
            for record in read_jsonl(info.folder / "metrics.jsonl"):
                self.alarms.add(record)  # what was told before is not told again
            self._say(f"resuming {info.folder} at step {info.start_step} of {info.total_steps}")
        else:
            self._say(f"training {info.run.name} in {info.folder}, {info.total_steps} steps")
        if self.mode == "live":
            self.live.start()

    def on_progress(self, what: str, done: int, total: int) -> None:
        if self.mode == "live":
            self.panel.note = f"{what} {done}/{total}"
            self.live.update(self.panel.renderable())

    def on_step(self, report: StepReport) -> None:
        now = time.perf_counter()
        spent, self._last = now - self._last, now
        record = {"kind": "step", "step": report.clock.step, "stage": report.clock.stage}
        record |= report.metrics
        self.panel.step(record, spent)
        self.panel.memory = memory_text()
        if self.mode == "live":
            self.live.update(self.panel.renderable())
        elif self.mode == "lines":
            self._since_line += spent
            is_last = self.panel.done == self.panel.total
            if self._since_line >= _LINE_EVERY_S or is_last or report.clock.step == self._start:
                self._since_line = 0.0
                self._say(self.panel.line())
        self._warn(record)

    def on_eval(self, evaluation: Evaluation, seconds: float) -> None:
        means = {name: value.mean for name, value in evaluation.estimates.items()}
        self._say(evaluation_line(evaluation.step, len(evaluation.items), means, seconds))
        if evaluation.skipped:
            self._say(f"  {len(evaluation.skipped)} samples left out: media unreadable or too long")
        intervals = {f"{n}_ci95": list(v.ci95) for n, v in evaluation.estimates.items()}
        self._warn({"kind": "eval", "step": evaluation.step, **means, **intervals})
        self.panel.note = ""
        self._last = time.perf_counter()

    def on_promotion(self, promotion: Promotion, seconds: float) -> None:
        self._say(promotion_line(promotion_record(promotion)))
        self.panel.note = ""
        self._last = time.perf_counter()

    def on_stage(self, end: StageEnd) -> None:
        self.panel.total = end.total_steps
        self._say(f"step {end.step}: stage {stage_line(end.facts())}")

    def on_end(self, summary: Mapping[str, Any]) -> None:
        self.close()
        if self.mode == "quiet":
            return
        if summary.get("table"):
            self.terminal.print(closing_table(summary["table"]))
        for line in summary.get("lines", ()):
            self.terminal.print(line, markup=False)

    def close(self) -> None:
        """Gives the terminal back, whatever happened."""
        if self.live.is_started:
            self.live.stop()

    def _warn(self, record: Mapping[str, Any]) -> None:
        for alarm in self.alarms.add(record):
            self._say(f"warning ({alarm.name}) at step {alarm.step}: {alarm.message}")

    def _say(self, text: str) -> None:
        if self.mode != "quiet":
            self.terminal.print(text, markup=False)
