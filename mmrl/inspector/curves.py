"""Curves of one run or several laid over each other, as plotly figures.

    curves = Curves([RunRecords(name="first", records=run.records(), config=run.config)])
    curves.keys()                       # what can be drawn: reward, reward/box_iou, eval/iou, …
    curves.figure("reward", keep=0.9)   # for gr.Plot

Names of runs, stages and keys come from files, and plotly reads tags, links, LaTeX and templates in
labels: every one goes through `mmrl.inspector.figure.label`. Arithmetic is in `mmrl.eval.series`
and `mmrl.inspector.seeds`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mmrl.errors import DataError, nearest
from mmrl.eval.series import is_number, points, smooth, stage_borders, thin
from mmrl.inspector.figure import COLOURS, faint, figure_of, label, line_style
from mmrl.inspector.seeds import Band, Series, band_of, seed_groups

TITLES = {
    "reward": "Reward",
    "score": "Task score of rollouts",
    "accuracy": "Share of right rollouts",
    "reward_std": "Spread of rewards in a group",
    "zero_spread": "Groups without spread",
    "format": "Well-formed share",
    "length": "Completion length [tokens]",
    "truncated": "Share cut at the length limit",
    "entropy": "Entropy [nats]",
    "kl": "KL from the reference [nats]",
    "kl_old": "KL from the sampler's policy [nats]",
    "clip_share": "Clipped share of tokens",
    "ratio": "Probability ratio",
    "loss": "Loss",
    "grad_norm": "Gradient norm",
    "learning_rate": "Learning rate",
    "logp_gap": "|learner − sampler| log-prob",
}
"""What is drawn first, in this order; all other keys are drawn on request."""


@dataclass(frozen=True, kw_only=True)
class RunRecords:
    """What the curves of one run need: the records of metrics.jsonl and the resolved settings."""

    name: str
    records: Sequence[Mapping[str, Any]]
    config: Mapping[str, Any] = field(default_factory=dict)


class Curves:
    """Figures of several runs; a run keeps its colour in all of them."""

    def __init__(self, runs: Sequence[RunRecords]) -> None:
        self.runs = tuple(runs)
        self._steps = [[_step(r) for r in run.records if r.get("kind") == "step"] for run in runs]
        self._evals = [[r for r in run.records if r.get("kind") == "eval"] for run in runs]
        self._groups = seed_groups([run.config for run in runs])

    def keys(self) -> list[str]:
        """Everything that a run has a number for: known ones, parts, evaluations, the rest."""
        found = {k for steps in self._steps for r in steps for k in r if is_number(r[k])}
        found -= {"step"}
        evals = {f"eval/{k}" for rows in self._evals for r in rows for k in r if f"{k}_ci95" in r}
        known = [k for k in TITLES if k in found]
        parts = sorted(k for k in found if k.startswith("reward/"))
        times = sorted(k for k in found if k.startswith("time/"))
        rest = sorted(found - {*known, *parts, *times})
        return [*known, *parts, *sorted(evals), *rest, *times]

    def first_keys(self) -> list[str]:
        """The keys that are drawn without being asked for."""
        return [k for k in self.keys() if k in TITLES or k.startswith(("reward/", "eval/"))]

    def series(self, key: str, run: int) -> Series:
        """Steps and values of a key in a run; `eval/NAME` is a measure of the evaluations."""
        if key.startswith("eval/"):
            return points(self._evals[run], key.removeprefix("eval/"))
        return points(self._steps[run], key)

    def figure(
        self, key: str, *, keep: float = 0.9, band: Band | None = "range", most: int = 1000
    ) -> Any:
        """A plotly figure of one key over the runs.

        Step series are smoothed by `keep` (0: as they are), with the values faint behind;
        evaluations have their 95 % intervals. Runs that differ in the seed alone are one line,
        their mean, in a band: from least to greatest ("range"), or the 95 % interval of the mean
        ("interval"), over the steps that all of them have; None draws them apart. At most `most`
        points a line. A key that no run has is a DataError.
        """
        if not any(self.series(key, run)[0] for run in range(len(self.runs))):
            raise DataError(f'no run has a number "{key[:80]}".{nearest(key, self.keys())}')
        traces: list[dict[str, Any]] = []
        groups = self._groups if band else [[run] for run in range(len(self.runs))]
        keep = 0.0 if key.startswith("eval/") else keep
        for runs in groups:
            if len(runs) > 1 and band:
                traces += self._band(key, runs, keep, band, most)
            else:
                traces += self._line(key, runs[0], keep, most)
        return figure_of(
            _title(key), traces, key, borders=self.borders(), legend=len(self.runs) > 1
        )

    def phases(self, run: int, *, most: int = 300) -> Any:
        """A plotly figure of the seconds that a run's steps took, by phase, stacked.

        More steps than `most` are drawn as means of equally many neighbours.
        """
        rows = [r for r in self._steps[run] if is_number(r.get("step"))]
        rows = [r for r in rows if any(k.startswith("time/") for k in r)]
        names = sorted({k for r in rows for k in r if k.startswith("time/") and is_number(r[k])})
        if not names:
            raise DataError(f"{self.runs[run].name[:80]}: no step says how long its phases took")
        num_bins = min(len(rows), most)
        bins = [
            rows[len(rows) * b // num_bins : len(rows) * (b + 1) // num_bins]
            for b in range(num_bins)
        ]
        traces = []
        for number, name in enumerate(names):
            seconds = [
                sum(r[name] if is_number(r.get(name)) else 0.0 for r in part) / len(part)
                for part in bins
            ]
            phase = label(name.removeprefix("time/"))
            colour = COLOURS[number % len(COLOURS)]
            traces.append(
                {
                    "type": "scatter",
                    "name": phase,
                    "x": [part[0]["step"] for part in bins],
                    "y": seconds,
                    "mode": "lines",
                    "stackgroup": "phases",
                    "line": {"color": colour, "width": 0.5},
                    "fillcolor": faint(colour, 0.6),
                    "hovertemplate": f"%{{y:.3g}} s<extra>{phase}</extra>",
                }
            )
        title = "Seconds a step, by phase"
        if len(self.runs) > 1:
            title += f": {self.runs[run].name[:40]}"
        return figure_of(label(title), traces, "phases", borders=self.borders(), legend=True)

    def borders(self) -> list[tuple[int, str]]:
        """(step, stage) where a stage of any run begins, but for its first; at most 50."""
        found = {border for steps in self._steps for border in stage_borders(steps)[1:]}
        return sorted(found)[:50]

    def _line(self, key: str, run: int, keep: float, most: int) -> list[dict[str, Any]]:
        x, y = self.series(key, run)
        if not x:
            return []
        name, base = label(self.runs[run].name, 40), line_style(run)
        hover = f"%{{y:.5g}}<extra>{name}</extra>"
        if key.startswith("eval/"):
            errors = self._errors(key.removeprefix("eval/"), run)
            mark = {"mode": "lines+markers", "error_y": errors, "marker": {"size": 6}}
            return [{**base, **mark, "name": name, "x": x, "y": y, "hovertemplate": hover}]
        traces = []
        if keep:
            raw_x, raw_y = thin(x, y, most)
            behind = {"name": name, "showlegend": False, "hoverinfo": "skip", "opacity": 0.3}
            thinner = {**base["line"], "width": 1}
            traces.append({**base, **behind, "x": raw_x, "y": raw_y, "line": thinner})
        xs, ys = thin(x, smooth(y, keep), most)
        return [*traces, {**base, "name": name, "x": xs, "y": ys, "hovertemplate": hover}]

    def _errors(self, measure: str, run: int) -> dict[str, Any]:
        """Both arms of the error bars; none where a record has no interval."""
        above, below = [], []
        for record in self._evals[run]:
            value = record.get(measure)
            if is_number(value) and is_number(record.get("step")):
                interval = record.get(f"{measure}_ci95")
                ends = [e for e in interval if is_number(e)] if isinstance(interval, list) else []
                above.append(max([0.0, *(end - value for end in ends)]))
                below.append(max([0.0, *(value - end for end in ends)]))
        return {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "width": 3}

    def _band(
        self, key: str, runs: Sequence[int], keep: float, band: Band, most: int
    ) -> list[dict[str, Any]]:
        series = [self.series(key, run) for run in runs]
        smoothed = [(x, smooth(y, keep)) for x, y in series if x]
        x, mean, low, high = band_of(smoothed, band)
        if len(smoothed) < 2 or not x:
            return [trace for run in runs for trace in self._line(key, run, keep, most)]
        words = "min to max" if band == "range" else "95 % interval of the mean"
        name = label(self.runs[runs[0]].name, 40)
        name += f" · {len(smoothed)} seeds: mean, {words}"
        base = line_style(runs[0])
        low_x, low_y = thin(x, low, most)
        high_x, high_y = thin(x, high, most)
        area = {
            "x": high_x + low_x[::-1],
            "y": high_y + low_y[::-1],
            "fill": "toself",
            "fillcolor": faint(base["line"]["color"], 0.2),
            "line": {"width": 0},
            "showlegend": False,
            "hoverinfo": "skip",
        }
        xs, ys = thin(x, mean, most)
        hover = f"%{{y:.5g}}<extra>{name}</extra>"
        line = {**base, "name": name, "x": xs, "y": ys, "hovertemplate": hover}
        if key.startswith("eval/"):
            line |= {"mode": "lines+markers", "marker": {"size": 6}}
        return [{**base, **area, "name": name}, line]


def _step(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """A step record with the share of tokens that either clip cut, where both are known."""
    low, high = record.get("clip_low"), record.get("clip_high")
    if "clip_share" not in record and is_number(low) and is_number(high):
        return {**record, "clip_share": low + high}
    return record


def _title(key: str) -> str:
    if key in TITLES:
        return TITLES[key]
    for prefix, words in (("reward/", "Reward part"), ("eval/", "Held-out"), ("time/", "Seconds")):
        if key.startswith(prefix):
            return f"{words}: {label(key.removeprefix(prefix))}"
    return label(key)
