"""`mmrl replicate`: a paper's claims on the shipped model, with intervals and verdicts."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mmrl.errors import ConfigError

if TYPE_CHECKING:
    from mmrl.eval.replicate import Outcome
    from mmrl.eval.replicate.claims import Paper


def replicate(args: argparse.Namespace) -> int:
    """Runs what the log lacks and prints the claims; or one of the switches that run less."""
    from mmrl.eval.replicate import run
    from mmrl.eval.replicate.claims import RECIPES, open_paper, papers_with_claims
    from mmrl.eval.replicate.fresh import rerun, stored_for
    from mmrl.eval.replicate.table import as_text

    names = args.papers or list(papers_with_claims())
    if not names:
        raise ConfigError(f"no folder in {RECIPES.resolve()} has a claims.yaml")
    if args.rerun is not None and (args.seeds or args.arms or args.pilot):
        raise ConfigError("--rerun runs all arms of one seed; leave --seeds, --arms, --pilot out")
    papers = [open_paper(name) for name in names]
    if args.table:
        return _tables(papers)
    seeds = None if args.seeds is None else seeds_of(args.seeds)
    arms = args.arms.split(",") if args.arms else None
    if args.dry_run:
        return _dry_run(papers, seeds, args.pilot, arms)
    if args.rerun is not None:
        for paper in papers:  # all of them before any is run
            stored_for(paper, args.rerun)
        for paper in papers:
            print(_rerun_text(paper.name, args.rerun, rerun(paper, args.rerun, jobs=args.jobs)))
        return 0
    outcomes = run.replicate_all(papers, seeds=seeds, pilot=args.pilot, arms=arms, jobs=args.jobs)
    for found in outcomes:
        label = "; pilots" if args.pilot else ""
        print(as_text(found.paper.name, found.result, label=label))
        print(_unused(found), end="")
        print(found.why_not or f"stored in {found.stored}")
        print()
    return 0


def seeds_of(text: str) -> list[int]:
    """Seeds as `0-4`, `0,1,2` or both.

    >>> seeds_of("0-2,7")
    [0, 1, 2, 7]
    """
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            raise ConfigError(f'--seeds "{text}": wanted 0-4 or 0,1,2')
        found += range(int(first), int(last or first) + 1)
    if not found:
        raise ConfigError(f'--seeds "{text}": no seed; wanted 0-4 or 0,1,2')
    return found


def _unused(found: Outcome) -> str:
    """A line that tells which lines of the log count for nothing, where there are such."""
    said = []
    if found.num_stale:
        said.append(f"{found.num_stale} lines of log.jsonl are of other claims, settings or code")
    if found.num_broken:
        said.append(f"{found.num_broken} lines of log.jsonl are cut off")
    return "; ".join(said) + "\n" if said else ""


def _tables(papers: Sequence[Paper]) -> int:
    from mmrl.eval.replicate.fresh import load_result, outdated
    from mmrl.eval.replicate.table import write_table

    for paper in papers:
        readme, stored = paper.folder / "README.md", load_result(paper)
        write_table(readme, stored)
        print(f"table in {readme}")
        words = outdated(paper, stored)
        if words:
            print(f"warning: {words}")
    return 0


def _dry_run(
    papers: Sequence[Paper], seeds: list[int] | None, pilot: int, arms: list[str] | None
) -> int:
    from mmrl.eval.replicate import run

    for paper in papers:
        run.check_paper(paper)
        wanted = run.seeds_for(paper, seeds, pilot)
        todo = {(job.arm, job.seed) for job in run.plan(paper, wanted, arms)}
        print(f"{paper.name}: {len(todo)} runs")
        for arm in arms or paper.arms:
            marks = [f"{seed}{'' if (arm, seed) in todo else ' logged'}" for seed in wanted]
            print(f"  {arm}: seeds {', '.join(marks)}")
    return 0


def _rerun_text(name: str, seed: int, found: Sequence[Mapping[str, Any]]) -> str:
    from mmrl.eval.replicate.table import signed

    lines = [f"{name}: seed {seed} against the stored intervals"]
    for row in found:
        if row["difference"] is None:
            lines.append(f"  {row['name']}: no value")
            continue
        spans = []
        for key, words in (("prediction95", "one more seed"), ("ci95", "of the mean")):
            low, high = map(signed, row[key])
            where = {True: "inside", False: "OUTSIDE", None: "unknown"}[row[f"in_{key}"]]
            spans.append(f"{where} [{low}, {high}] ({words})")
        lines.append(f"  {row['name']}: {signed(row['difference'])}, {', '.join(spans)}")
    return "\n".join(lines)
