"""`replicate`: runs the arms and seeds that the log lacks, and makes the result from the log."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mmrl.errors import ConfigError, MmrlError, nearest
from mmrl.eval.replicate.arms import arm_recipe, start_recipe
from mmrl.eval.replicate.claims import Paper, open_paper
from mmrl.eval.replicate.items import PILOT_SEED, check_evaluations, is_pilot
from mmrl.eval.replicate.job import versions, write_json
from mmrl.eval.replicate.log import Log, append, log_path, mechanism_key, read_log
from mmrl.eval.replicate.pool import Job, run_jobs
from mmrl.eval.replicate.result import make_result, num_pairs
from mmrl.eval.replicate.schema import LEAST_ITEMS, LEAST_SEEDS, Claim
from mmrl.train.recipe import check_recipe
from mmrl.train.run import import_plugins

RUNS = Path("runs") / "replicate"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What is known of a paper after a call."""

    paper: Paper
    result: Mapping[str, Any]
    stored: Path | None
    """result.json, where the result was complete enough to be one."""
    why_not: str
    """Why it was not stored, or empty."""
    num_stale: int
    num_broken: int


def replicate(
    paper: str | Path,
    *,
    seeds: Sequence[int] | None = None,
    pilot: int = 0,
    arms: Sequence[str] | None = None,
    jobs: int | None = None,
    runs: Path = RUNS,
    least_items: int = LEAST_ITEMS,
    show: bool = True,
) -> Outcome:
    """Runs every arm and seed that is not in the log; writes result.json where it is complete.

    `paper` is a name (`recipes/NAME`) or a folder. `pilot` runs that many pilot seeds in place of
    the claims' own. `jobs`: processes side by side (default: the cores; 0: in this process).
    """
    opened = open_paper(paper, least_items=least_items)
    return replicate_all(
        [opened], seeds=seeds, pilot=pilot, arms=arms, jobs=jobs, runs=runs, show=show
    )[0]


def replicate_all(
    papers: Sequence[Paper],
    *,
    seeds: Sequence[int] | None = None,
    pilot: int = 0,
    arms: Sequence[str] | None = None,
    jobs: int | None = None,
    runs: Path = RUNS,
    show: bool = True,
) -> list[Outcome]:
    """As `replicate`, several papers in one queue; all are checked before anything is trained."""
    for paper in papers:
        check_paper(paper)
    plans = [plan(p, seeds_for(p, seeds, pilot), arms, runs) for p in papers]
    for paper in papers:
        run_mechanisms(paper, seeds_for(paper, seeds, pilot))
    run_jobs(
        [job for todo in plans for job in todo],
        cores() if jobs is None else jobs,
        finished=lambda job, line: append(log_path(job.paper), line),
        show=show,
    )
    return [outcome(p, seeds_for(p, seeds, pilot)) for p in papers]


def check_paper(paper: Paper) -> None:
    """Raises ConfigError for whatever would fail later: recipes of all arms, data, measures."""
    start = start_recipe(paper)
    if start is not None:
        import_plugins(start)
        check_recipe(start)
    for name, arm in paper.arms.items():
        loaded = arm_recipe(paper, arm)
        try:
            check_recipe(loaded)
        except ConfigError as error:
            raise paper.located(f"arms.{name}", str(error)) from error
    check_evaluations(paper)


def plan(
    paper: Paper, seeds: Sequence[int], arms: Sequence[str] | None = None, runs: Path = RUNS
) -> list[Job]:
    """The runs that the log lacks, seed by seed, so that pairs come early."""
    for name in arms or ():
        if name not in paper.arms:
            raise ConfigError(f'{paper.name}: no arm "{name}".{nearest(name, paper.arms)}')
    log = read_log(paper)
    return [
        Job(paper=paper, arm=arm, seed=seed, runs=runs)
        for seed in seeds
        for arm in (paper.arms if arms is None else arms)
        if (arm, seed) not in log.arms
    ]


def run_mechanisms(paper: Paper, seeds: Sequence[int]) -> None:
    """Logs the values of every mechanism claim and seed that the log lacks."""
    log = read_log(paper)
    for claim in paper.mechanisms:
        for seed in seeds:
            if (claim.name, seed) in log.mechanisms:
                continue
            began = time.perf_counter()
            values = _mechanism(paper, claim, seed)
            line = {
                "kind": "mechanism",
                "claim": claim.name,
                "seed": seed,
                "pilot": is_pilot(seed),
                "key": mechanism_key(paper, claim),
                "arms": values,
                "seconds": {"claim": round(time.perf_counter() - began, 3)},
                "versions": versions(),
                "date": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            append(log_path(paper), line)


def outcome(paper: Paper, seeds: Sequence[int]) -> Outcome:
    """The result of what is logged; stored where every claim has its pairs."""
    log = read_log(paper)
    result = make_result(paper, log, seeds)
    why = _why_not(paper, log, result, seeds)
    stored = None if why else paper.folder / "result.json"
    if stored is not None:
        write_json(stored, result)
    return Outcome(
        paper=paper,
        result=result,
        stored=stored,
        why_not=why,
        num_stale=log.num_stale,
        num_broken=log.num_broken,
    )


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def seeds_for(paper: Paper, seeds: Sequence[int] | None, pilot: int) -> list[int]:
    if pilot:
        if seeds is not None:
            raise ConfigError("--pilot chooses its own seeds; leave --seeds out")
        return list(range(PILOT_SEED, PILOT_SEED + pilot))
    return list(range(paper.seeds)) if seeds is None else sorted(set(seeds))


def _mechanism(paper: Paper, claim: Claim, seed: int) -> dict[str, float]:
    values = paper.function(claim)(seed)
    where = f"{paper.folder / claim.key} (claim {claim.name}, seed {seed})"
    if not isinstance(values, Mapping):
        raise MmrlError(f"{where}: wanted a mapping of arm to value; got {type(values).__name__}")
    for arm in (claim.arm, claim.against):
        if arm not in values:
            raise MmrlError(f'{where}: no value for "{arm}".{nearest(arm, values)}')
        if not math.isfinite(values[arm]):
            raise MmrlError(f'{where}: the value of "{arm}" is {values[arm]}')
    return {str(name): float(value) for name, value in values.items()}


def _why_not(paper: Paper, log: Log, result: Mapping[str, Any], seeds: Iterable[int]) -> str:
    seeds = list(seeds)
    if any(map(is_pilot, seeds)):
        return "pilots are no result"
    if len(seeds) < LEAST_SEEDS:
        return f"preliminary: {len(seeds)} seeds, a result has at least {LEAST_SEEDS}"
    missing = [f"{a}_{s}" for s in seeds for a in paper.arms if (a, s) not in log.arms]
    if missing and paper.trained_claims:
        shown = ", ".join(missing[:4]) + (" …" if len(missing) > 4 else "")
        return f"preliminary: {len(missing)} runs are missing ({shown})"
    few = [c["name"] for c in result["claims"] if num_pairs(c) < LEAST_SEEDS]
    return f"preliminary: fewer than {LEAST_SEEDS} pairs for {', '.join(few)}" if few else ""
