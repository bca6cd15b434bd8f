"""report.html: one file that shows what a run did, made from its folder alone."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

_STYLE = """
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2.2rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .8rem;text-align:right;border-bottom:1px solid #8884}
th:first-child,td:first-child{text-align:left}
.plots{display:grid;grid-template-columns:repeat(auto-fill,minmax(19rem,1fr));gap:.8rem}
.plots svg{width:100%;height:auto;background:#fff;border-radius:6px}
.group{display:flex;gap:1rem;margin:1rem 0;align-items:flex-start}
.group img{width:168px;image-rendering:pixelated;border-radius:4px}
pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:.1rem 0;font-size:.85rem}
.good{color:#0a7d33}.bad{color:#c02626}
@media(prefers-color-scheme:dark){.good{color:#4ade80}.bad{color:#f87171}}
small,.dim{color:#888}
"""

_CURVES = (
    ("reward", "Reward"),
    ("score", "Task score of rollouts"),
    ("length", "Completion length [tokens]"),
    ("format", "Well-formed share"),
    ("zero_spread", "Groups without spread"),
    ("loss", "Loss"),
    ("entropy", "Entropy [nats]"),
    ("grad_norm", "Gradient norm"),
    ("ratio", "Probability ratio"),
    ("logp_gap", "|learner − sampler| log-prob"),
    ("learning_rate", "Learning rate"),
)


def write_report(folder: Path) -> Path:
    """Writes `report.html` in a run folder from its logs; returns the path."""
    records = _read(folder / "metrics.jsonl")
    steps = [r for r in records if r["kind"] == "step"]
    evals = [r for r in records if r["kind"] == "eval"]
    summary_path = folder / "summary.json"
    summary = json.loads(summary_path.read_text()) if summary_path.exists() else {}
    name = html.escape(folder.name)
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{name}</title>",
        f"<style>{_STYLE}</style><h1>{name}</h1>",
        _headline(summary, steps),
        _table(summary.get("table", ())),
        '<h2>Curves</h2><div class="plots">',
        *_plots(steps, evals),
        "</div>",
        _groups(folder),
        "<h2>Settings</h2><details><summary>config.yaml</summary><pre>",
        html.escape((folder / "config.yaml").read_text()),
        "</pre></details></html>",
    ]
    path = folder / "report.html"
    aside = folder / ".report.part"
    aside.write_text("\n".join(parts))
    aside.replace(path)
    return path


def _read(path: Path) -> list[dict[str, Any]]:
    """Records of a log that may still be growing: a half-written last line is left out."""
    records = []
    if path.exists():
        for line in path.read_text().splitlines():
            try:
                records.append(json.loads(line))
            except json.JSONDecodeError:
                break
    return records


def _headline(summary: Mapping[str, Any], steps: Sequence[Mapping[str, Any]]) -> str:
    bits = [f"{len(steps)} steps"]
    if summary:
        bits.append(f"{summary['seconds_train'] / 60:.1f} minutes of training")
        bits.append(f"{summary['seconds_total'] / 60:.1f} in all")
        if summary.get("stopped"):
            bits.append(f"stopped early: {summary['stopped']}")
        bits += [f"{k} {v}" for k, v in summary.get("versions", {}).items()]
    return f'<p class="dim">{html.escape(" · ".join(bits))}</p>'


def _table(rows: Iterable[Mapping[str, Any]]) -> str:
    rows = list(rows)
    if not rows:
        return ""
    out = [
        "<h2>Held-out samples, before and after</h2><table><tr><th>metric<th>before<th>after"
        "<th>difference<th>95 % interval</tr>"
    ]
    for row in rows:
        mark = "good" if row["low"] > 0 else "bad" if row["high"] < 0 else ""
        if row["metric"] == "length":
            mark = ""
        out.append(
            f"<tr><td>{html.escape(row['metric'])}<td>{row['before']:.3f}<td>{row['after']:.3f}"
            f'<td class="{mark}">{row["difference"]:+.3f}'
            f"<td>[{row['low']:+.3f}, {row['high']:+.3f}]</tr>"
        )
    return "".join([*out, "</table>"])


def _plots(steps: Sequence[Mapping[str, Any]], evals: Sequence[Mapping[str, Any]]) -> list[str]:
    plots = [_eval_plot(name, evals) for name in _eval_names(evals)]
    names = [(n, title) for n, title in _CURVES if any(n in r for r in steps)]
    names += [
        (n, n.replace("reward/", "Reward part: "))
        for n in sorted({k for r in steps for k in r if k.startswith("reward/")})
    ]
    for name, title in names:
        points = [(r["step"], r[name]) for r in steps if r.get(name) is not None]
        if points:
            plots.append(_curve(title, points))
    if any("time/rollout" in r for r in steps):
        plots.append(_times(steps))
    return plots


def _eval_names(evals: Sequence[Mapping[str, Any]]) -> list[str]:
    skip = ("length", "items", "skipped", "step")
    names = {k.removesuffix("_ci95") for r in evals for k in r if k.endswith("_ci95")}
    return sorted(n for n in names if n not in skip)


def _figure(title: str) -> tuple[Any, Any]:
    figure, axes = plt.subplots(figsize=(4.2, 2.6), layout="constrained")
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.25)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure: Any) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg")
    plt.close(figure)
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _curve(title: str, points: Sequence[tuple[float, float]]) -> str:
    figure, axes = _figure(title)
    x, y = zip(*points, strict=True)
    axes.plot(x, y, color="#93c5fd", linewidth=0.8)
    axes.plot(x, _smooth(y), color="#1d4ed8", linewidth=1.6)
    return _svg(figure)


def _eval_plot(name: str, evals: Sequence[Mapping[str, Any]]) -> str:
    rows = [r for r in evals if r.get(name) is not None]
    figure, axes = _figure(f"Held-out {name}")
    x = [r["step"] for r in rows]
    low, high = zip(*(r[f"{name}_ci95"] for r in rows), strict=True)
    axes.fill_between(x, low, high, color="#86efac", alpha=0.5)
    axes.plot(x, [r[name] for r in rows], color="#15803d", marker="o", markersize=3)
    return _svg(figure)


def _times(steps: Sequence[Mapping[str, Any]]) -> str:
    figure, axes = _figure("Seconds a step, by phase")
    x = [r["step"] for r in steps]
    phases = sorted({k for r in steps for k in r if k.startswith("time/")})
    series = [[r.get(p, 0.0) for r in steps] for p in phases]
    axes.stackplot(x, series, labels=[p.removeprefix("time/") for p in phases], alpha=0.8)
    axes.legend(fontsize=7)
    return _svg(figure)


def _smooth(values: Sequence[float], keep: float = 0.9) -> list[float]:
    """Exponential mean with its start corrected for."""
    out, mean, weight = [], 0.0, 0.0
    for value in values:
        mean = keep * mean + (1 - keep) * value
        weight = keep * weight + (1 - keep)
        out.append(mean / weight)
    return out


def _groups(folder: Path, limit: int = 6) -> str:
    files = sorted((folder / "rollouts").glob("step-*.jsonl"))
    if not files:
        return ""
    groups: dict[str, list[dict[str, Any]]] = {}
    for line in files[-1].read_text().splitlines():
        row = json.loads(line)
        groups.setdefault(row["draw"], []).append(row)
    out = [f"<h2>Groups of the last written step ({int(files[-1].name[5:11])})</h2>"]
    for rows in list(groups.values())[:limit]:
        first = rows[0]
        out.append(f'<div class="group">{_picture(folder, first)}<div>')
        out.append(f"<b>{html.escape(str(first['question']))}</b> ")
        out.append(f"<small>target {html.escape(json.dumps(first['target'], default=str))}</small>")
        for row in sorted(rows, key=lambda r: -(r["reward"] or 0.0)):
            reward = "unscorable" if row["reward"] is None else f"{row['reward']:.2f}"
            out.append(f"<pre>{reward:>6}  {html.escape(row['text'])}</pre>")
        out.append("</div></div>")
    return "".join(out)


def _picture(folder: Path, row: Mapping[str, Any]) -> str:
    for medium in row["media"]:
        path = (folder / "rollouts" / medium["file"]).resolve()
        inside = path.is_relative_to((folder / "rollouts").resolve())
        if medium["kind"] == "image" and inside and path.suffix in (".png", ".jpg"):
            kind = "png" if path.suffix == ".png" else "jpeg"
            data = base64.b64encode(path.read_bytes()).decode()
            return f'<img alt="" src="data:image/{kind};base64,{data}">'
    return ""
