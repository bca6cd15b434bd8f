"""Which samples an evaluation shows for a seed, and which measures it will have."""

from __future__ import annotations

import random
from collections.abc import Sequence

from mmrl.config.schema import DataEntry, EvalConfig
from mmrl.data.registry import open_data
from mmrl.errors import ConfigError, nearest
from mmrl.eval.replicate.claims import Paper
from mmrl.eval.replicate.schema import EvaluationConfig
from mmrl.eval.run import measure_names
from mmrl.seeds import seed_of
from mmrl.tasks.base import TASKS
from mmrl.types import Sample

PILOT_SEED = 1000
"""Seeds from here on are pilots: other items than those of a result."""
PILOT_SHARE = 5
"""Of rows with an end, every fifth is for pilots, the others for results."""


def is_pilot(seed: int) -> bool:
    return seed >= PILOT_SEED


def items_of(config: EvaluationConfig, seed: int) -> list[Sample]:
    """The samples of an evaluation, the same for all arms of a seed.

    A world draws them from the seed. Rows with an end are drawn without repetition, those of pilots
    and those of results from separate shares. Entries of one world get numbers of their own.
    """
    found: list[Sample] = []
    for entry, number in zip(config.data, shares(config.data, config.items), strict=True):
        view = open_data(entry.given(), "test", seed)
        if view.size is None:
            found += [view[len(found) + i] for i in range(number)]
            continue
        rows = list(range(view.size))
        random.Random(seed_of("replicate", "rows")).shuffle(rows)
        cut = view.size // PILOT_SHARE
        rows = rows[:cut] if is_pilot(seed) else rows[cut:]
        if number > len(rows):
            raise ConfigError(
                f"{view.name}: {number} items wanted, {len(rows)} rows are there for "
                f"{'pilots' if is_pilot(seed) else 'results'}"
            )
        random.Random(seed_of("replicate", seed)).shuffle(rows)
        found += [view[i] for i in sorted(rows[:number])]
    return found


def shares(entries: Sequence[DataEntry], items: int) -> list[int]:
    """Items of each entry, by weight; what rounding leaves goes to the first ones."""
    total = sum(entry.weight for entry in entries)
    if total <= 0:
        raise ConfigError("the weights of an evaluation's data are all 0")
    parts = [int(items * entry.weight / total) for entry in entries]
    for i in range(items - sum(parts)):
        parts[i % len(parts)] += 1
    return parts


def eval_config(config: EvaluationConfig, batch_prompts: int) -> EvalConfig:
    """How `mmrl.eval.run.evaluate_samples` is asked to sample."""
    return EvalConfig(
        samples=config.samples,
        best_of=config.best_of or config.samples,
        greedy=config.greedy,
        temperature=config.temperature,
        batch_prompts=batch_prompts,
    )


def measures_of(config: EvaluationConfig) -> list[str]:
    """Names of the measures that an evaluation has, known from its tasks."""
    names: set[str] = set()
    for entry in config.data:
        task = TASKS.get(entry.task or open_data(entry.given(), "test", 0)[0].task)
        names |= {*measure_names(task, eval_config(config, batch_prompts=1))}
    return sorted(names)


def check_evaluations(paper: Paper) -> None:
    """Raises ConfigError for data that cannot be opened and for measures that will not be there."""
    for name, config in paper.evaluations.items():
        for i, entry in enumerate(config.data):
            key = f"evaluations.{name}.data.{i}"
            if entry.task is not None and entry.task not in TASKS:
                near = nearest(entry.task, TASKS.names())
                raise paper.located(f"{key}.task", f'no task "{entry.task}".{near}')
            try:
                open_data(entry.given(), "test", 0)
            except ConfigError as error:
                raise paper.located(key, str(error)) from error
        shares(config.data, config.items)
    for i, claim in enumerate(paper.claims):
        if claim.kind != "trained" or claim.file is not None:
            continue
        evaluation, _, measure = claim.key.partition(".")
        known = measures_of(paper.evaluations[evaluation])
        if measure not in known:
            words = (
                f'evaluation "{evaluation}" has no measure "{measure}". It has {", ".join(known)}.'
            )
            raise paper.located(f"claims.{i}.measure", words)
