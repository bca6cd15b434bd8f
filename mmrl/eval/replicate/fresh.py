"""A fresh seed against the intervals of a stored result."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmrl.errors import ConfigError
from mmrl.eval.replicate.claims import Paper
from mmrl.eval.replicate.items import PILOT_SEED, is_pilot
from mmrl.eval.replicate.log import read_log
from mmrl.eval.replicate.result import claim_result
from mmrl.eval.replicate.run import RUNS, replicate_all


def rerun(
    paper: Paper, seed: int, *, jobs: int | None = None, runs: Path = RUNS, show: bool = True
) -> list[dict[str, Any]]:
    """Each claim's difference at a fresh seed, and whether the stored intervals hold it.

    `in_prediction95`: inside the interval of one more seed (19 of 20 should be); `in_ci95`: inside
    the interval of the mean (fewer are: it is narrower by √(n+1)). result.json stays as it is.
    """
    stored = load_result(paper)
    if seed in stored["seeds"] or is_pilot(seed):
        raise ConfigError(
            f"--rerun {seed}: wanted a fresh seed; {paper.name} has its result from "
            f"{', '.join(map(str, stored['seeds']))}, and seeds from {PILOT_SEED} on are pilots"
        )
    replicate_all([paper], seeds=[seed], jobs=jobs, runs=runs, show=show)
    log, found = read_log(paper), []
    known = {claim["name"]: claim for claim in stored["claims"]}
    for claim in paper.claims:
        if claim.name not in known:
            raise ConfigError(f"{paper.folder / 'result.json'} has no claim {claim.name}: renew it")
        old = known[claim.name]
        value = claim_result(paper, claim, log, [seed])["difference"]
        found.append(
            {
                "name": claim.name,
                "difference": value,
                "prediction95": old["prediction95"],
                "ci95": old["difference_ci95"],
                "in_prediction95": _inside(value, old["prediction95"]),
                "in_ci95": _inside(value, old["difference_ci95"]),
            }
        )
    return found


def load_result(paper: Paper) -> dict[str, Any]:
    """result.json of a paper; ConfigError where there is none."""
    path = paper.folder / "result.json"
    if not path.is_file():
        raise ConfigError(f"{path}: no result yet; mmrl replicate {paper.name} makes it")
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result


def _inside(value: float | None, interval: Sequence[float | None]) -> bool:
    low, high = interval
    return None not in (value, low, high) and low <= value <= high  # type: ignore[operator]
