"""`mmrl watch RUN`: a run that is being trained elsewhere, followed from its log."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console as Terminal
from rich.live import Live

from mmrl.errors import ConfigError, nearest
from mmrl.eval.lines import Log
from mmrl.eval.run_facts import config_of, steps_saved, summary_of, total_steps
from mmrl.eval.series import is_number
from mmrl.eval.warnings import Alarms
from mmrl.parse.visible import visible_line
from mmrl.train.observers.panel import Panel, clock, closing_table, evaluation_line, promotion_line

LOOK_EVERY_S = 1.0
"""Seconds between two looks at the log."""
SILENT_S = 120.0
"""Seconds without a new line after which the run is said to be silent (slow steps and
evaluations: ten times the longest so far, if that is more)."""
LINE_EVERY_S = 5.0
"""Seconds between plain lines where there is no terminal."""


def watch(args: argparse.Namespace) -> int:
    """Follows a run folder until the run ends or Ctrl-C, which leaves the run alone."""
    watcher = Watcher(Path(args.run_folder), Terminal(highlight=False, soft_wrap=True))
    try:
        watcher.follow()
    except KeyboardInterrupt:
        watcher.terminal.print("left; the run goes on by itself")
    return 0


class Watcher:
    """Shows a run folder on a terminal: the live table, or plain lines where it is none."""

    def __init__(
        self,
        folder: Path,
        terminal: Terminal,
        *,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.folder, self.terminal = folder, terminal
        self.sleep, self.now = sleep, now
        self.live = Live(console=terminal, refresh_per_second=4, transient=True)
        self.log = Log(folder / "metrics.jsonl")
        self.panel, self.alarms = Panel(None), Alarms()
        self._longest = 0.0
        self._heard: float | None = None
        self._last_line: float | None = None
        self._is_silent = False
        self._saved = 0

    def follow(self) -> None:
        """Looks again and again, until the run has ended."""
        self._wait_for_folder()
        self._say(f"watching {self.folder} (Ctrl-C leaves it)")
        if self.terminal.is_terminal:
            self.live.start()
        try:
            while not self.look():
                self.sleep(LOOK_EVERY_S)
        finally:
            if self.live.is_started:
                self.live.stop()
        self._farewell()

    def look(self) -> bool:
        """Reads and shows what is new; True when the run has ended."""
        summary = summary_of(self.folder)  # before the log: what it counts is then in the log
        most = total_steps(config_of(self.folder))
        new, was_cut = self.log.poll()
        records = [record for record in new if is_number(record.get("step"))]
        self._saved = steps_saved(records) + (0 if was_cut else self._saved)
        total = None if most is None else most - self._saved
        if was_cut:
            self._say("the run was resumed from an earlier checkpoint")
            self.panel, self.alarms = Panel(total), Alarms()
        self.panel.total = total
        evaluation = ""
        for record in records:
            evaluation = self._take(record) or evaluation
        if evaluation:
            self._say(evaluation)
        if records or self._heard is None:
            self._heard = self.now() if records else self._written()
            self._is_silent = False
        self._check_silence()
        if self.live.is_started:
            self.live.update(self.panel.renderable())
        ended = _has_ended(summary, total)
        due = self._last_line is None or self.now() - self._last_line >= LINE_EVERY_S
        if records and self.panel.done and not self.live.is_started and (due or ended):
            self._say(self.panel.line())
            self._last_line = self.now()
        return ended

    def _take(self, record: Mapping[str, Any]) -> str:
        """Feeds one record; returns the line of an evaluation."""
        new = self.alarms.add(record)
        phases = [v for k, v in record.items() if k.startswith("time/") and is_number(v)]
        seconds = float(sum(phases))
        self._longest = max(self._longest, seconds)
        line = ""
        if record.get("kind") == "step":
            self.panel.step(record, seconds if phases else None)
        elif record.get("kind") == "promotion":
            line = promotion_line(record)
        elif record.get("kind") == "eval":
            means = {k: record[k] for k in record if f"{k}_ci95" in record and is_number(record[k])}
            items = visible_line(str(record.get("items")))
            line = evaluation_line(int(record["step"]), items, means, seconds)
        for alarm in new:
            where = f"warning ({alarm.name}) at step {alarm.step}"
            self._say(f"{where}: {visible_line(alarm.message)}")
        return line

    def _check_silence(self) -> None:
        silent = self.now() - self._heard if self._heard is not None else 0.0
        limit = max(SILENT_S, 10 * self._longest)
        self.panel.note = ""
        if silent < limit:
            return
        text = f"nothing written for {clock(silent)}: evaluating for long, or stopped?"
        self.panel.note = text
        if not self._is_silent and not self.live.is_started:
            self._say(text)
        self._is_silent = True

    def _written(self) -> float:
        """When the log was last written (now, where there is none yet)."""
        return self.log.path.stat().st_mtime if self.log.path.is_file() else self.now()

    def _wait_for_folder(self) -> None:
        config = self.folder / "config.yaml"
        if config.is_file():
            return
        if self.folder.is_file() or (self.folder.is_dir() and any(self.folder.iterdir())):
            raise ConfigError(f"{self.folder}: not a run folder (it has no config.yaml)")
        runs = [p.parent.name for p in self.folder.parent.glob("*/config.yaml")]
        there = nearest(self.folder.name, runs)
        self._say(f"{self.folder}: no run there yet; waiting for it to start.{there}")
        while not config.is_file():
            self.sleep(LOOK_EVERY_S)

    def _farewell(self) -> None:
        summary = summary_of(self.folder)
        if summary.get("table"):
            self.terminal.print(closing_table(summary["table"]))
        stopped = f" ({visible_line(str(summary['stopped']))})" if summary.get("stopped") else ""
        self._say(f"the run has ended after {summary.get('steps')} steps{stopped}")
        report = self.folder / "report.html"
        self._say(f"report  {report if report.is_file() else f'mmrl report {self.folder}'}")

    def _say(self, text: str) -> None:
        self.terminal.print(text, markup=False)


def _has_ended(summary: Mapping[str, Any], total: int | None) -> bool:
    """Whether a summary is of the whole run; that of a run which was prolonged is not."""
    if not summary:
        return False
    return bool(summary.get("stopped")) or total is None or summary.get("steps", 0) >= total
