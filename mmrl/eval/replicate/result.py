"""Verdicts from logged values: what result.json holds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mmrl.eval.paired import OverSeeds, differences, over_seeds, verdict
from mmrl.eval.replicate.claims import Paper
from mmrl.eval.replicate.log import Line, Log
from mmrl.eval.replicate.schema import Claim

Values = dict[str, dict[int, float]]
"""Arm -> seed -> value."""


def make_result(paper: Paper, log: Log, seeds: Sequence[int]) -> dict[str, Any]:
    """The result over these seeds; a claim uses the seeds that both of its arms have."""
    lines = [line for (_, seed), line in log.arms.items() if seed in seeds]
    mechanisms = [line for (_, seed), line in log.mechanisms.items() if seed in seeds]
    seconds = {**_seconds(lines), **_seconds(mechanisms, "claim")}
    trained = [line["steps"] for line in lines if line["steps"]]
    return {
        "paper": paper.info.model_dump(),
        "claims": [claim_result(paper, claim, log, seeds) for claim in paper.claims],
        "seeds": list(seeds),
        "items": {name: config.items for name, config in paper.evaluations.items()},
        "steps": max(trained, default=0),
        "arm_steps": {
            arm: sorted({line["steps"] for line in lines if line["arm"] == arm})
            for arm in paper.arms
        },
        "seconds": round(sum(seconds.values()), 1),
        "arm_seconds": {name: round(value, 1) for name, value in seconds.items()},
        "versions": _versions([*lines, *mechanisms]),
    }


def claim_result(paper: Paper, claim: Claim, log: Log, seeds: Sequence[int]) -> dict[str, Any]:
    """One claim: every arm's values and intervals, the paired difference, the verdict."""
    values = claim_values(paper, claim, log, seeds)
    paired = differences(values.get(claim.arm, {}), values.get(claim.against, {}))
    found = over_seeds(list(paired.values()))
    untrained = [n for n, arm in paper.arms.items() if arm.untrained and values.get(n)]
    start = over_seeds(list(values[untrained[0]].values())).mean if untrained else None
    return {
        "name": claim.name,
        "claim": claim.claim,
        "measure": claim.key,
        "kind": claim.kind,
        "source": claim.source,
        "arm": claim.arm,
        "against": claim.against,
        "direction": claim.direction,
        "arms": {
            arm: _arm(over_seeds([by_seed[s] for s in sorted(by_seed)]), sorted(by_seed))
            for arm, by_seed in values.items()
            if by_seed
        },
        "start": _number(start),
        "difference": _number(found.mean),
        "difference_ci95": [_number(v) for v in found.ci95],
        "differences": {str(seed): _number(value) for seed, value in paired.items()},
        "prediction95": [_number(v) for v in found.prediction95],
        "verdict": str(verdict(found, claim.direction)),
    }


def claim_values(paper: Paper, claim: Claim, log: Log, seeds: Sequence[int]) -> Values:
    """The claim's measure of every arm that has it, by seed; what is not a number is left out."""
    found: Values = {}
    if claim.kind == "mechanism":
        for seed in seeds:
            line = log.mechanisms.get((claim.name, seed))
            for arm, value in (line["arms"] if line else {}).items():
                found.setdefault(arm, {})[seed] = value
        return found
    for arm in paper.arms:
        for seed in seeds:
            line = log.arms.get((arm, seed))
            value = None if line is None else _measured(line, claim)
            if value is not None and math.isfinite(value):
                found.setdefault(arm, {})[seed] = value
    return found


def num_pairs(claim: Mapping[str, Any]) -> int:
    return len(claim["differences"])


def _measured(line: Line, claim: Claim) -> float | None:
    """A value of the log line; every built-in measure is there, also of claims made later."""
    if claim.file is not None:
        value = line["measures"].get(claim.key)
    else:
        evaluation, _, name = claim.key.partition(".")
        value = line["estimates"].get(evaluation, {}).get(name)
    return None if value is None else float(value)


def _arm(found: OverSeeds, seeds: Sequence[int]) -> dict[str, Any]:
    return {
        "mean": _number(found.mean),
        "ci95": [_number(v) for v in found.ci95],
        "values": [_number(v) for v in found.values],
        "seeds": list(seeds),
    }


def _number(value: float | None) -> float | None:
    """Six decimals, the same text on every machine; None for what is not a number."""
    return None if value is None or not math.isfinite(value) else round(value, 6)


def _seconds(lines: Any, by: str = "arm") -> dict[str, float]:
    """Seconds by arm or mechanism; the start counts once, with the run that trained it."""
    found: dict[str, float] = {}
    starts = [line["seconds"]["start"] for line in lines if "start" in line["seconds"]]
    if starts:
        found["start model"] = starts[0]
    for line in lines:
        parts = {k: v for k, v in line["seconds"].items() if k != "start"}
        found[line[by]] = found.get(line[by], 0.0) + sum(parts.values())
    return found


def _versions(lines: Sequence[Line]) -> dict[str, str]:
    """All versions that were seen; "unknown" among them where a line says only other ones."""
    found = [line["versions"] for line in lines if "versions" in line]
    names = sorted({name for versions in found for name in versions})
    return {n: ", ".join(sorted({versions.get(n, "unknown") for versions in found})) for n in names}
