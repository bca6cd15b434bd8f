"""Runs that differ in their seed alone: which they are, and their series as a mean in a band."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from scipy.stats import t as student_t

Band = Literal["range", "interval"]
Series = tuple[list[int], list[float]]

_NO_PART = ("seed", "name", "run_dir", "log", "checkpoint", "train.time_limit_s", "train.prefetch")
"""Settings that say which seed, what the run is called, and what is kept of it."""


def seed_groups(configs: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    """Numbers of the runs, those together that differ in `seed` alone, in order of the first.

    Resolved settings are compared, but for name, folder, logs and checkpoints. Two runs of one seed
    are never in one group (they would count twice), nor is a run whose settings are not known.
    """
    groups: dict[tuple[str, int], list[int]] = {}
    same_seed: dict[tuple[str, str], int] = {}
    for number, config in enumerate(configs):
        if "seed" not in config:
            groups[("", number)] = [number]
            continue
        rest, seed = _without_seed(config), json.dumps(config["seed"], default=str)
        nth = same_seed.get((rest, seed), 0)
        same_seed[rest, seed] = nth + 1
        groups.setdefault((rest, nth), []).append(number)
    return list(groups.values())


def band_of(
    series: Sequence[Series], band: Band
) -> tuple[list[int], list[float], list[float], list[float]]:
    """Steps that all series have, with mean, lower and upper edge there.

    "range": least and greatest. "interval": mean ± t·s/√n with the sample standard deviation s of n
    series and the 97.5 % quantile of Student's t with n - 1 degrees of freedom; of one series, its
    value. Where a step occurs twice in a series, the last counts.
    """
    if not series:
        return [], [], [], []
    at = [dict(zip(x, y, strict=True)) for x, y in series]
    steps = sorted(set(at[0]).intersection(*at[1:]))
    mean, low, high = [], [], []
    quantile = float(student_t.ppf(0.975, len(at) - 1)) if len(at) > 1 else 0.0
    for step in steps:
        values = [one[step] for one in at]
        middle = sum(values) / len(values)
        mean.append(middle)
        if band == "range" or len(values) < 2:
            low.append(min(values))
            high.append(max(values))
        else:
            squares = sum((v - middle) * (v - middle) for v in values)
            arm = quantile * math.sqrt(squares / (len(values) - 1) / len(values))
            low.append(middle - arm)
            high.append(middle + arm)
    return steps, mean, low, high


def _without_seed(config: Mapping[str, Any], prefix: str = "") -> str:
    """The settings that make the run what it is, as a text that can be compared."""
    kept = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if name in _NO_PART:
            continue
        kept[str(key)] = _without_seed(value, f"{name}.") if isinstance(value, Mapping) else value
    return json.dumps(kept, sort_keys=True, default=str)
