"""What a run folder says of its run: the resolved recipe, the summary, how far it should go."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml


def config_of(folder: Path) -> dict[str, Any]:
    """The resolved recipe of a run folder; empty where there is none."""
    path = folder / "config.yaml"
    data = yaml.safe_load(path.read_text()) if path.is_file() else None
    return data if isinstance(data, dict) else {}


def summary_of(folder: Path) -> dict[str, Any]:
    """The summary that a finished run wrote; empty before."""
    path = folder / "summary.json"
    return json.loads(path.read_text()) if path.is_file() else {}


def total_steps(config: Mapping[str, Any]) -> int | None:
    """Steps of all stages of a resolved recipe; None where it does not say.

    >>> total_steps({"stages": [{"steps": 3}, {"steps": 4}], "train": {"steps": 9}})
    7
    """
    counts: list[Any] = [(stage or {}).get("steps") for stage in config.get("stages") or ()]
    counts = counts or [(config.get("train") or {}).get("steps")]
    return sum(counts) if all(isinstance(n, int) for n in counts) else None
