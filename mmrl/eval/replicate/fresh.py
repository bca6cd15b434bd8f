"""A fresh seed against the intervals of a stored result."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmrl.errors import ConfigError
from mmrl.eval.replicate.claims import Paper
from mmrl.eval.replicate.items import PILOT_SEED, is_pilot
from mmrl.eval.replicate.keys import line_key
from mmrl.eval.replicate.log import read_log
from mmrl.eval.replicate.result import claim_result
from mmrl.eval.replicate.run import RUNS, replicate_all


def rerun(
    paper: Paper, seed: int, *, jobs: int | None = None, runs: Path = RUNS, show: bool = True
) -> list[dict[str, Any]]:
    """Each claim's difference at a fresh seed, and whether the stored intervals hold it.

    `in_prediction95`: inside the interval of one more seed (19 of 20 should be); `in_ci95`: inside
    the interval of the mean (fewer are: it is narrower by √(n+1)); None where the seed has no value
    or the result no interval. result.json stays as it is.
    """
    stored = stored_for(paper, seed)
    replicate_all([paper], seeds=[seed], jobs=jobs, runs=runs, show=show)
    log, found = read_log(paper), []
    known = {claim["name"]: claim for claim in stored["claims"]}
    for claim in paper.claims:
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


def stored_for(paper: Paper, seed: int) -> dict[str, Any]:
    """The stored result that a fresh seed can be held against; ConfigError where it is none."""
    stored = load_result(paper)
    if seed in stored["seeds"] or is_pilot(seed):
        raise ConfigError(
            f"--rerun {seed}: wanted a fresh seed; {paper.name} has its result from "
            f"{', '.join(map(str, stored['seeds']))}, and seeds from {PILOT_SEED} on are pilots"
        )
    words = outdated(paper, stored)
    if words:
        raise ConfigError(words)
    known = [claim["name"] for claim in stored["claims"]]
    missing = [claim.name for claim in paper.claims if claim.name not in known]
    if missing:
        path = paper.folder / "result.json"
        raise ConfigError(
            f"{path} has no claim {', '.join(missing)}; mmrl replicate {paper.name} renews it"
        )
    return stored


def outdated(paper: Paper, stored: Mapping[str, Any]) -> str:
    """Which arms of a stored result are of other settings or code; empty: none, or not known."""
    old = stored.get("keys", {})
    other = [n for n, arm in paper.arms.items() if old and old.get(n) != line_key(paper, arm)]
    other += [name for name in old if name not in paper.arms]
    if not other:
        return ""
    return (
        f"{paper.folder / 'result.json'} is of other settings or code: arms {', '.join(other)}; "
        f"mmrl replicate {paper.name} renews it"
    )


def load_result(paper: Paper) -> dict[str, Any]:
    """result.json of a paper; ConfigError where there is none."""
    path = paper.folder / "result.json"
    if not path.is_file():
        raise ConfigError(f"{path}: no result yet; mmrl replicate {paper.name} makes it")
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result


def _inside(value: float | None, interval: Sequence[float | None]) -> bool | None:
    low, high = interval
    if value is None or low is None or high is None:
        return None
    return low <= value <= high
