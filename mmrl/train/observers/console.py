"""The run on a terminal: one live line while it works, a plain line a step elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Literal

from rich.console import Console as Terminal
from rich.live import Live
from rich.table import Table
from rich.text import Text

from mmrl.eval.run import Evaluation
from mmrl.train.loop import StepReport
from mmrl.train.observers.base import Observer, RunInfo

Mode = Literal["auto", "live", "lines", "quiet"]
_SMOOTHING = 0.9


class Console(Observer):
    """Progress with rate and ETA, evaluations as they come, and the table at the end."""

    def __init__(self, mode: Mode, terminal: Terminal | None = None) -> None:
        self.terminal = terminal or Terminal(highlight=False, soft_wrap=True)
        if mode == "auto":
            mode = "live" if self.terminal.is_terminal else "lines"
        self.mode = mode
        self.live = Live(console=self.terminal, refresh_per_second=4, transient=True)
        self._total = self._start = 0
        self._rate: float | None = None
        self._last = time.perf_counter()
        self._since_line = 0.0
        self._shown: dict[str, float] = {}

    def on_start(self, info: RunInfo) -> None:
        self._total, self._start = info.total_steps, info.start_step
        self._last = time.perf_counter()
        if info.resumed:
            self._say(f"resuming {info.folder} at step {info.start_step} of {info.total_steps}")
        else:
            self._say(f"training {info.run.name} in {info.folder}, {info.total_steps} steps")
        if self.mode == "live":
            self.live.start()

    def on_progress(self, what: str, done: int, total: int) -> None:
        if self.mode == "live":
            self.live.update(Text(f"{what} {done}/{total}"))

    def on_step(self, report: StepReport) -> None:
        now = time.perf_counter()
        spent, self._last = now - self._last, now
        keep = _SMOOTHING if self._rate is not None else 0.0
        self._rate = keep * (self._rate or 0.0) + (1 - keep) * spent
        for name, value in report.metrics.items():
            old = self._shown.get(name, value)
            self._shown[name] = _SMOOTHING * old + (1 - _SMOOTHING) * value
        line = self._line(report)
        if self.mode == "live":
            self.live.update(Text(line))
        elif self.mode == "lines":
            self._since_line += spent
            is_last = report.clock.step + 1 == self._total
            if self._since_line >= 5.0 or is_last or report.clock.step == self._start:
                self._since_line = 0.0
                self._say(line)

    def on_eval(self, evaluation: Evaluation, seconds: float) -> None:
        shown = []
        for name, value in evaluation.estimates.items():
            if name not in ("length",):
                shown.append(f"{name} {value.mean:.3f}")
        self._say(
            f"step {evaluation.step}: {len(evaluation.items)} held-out samples in {seconds:.0f} s: "
            + ", ".join(shown)
        )
        if evaluation.skipped:
            self._say(f"  {len(evaluation.skipped)} samples left out: media unreadable or too long")
        self._last = time.perf_counter()

    def on_end(self, summary: Mapping[str, Any]) -> None:
        if self.live.is_started:
            self.live.stop()
        if self.mode == "quiet":
            return
        if summary.get("table"):
            self.terminal.print(_table(summary["table"]))
        for line in summary.get("lines", ()):
            self.terminal.print(line, markup=False)

    def close(self) -> None:
        """Gives the terminal back, whatever happened."""
        if self.live.is_started:
            self.live.stop()

    def _line(self, report: StepReport) -> str:
        step = report.clock.step + 1
        parts = [f"step {step}/{self._total}"]
        if report.clock.stage != "train":
            parts.append(report.clock.stage)
        for name, label in (
            ("reward", "reward"),
            ("score", "score"),
            ("loss", "loss"),
            ("length", "length"),
            ("zero_spread", "zero spread"),
        ):
            if name in self._shown and not (name == "loss" and "reward" in self._shown):
                parts.append(f"{label} {self._shown[name]:.3f}".rstrip("0").rstrip("."))
        rate = self._rate or 0.0
        parts.append(f"{rate:.2f} s/step")
        parts.append(f"ETA {_clock((self._total - step) * rate)}")
        return "  ".join(parts)

    def _say(self, text: str) -> None:
        if self.mode != "quiet":
            self.terminal.print(text, markup=False)


def _table(rows: Any) -> Table:
    table = Table()
    for name in ("metric", "before", "after", "difference", "95 % interval"):
        table.add_column(name, justify="left" if name == "metric" else "right")
    for row in rows:
        table.add_row(
            row["metric"],
            f"{row['before']:.3f}",
            f"{row['after']:.3f}",
            f"{row['difference']:+.3f}",
            f"[{row['low']:+.3f}, {row['high']:+.3f}]",
        )
    return table


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
