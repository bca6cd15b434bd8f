"""Curves as arithmetic: records of metrics.jsonl into points, smoothed, thinned, with borders."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeGuard


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value of a record can be drawn: a finite number that a float holds, no flag."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) <= sys.float_info.max  # not isfinite, which a great whole number overflows


def points(records: Iterable[Mapping[str, Any]], key: str) -> tuple[list[int], list[float]]:
    """Steps and values of a key, where it is a finite number; null and NaN are skipped."""
    kept = [r for r in records if is_number(r.get(key)) and is_number(r.get("step"))]
    return [int(r["step"]) for r in kept], [float(r[key]) for r in kept]


def smooth(values: Sequence[float], keep: float = 0.9) -> list[float]:
    """Exponential mean: m_t = keep·m_{t-1} + (1 - keep)·x_t over the weight that it has by then.

    The division corrects the start, so that the first value is x_0. `keep` lies in [0, 1); at 0
    the values come back.
    """
    if not 0.0 <= keep < 1.0:
        raise ValueError(f"smoothing keeps a share in [0, 1), not {keep}")
    out, mean, weight = [], 0.0, 0.0
    for value in values:
        mean = keep * mean + (1 - keep) * value
        weight = keep * weight + (1 - keep)
        out.append(mean / weight)
    return out


def thin(x: Sequence[float], y: Sequence[float], most: int = 1000) -> tuple[list[Any], list[Any]]:
    """At most `most` points: the first, the last, and the least and greatest of every bin.

    Bins hold equally many points (to one), so that a spike of a single step is still seen. A series
    that is short enough comes back whole. `most` is 4 or more.
    """
    if most < 4:
        raise ValueError(f"a thinned series needs 4 points or more, not {most}")
    if len(x) != len(y):
        raise ValueError(f"{len(x)} steps and {len(y)} values")
    if len(x) <= most:
        return list(x), list(y)
    num_bins = (most - 2) // 2
    kept = {0, len(x) - 1}
    for b in range(num_bins):
        inside = range(len(x) * b // num_bins, len(x) * (b + 1) // num_bins)
        kept |= {min(inside, key=y.__getitem__), max(inside, key=y.__getitem__)}
    order = sorted(kept)
    return [x[i] for i in order], [y[i] for i in order]


def stage_borders(steps: Iterable[Mapping[str, Any]]) -> list[tuple[int, str]]:
    """(first step, name) of every stage in the step records, in order; one for a run of one stage.

    Evaluations, which carry no stage, are passed over.
    """
    borders: list[tuple[int, str]] = []
    for record in steps:
        stage = record.get("stage")
        begins = stage is not None and is_number(record.get("step"))
        if begins and (not borders or borders[-1][1] != stage):
            borders.append((int(record["step"]), str(stage)))
    return borders
