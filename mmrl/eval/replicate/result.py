"""Verdicts from logged values: what result.json holds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mmrl.eval.paired import OverSeeds, differences, over_seeds, verdict
from mmrl.eval.replicate.claims import Paper
from mmrl.eval.replicate.keys import claim_digest
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
        "keys": {line["arm"]: line["key"] for line in lines},
        "items": {name: config.items for name, config in paper.evaluations.items()},
        "skipped": _most_skipped(lines),
        "steps": max(trained, default=0),
        "arm_steps": _by_arm(paper, lines, "steps"),
        "arm_rollouts": _by_arm(paper, lines, "rollouts"),
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
        "added": claim.added,
        "prior": is_prior(claim, log, seeds),
        "items": least_items(claim, log, seeds),
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


def least_items(claim: Claim, log: Log, seeds: Sequence[int]) -> int | None:
    """The fewest items that a value of the claim's built-in measure rests on.

    None where no line says it: of mechanisms, of functions, of lines older than the entry.
    """
    evaluation, _, name = claim.key.partition(".")
    if claim.kind == "mechanism" or claim.file is not None:
        return None
    lines = [line for line in _compared(claim, log, seeds) if "counts" in line]
    return min((line["counts"].get(evaluation, {}).get(name, 0) for line in lines), default=None)


def is_prior(claim: Claim, log: Log, seeds: Sequence[int]) -> bool | None:
    """Whether the claim stood as it stands now when its runs were logged; None: no line says."""
    lines = [line for line in _compared(claim, log, seeds) if "claims" in line]
    if not lines:
        return None
    return all(line["claims"].get(claim.name) == claim_digest(claim) for line in lines)


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


def _compared(claim: Claim, log: Log, seeds: Sequence[int]) -> list[Line]:
    """The lines of the claim's two arms."""
    pairs = [(arm, seed) for arm in (claim.arm, claim.against) for seed in seeds]
    return [log.arms[pair] for pair in pairs if pair in log.arms]


def _by_arm(paper: Paper, lines: Sequence[Line], name: str) -> dict[str, list[int]]:
    """The different numbers of an entry, by arm; older lines may lack it."""
    return {
        arm: sorted({line[name] for line in lines if line["arm"] == arm and name in line})
        for arm in paper.arms
    }


def _most_skipped(lines: Sequence[Line]) -> dict[str, int]:
    """The most items that a run left out, by evaluation; those that left none out are not named."""
    found: dict[str, int] = {}
    for line in lines:
        for name, number in line["skipped"].items():
            found[name] = max(found.get(name, 0), number)
    return {name: number for name, number in found.items() if number}


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
