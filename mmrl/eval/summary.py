"""What a finished run says of itself: summary.json and the closing table."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from mmrl.eval.measures import Estimate, paired_difference
from mmrl.eval.run import Evaluation

_ALWAYS = ("accuracy", "format", "length")


def compare(before: Evaluation, after: Evaluation) -> dict[str, Estimate]:
    """Paired difference after - before of every measure, over the items that both have."""
    differences = {}
    for name in before.estimates:
        old, new = before.of(name), after.of(name)
        shared = [i for i in old if i in new]
        if shared:
            differences[name] = paired_difference(
                [old[i] for i in shared], [new[i] for i in shared]
            )
    return differences


def table(before: Evaluation, after: Evaluation) -> list[dict[str, Any]]:
    """Rows metric, before, after, difference, low, high: the task's own measures first."""
    differences = compare(before, after)
    order = [n for n in differences if n not in _ALWAYS] + [n for n in _ALWAYS if n in differences]
    return [
        {
            "metric": name,
            "before": before.estimates[name].mean,
            "after": after.estimates[name].mean,
            "difference": differences[name].mean,
            "low": differences[name].low,
            "high": differences[name].high,
        }
        for name in order
    ]


def summarise(
    *,
    before: Evaluation | None,
    after: Evaluation | None,
    progress: Mapping[str, Any],
    extra: Mapping[str, Any],
) -> dict[str, Any]:
    """The content of summary.json.

    `eval.before.<measure>`, `eval.after.<measure>`, `eval.diff_ci95` of the main measure; the same
    under `eval.greedy` and `eval.best_of_<k>`; all paired differences under `eval.differences`.
    """
    summary: dict[str, Any] = {
        "finished": True,
        "steps": progress["step"],
        "stopped": progress["stopped"],
        "seconds_total": round(progress["seconds_total"], 2),
        "seconds_train": round(progress["seconds_train"], 2),
        **extra,
        "versions": {
            "mmrl": version("mmrl"),
            "torch": version("torch"),
            "transformers": version("transformers"),
            "python": platform.python_version(),
        },
        "machine": _machine(),
    }
    if before is None or after is None:
        return summary
    differences = compare(before, after)
    main = main_measures(before)
    evaluation = _section(before, after, differences, main[:1], rename={})
    best = [n for n in differences if "_best" in n]
    sizes = {n.rsplit("_best", 1)[1] for n in best}
    sections = [("greedy", [n for n in differences if n.endswith("_greedy")])]
    sections += [(f"best_of_{k}", [n for n in best if n.endswith(f"_best{k}")]) for k in sizes]
    for label, names in sections:
        renames = {n: n.rsplit("_", 1)[0] for n in names}
        evaluation[label] = _section(before, after, differences, names, rename=renames)
    evaluation["before"] |= {n: before.estimates[n].mean for n in differences}
    evaluation["after"] |= {n: after.estimates[n].mean for n in differences}
    evaluation["differences"] = {
        n: {"mean": d.mean, "ci95": list(d.ci95), "items": d.num_items}
        for n, d in differences.items()
    }
    evaluation["items"] = len(after.items)
    evaluation["skipped"] = len(after.skipped)
    summary["eval"] = evaluation
    summary["table"] = table(before, after)
    return summary


def _machine() -> dict[str, str]:
    """Where the run ended: system, processors, and the GPU where there is one."""
    import torch

    found = {"system": platform.platform(), "processors": f"{os.cpu_count()} processors"}
    if torch.cuda.is_available():
        memory = torch.cuda.get_device_properties(0).total_memory / 2**30
        found["gpu"] = f"{torch.cuda.get_device_name(0)}, {memory:.0f} GiB"
    return found


def main_measures(evaluation: Evaluation) -> list[str]:
    """The tasks' own scores, by name ("iou", …): those with a best-of beside them."""
    names = evaluation.estimates
    return [n for n in names if any(m.startswith(f"{n}_best") for m in names)]


def _section(
    before: Evaluation,
    after: Evaluation,
    differences: Mapping[str, Estimate],
    names: Sequence[str],
    *,
    rename: Mapping[str, str],
) -> dict[str, Any]:
    section: dict[str, Any] = {
        "before": {rename.get(n, n): before.estimates[n].mean for n in names},
        "after": {rename.get(n, n): after.estimates[n].mean for n in names},
    }
    if names:
        section["diff"] = differences[names[0]].mean
        section["diff_ci95"] = list(differences[names[0]].ci95)
    return section
