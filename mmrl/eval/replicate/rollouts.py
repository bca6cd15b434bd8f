"""How many completions a finished run trained on or chose by, from its metrics.jsonl."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mmrl.config.load import LoadedRun
from mmrl.config.schema import CollectConfig
from mmrl.train.recipe import stage_spec, stages_of


def num_rollouts(loaded: LoadedRun, folder: Path) -> int:
    """Completions in the groups that were drawn, of groups that a gate dropped too.

    What a method samples beside its groups (shuffled frames, a second pass) is not counted.
    """
    sizes = {}
    for stage in stages_of(loaded.run):
        if stage.kind == "rl":
            sizes[stage.name] = stage_spec(loaded, stage).group_size
        elif stage.kind == "collect":
            sizes[stage.name] = (stage.collect or CollectConfig()).samples
    text = (folder / "metrics.jsonl").read_text(encoding="utf-8")
    return count(map(json.loads, text.splitlines()), sizes)


def count(records: Iterable[Mapping[str, Any]], sizes: Mapping[str, int]) -> int:
    """(draws - skipped) x completions a group, over all steps of the stages that have groups.

    >>> count([{"kind": "step", "stage": "rl", "draws": 5.0, "skipped/media": 1.0}], {"rl": 8})
    32
    """
    total = 0
    for record in records:
        if record["kind"] != "step" or record["stage"] not in sizes:
            continue
        lost = sum(n for name, n in record.items() if name.startswith("skipped/"))
        total += int(record.get("draws", 0) - lost) * sizes[record["stage"]]
    return total
