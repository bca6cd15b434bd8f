"""The curves of a report: small SVG figures that follow the page's colours, light or dark."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from mmrl.eval.series import is_number, points, smooth, stage_borders, thin
from mmrl.parse.visible import safe_html, visible_line

Record = Mapping[str, Any]

CURVES = {
    "reward": "Reward",
    "score": "Task score of rollouts",
    "accuracy": "Accuracy of rollouts",
    "length": "Completion length [tokens]",
    "format": "Well-formed share",
    "truncated": "Truncated share",
    "zero_spread": "Groups without spread",
    "reward_std": "Spread of rewards in a group",
    "entropy": "Entropy [nats a token]",
    "kl": "KL from the reference [nats a token]",
    "kl_old": "KL of the updates [nats a token]",
    "clip_high": "Share clipped above",
    "clip_low": "Share clipped below",
    "grad_norm": "Gradient norm",
    "loss": "Loss",
    "ratio": "Probability ratio",
    "logp_gap": "|learner − sampler| log-prob",
    "learning_rate": "Learning rate",
}
"""Figures of a step record in the order of the page; others follow by name."""
_POINTS = 600
_INK, _GRID = "#102030", "#203040"
"""Colours that stand for those of the page: replaced in the SVG."""
_RAW, _SMOOTHED, _HELD_OUT, _BORDER = "#60a5fa", "#2f6fe0", "#16a34a", "#d97706"
_PHASES = ("#3b82f6", "#f59e0b", "#10b981", "#a855f7", "#ef4444", "#14b8a6")


def plots_html(steps: Sequence[Record], evals: Sequence[Record]) -> str:
    """Held-out figures, training figures, time; those that never move are named in a line."""
    borders = [border for border in stage_borders(steps)][1:]
    plots = [_held_out(name, evals, borders) for name in held_out_names(evals)]
    still = []
    for name, title in _titles(steps):
        x, y = points(steps, name)
        if len(set(y)) > 1:
            plots.append(_curve(title, x, y, borders))
        elif y:
            still.append(f"{title} {y[0]:g}")
    if any("time/rollout" in r for r in steps):
        plots.append(_times(steps, borders))
    if not plots and not still:
        return ""
    line = f'<p class="dim">Never moved: {safe_html("; ".join(still))}.</p>' if still else ""
    return f'<h2>Curves</h2><div class="plots">{"".join(plots)}</div>{line}'


def held_out_names(evals: Sequence[Record]) -> list[str]:
    """Measures with an interval of any evaluation record, by name."""
    return sorted({k.removesuffix("_ci95") for r in evals for k in r if k.endswith("_ci95")})


def _titles(steps: Sequence[Record]) -> list[tuple[str, str]]:
    """Keys that hold numbers with their titles: known ones, reward parts, the rest."""
    found = {k for r in steps for k, v in r.items() if is_number(v) and not k.startswith("time/")}
    found -= {"step"}
    parts = sorted(k for k in found if k.startswith("reward/"))
    terms = [k for k in found if k.startswith("loss/")]
    found -= set(terms) if len(terms) == 1 else set()  # one term is the loss itself, or its share
    rest = sorted(found - set(CURVES) - set(parts))
    return [
        *((k, title) for k, title in CURVES.items() if k in found),
        *((k, f"Reward part: {k.removeprefix('reward/')}") for k in parts),
        *((k, k) for k in rest),
    ]


def _figure(title: str) -> tuple[Any, Any]:
    figure, axes = plt.subplots(figsize=(4.2, 2.6), layout="constrained")
    axes.set_title(_plain(title), fontsize=10, color=_INK)
    axes.grid(alpha=0.2, color=_GRID)
    axes.tick_params(labelsize=8, colors=_INK)
    axes.patch.set_alpha(0.0)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(_INK)
    return figure, axes


def _plain(text: str, most: int = 60) -> str:
    """One line that matplotlib draws as it stands ("$" would start a formula)."""
    return visible_line(text)[:most].replace("$", r"\$")


def _svg(figure: Any) -> str:
    buffer = io.StringIO()
    with (
        matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "mmrl"}),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", message="Glyph")  # the reader's fonts draw the text
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    plt.close(figure)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    return text.replace(_INK, "currentColor").replace(_GRID, "currentColor")


def _mark(axes: Any, borders: Sequence[tuple[int, str]]) -> None:
    """A dotted line where each further stage begins; its name where there are few."""
    for step, name in borders:
        axes.axvline(step - 0.5, color=_BORDER, linewidth=1.0, linestyle=":")
        if len(borders) <= 4:
            axes.annotate(
                _plain(name, 12),
                (step, 1.0),
                xycoords=("data", "axes fraction"),
                va="top",
                fontsize=7,
                color=_BORDER,
            )


def _curve(title: str, x: list[int], y: list[float], borders: Sequence[tuple[int, str]]) -> str:
    figure, axes = _figure(title)
    dot = "o" if len(x) < 3 else None
    axes.plot(*thin(x, y, _POINTS), color=_RAW, linewidth=0.7, alpha=0.6, marker=dot)
    axes.plot(*thin(x, smooth(y), _POINTS), color=_SMOOTHED, linewidth=1.7)
    _mark(axes, borders)
    return _svg(figure)


def _held_out(name: str, evals: Sequence[Record], borders: Sequence[tuple[int, str]]) -> str:
    figure, axes = _figure(f"Held-out {name}")
    x, y = points(evals, name)
    axes.plot(x, y, color=_HELD_OUT, marker="o", markersize=3)
    known = [r for r in evals if is_number(r.get(name)) and _whole(r.get(f"{name}_ci95"))]
    if known:
        low, high = zip(*(r[f"{name}_ci95"] for r in known), strict=True)
        axes.fill_between([r["step"] for r in known], low, high, color=_HELD_OUT, alpha=0.2)
    _mark(axes, borders)
    return _svg(figure)


def _whole(interval: Any) -> bool:
    return bool(interval) and len(interval) == 2 and all(map(is_number, interval))


def _times(steps: Sequence[Record], borders: Sequence[tuple[int, str]]) -> str:
    figure, axes = _figure("Seconds a step, by phase")
    phases = sorted({k for r in steps for k in r if k.startswith("time/")})
    x = [int(r["step"]) for r in steps]
    every = max(1, len(x) // _POINTS)
    series = [
        smooth([float(r[p]) if is_number(r.get(p)) else 0.0 for r in steps])[::every]
        for p in phases
    ]
    labels = [_plain(p.removeprefix("time/")) for p in phases]
    colours = [_PHASES[i % len(_PHASES)] for i in range(len(phases))]
    axes.stackplot(x[::every], series, labels=labels, colors=colours, alpha=0.75)
    axes.legend(fontsize=7, frameon=False, labelcolor=_INK)
    _mark(axes, borders)
    return _svg(figure)
