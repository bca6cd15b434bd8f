"""What a terminal shows of a run: smoothed figures, rate, time left, memory; a line or a table.

The same for the process that trains and for `mmrl watch`; it imports no torch.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mmrl.eval.series import is_number
from mmrl.parse.visible import visible_line

SMOOTHING = 0.9
"""Share of the old value that each new step leaves."""
_SHOWN = {
    "reward": "reward",
    "score": "score",
    "kept": "kept",
    "accuracy": "accuracy",
    "length": "length",
    "zero_spread": "zero spread",
    "truncated": "truncated",
    "loss": "loss",
}
_NOT_AT_ZERO = ("truncated",)


class Panel:
    """Figures of a run that is followed step by step; `total` is None where it is not known."""

    def __init__(self, total: int | None) -> None:
        self.total = total
        self.done = 0
        self.stage = ""
        self.note = ""
        """What goes on beside the steps, as "evaluating 16/64"."""
        self.memory = ""
        self._rate: float | None = None
        self._figures: dict[str, float] = {}

    def step(self, record: Mapping[str, Any], seconds: float | None) -> None:
        """Takes the figures of a step (`step`, `stage` and metrics) that took so many seconds.

        Figures are exponential means; a new stage starts them anew. What is not finite is left out.
        """
        stage = str(record.get("stage", ""))
        if stage != self.stage:
            self._figures = {}
        self.stage, self.done, self.note = stage, int(record["step"]) + 1, ""
        if seconds is not None:
            self._rate = _smoothed(self._rate, seconds)
        for name in _SHOWN:
            value: Any = record.get(name)
            if is_number(value):
                self._figures[name] = _smoothed(self._figures.get(name), float(value))

    @property
    def seconds_left(self) -> float | None:
        """Estimated seconds to the last step; None before the first or without a total."""
        if self._rate is None or self.total is None:
            return None
        return max(0, self.total - self.done) * self._rate

    def figures(self) -> dict[str, str]:
        """Label -> value as it is shown; the loss only where nothing is rewarded."""
        out = {}
        for name, label in _SHOWN.items():
            value = self._figures.get(name)
            if value is None or (name == "loss" and "reward" in self._figures):
                continue
            if name in _NOT_AT_ZERO and value < 0.005:
                continue
            share = name in ("zero_spread", "truncated", "kept")
            out[label] = f"{value:.0%}" if share else f"{value:.4g}"
        return out

    def line(self) -> str:
        """All in one line, for logs."""
        figures = [f"{label} {value}" for label, value in self.figures().items()]
        return "  ".join([self._where(), *figures, *self._pace()])

    def renderable(self) -> RenderableType:
        """Two rows and a note, for a terminal."""
        head = Table.grid(padding=(0, 2))
        bar = ProgressBar(total=self.total or 1, completed=self.done, width=24)
        head.add_row(Text(self._where(), style="bold"), bar, *map(Text, self._pace()))
        body = Table.grid(padding=(0, 2))
        figures = self.figures()
        body.add_row(*(Text(label, style="dim") for label in figures))
        body.add_row(*(Text(value) for value in figures.values()))
        note = [Text(self.note, style="dim")] if self.note else []
        return Group(head, *([body] if figures else []), *note)

    def _where(self) -> str:
        of = "" if self.total is None else f"/{self.total}"
        stage = "" if self.stage in ("", "train") else f"  {visible_line(self.stage)[:24]}"
        return f"step {self.done}{of}{stage}"

    def _pace(self) -> list[str]:
        out = []
        if self._rate is not None:
            out.append(f"{self._rate:.2f} s/step")
        if self.seconds_left is not None:
            out.append(f"ETA {clock(self.seconds_left)}")
        return [*out, self.memory] if self.memory else out


def _smoothed(old: float | None, new: float) -> float:
    return new if old is None else SMOOTHING * old + (1 - SMOOTHING) * new


def clock(seconds: float) -> str:
    """Hours, minutes and seconds.

    >>> clock(3661.4), clock(59.6)
    ('1:01:01', '1:00')
    """
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def memory_text() -> str:
    """Resident memory of this process, and the GPU's peak where one is used: "1.9 GiB, GPU …"."""
    shown = f"{resident_bytes() / 2**30:.1f} GiB"
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        shown += f", GPU {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB"
    return shown


def resident_bytes() -> int:
    """Resident memory of this process now (its peak where the system has no /proc)."""
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * resource.getpagesize()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def closing_table(rows: Any) -> Table:
    """Before and after of a finished run, as summary.json has them."""
    table = Table()
    for name in ("metric", "before", "after", "difference", "95 % interval"):
        table.add_column(name, justify="left" if name == "metric" else "right")
    for row in rows:
        table.add_row(
            Text(visible_line(row["metric"])),
            f"{row['before']:.3f}",
            f"{row['after']:.3f}",
            f"{row['difference']:+.3f}",
            f"[{row['low']:+.3f}, {row['high']:+.3f}]",
        )
    return table


def stage_line(facts: Mapping[str, Any]) -> str:
    """One line about a stage that has ended, from its entry in summary.json.

    >>> stage_line({"name": "judge", "kind": "rl", "steps": 20, "of": 80, "ended": "promoted",
    ...             "promoted": True, "measure": "accuracy", "above": 0.8, "value": 0.84})
    'judge (rl): 20 of 80 steps, promoted: accuracy 0.840, bound 0.8'
    """
    of = "" if facts["steps"] == facts["of"] else f" of {facts['of']}"
    line = f"{visible_line(facts['name'])} ({facts['kind']}): {facts['steps']}{of} steps"
    if "kept" in facts:
        line += f", {facts['kept']} samples kept, {facts['failed']} failed"
    if facts["ended"] and not facts.get("promoted"):
        line += f", {facts['ended']}"
    if "measure" in facts:
        value = "never measured" if facts["value"] is None else f"{facts['value']:.3f}"
        said = "promoted" if facts["promoted"] else "not promoted"
        measure = visible_line(facts["measure"])
        line += f", {said}: {measure} {value}, bound {facts['above']:g}"
    return line


def promotion_line(record: Mapping[str, Any]) -> str:
    """One line about an evaluation of a promotion rule, from its record in metrics.jsonl."""
    value, above = record.get("value"), record.get("above")
    shown = f"{value:.3f}" if is_number(value) else "undefined"
    bound = f"{above:g}" if is_number(above) else "the bound"
    stage, measure = (visible_line(str(record.get(k))) for k in ("stage", "measure"))
    row = f"{record.get('in_a_row')} of {record.get('times')} above {bound} in a row"
    return f"step {record['step']}: {stage}: {measure} {shown}, {visible_line(row)}"


def evaluation_line(step: int, items: object, means: Mapping[str, float], seconds: float) -> str:
    """One line about an evaluation: its measures but the length."""
    shown = [f"{visible_line(n)} {v:.3f}" for n, v in means.items() if n != "length"]
    return f"step {step}: {items} held-out samples in {seconds:.0f} s: {', '.join(shown)}"
