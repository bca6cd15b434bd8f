"""What `mmrl check RECIPE --dry-run` prints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmrl.config.load import LoadedRun
    from mmrl.train.dry_run import DryRun


def print_dry_run(loaded: LoadedRun, target: str) -> int:
    """Runs one step of each stage on random weights and prints what was changed and what ran; 0."""
    from mmrl.train.dry_run import dry_run

    done = dry_run(loaded)
    print("\n".join(lines_of(done, target)))
    return 0


def lines_of(done: DryRun, target: str) -> list[str]:
    """The report of a dry run, line by line."""
    size = f"{done.num_parameters / 1e6:.1f} million"
    lines = [f"{target}: settings fit together", f"model: {done.family}, {size} random weights"]
    lines += [f"rows: {key}: {what}" for key, what in done.replaced.items()]
    rows = [(c.key, _short(c.recipe), _short(c.dry)) for c in done.changes]
    lines += ["", *table(("setting", "recipe", "dry run"), rows)]
    for stage in done.stages:
        lines += ["", f"stage {stage.name} ({stage.kind}): one step"]
        lines += [f"  {role:<11}{', '.join(names)}" for role, names in stage.parts.items()]
        lines += _metrics(stage.metrics)
    return [
        *lines,
        "",
        f"evaluated {done.num_evaluated} samples; {done.seconds:.1f} s; nothing was kept",
        "all is well",
    ]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Columns as wide as their widest cell, two blanks apart."""
    whole = [tuple(head), *rows]
    widths = [max(len(row[i]) for row in whole) for i in range(len(head))]
    return ["  ".join(f"{c:<{w}}" for c, w in zip(r, widths, strict=True)).rstrip() for r in whole]


def _metrics(metrics: Mapping[str, float]) -> list[str]:
    """`name value` pairs by name, four a line."""
    said = [f"{name} {value:.4g}" for name, value in sorted(metrics.items())]
    return [f"  {'  '.join(said[i : i + 4])}" for i in range(0, len(said), 4)]


def _short(value: object) -> str:
    text = "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"
