"""Evaluation: completions of held-out samples, their measures, and what changed.

A sample's seeds depend on the sample alone, so two evaluations of one run are paired item by item.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mmrl.config.schema import EvalConfig
from mmrl.data.registry import open_data
from mmrl.errors import MediaError, PolicyError
from mmrl.eval.measures import Estimate, estimate
from mmrl.seeds import seed_of
from mmrl.tasks.base import TASKS, Task
from mmrl.types import Prompt, Rollout, Sample, Verdict


@dataclass(frozen=True, kw_only=True)
class Item:
    """One evaluated sample: its measures (each a mean over completions) and what was said."""

    id: str
    task: str
    values: Mapping[str, float]
    texts: tuple[str, ...]
    """Sampled completions first, then the greedy one where there is one."""
    question: str = ""
    target: Any = None


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """All items of one evaluation and their estimates by measure."""

    step: int
    items: tuple[Item, ...]
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Samples that could not be evaluated, id -> reason."""
    estimates: Mapping[str, Estimate] = field(default_factory=dict)

    def of(self, measure: str) -> dict[str, float]:
        """Item id -> value, for pairing."""
        return {i.id: i.values[measure] for i in self.items if measure in i.values}

    def save(self, path: Path) -> None:
        """One JSON line an item, written aside and renamed."""
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".part")
        with aside.open("w") as file:
            for item in self.items:
                record = {
                    "id": item.id,
                    "task": item.task,
                    "question": item.question,
                    "target": item.target,
                    "values": dict(item.values),
                    "texts": list(item.texts),
                }
                file.write(json.dumps(record, default=str) + "\n")
            for name, reason in self.skipped.items():
                file.write(json.dumps({"id": name, "skipped": reason}) + "\n")
        aside.replace(path)

    @staticmethod
    def load(path: Path, step: int) -> Evaluation:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        rows = [r for r in lines if "skipped" not in r]
        items = tuple(
            Item(
                id=r["id"],
                task=r["task"],
                question=r["question"],
                target=r["target"],
                values=r["values"],
                texts=tuple(r["texts"]),
            )
            for r in rows
        )
        skipped = {r["id"]: r["skipped"] for r in lines if "skipped" in r}
        return Evaluation(step=step, items=items, skipped=skipped, estimates=_estimates(items))


def eval_samples(config: EvalConfig, seed: int) -> list[Sample]:
    """The held-out samples of a recipe: the first `limit` of every entry."""
    samples: list[Sample] = []
    for entry in config.data:
        view = open_data(entry.given(), "test", seed)
        number = min(config.limit, entry.limit or config.limit)
        size = number if view.size is None else min(number, view.size)
        samples.extend(view[i] for i in range(size))
    return samples


def evaluate_samples(
    samples: Sequence[Sample],
    models: Any,
    config: EvalConfig,
    *,
    seed: int,
    step: int,
    ranks: Any = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Evaluation:
    """Samples `max(samples, best_of)` completions of each sample (and a greedy one), measures them.

    Measures of an item: `<score>` mean over the first `samples` completions, `<score>_best<k>` the
    best of `best_of`, `<score>_greedy`, each further measure of the task, `accuracy` (score at or
    above the task's threshold), `format`, `length` in tokens. Samples whose media cannot be read
    or that are too long are named in `skipped`. `progress` is told equally often on every rank.
    """
    items: list[Item] = []
    skipped: dict[str, str] = {}
    mine = samples[ranks.index :: ranks.size] if ranks else samples
    most = samples[:: ranks.size] if ranks else samples  # of the first rank: no other has more
    for start in range(0, len(most), config.batch_prompts):
        batch = mine[start : start + config.batch_prompts]
        usable, prompts = [], []
        for sample in batch:
            try:
                prompts.append(models.encode(sample))
            except (MediaError, PolicyError) as error:
                skipped[sample.id] = str(error)
                continue
            usable.append(sample)
        if usable:
            items.extend(_items(usable, prompts, models, config, seed=seed, step=step))
        models.forget()
        progress(len(items) + len(skipped), len(mine))
    if ranks:
        place = {s.id: i for i, s in enumerate(samples)}
        items = sorted(ranks.gather(items), key=lambda item: place[item.id])
        skipped = dict(sorted(ranks.gather(list(skipped.items()))))
    items = _weighted(items, samples)
    return Evaluation(step=step, items=tuple(items), skipped=skipped, estimates=_estimates(items))


def measure_names(task: Task, config: EvalConfig) -> list[str]:
    """The measures that an evaluation of samples of this task can have."""
    name = task.score_name
    names = [name, f"{name}_best{config.best_of}", "accuracy", "format", "length", *task.measures]
    if config.greedy:
        names.append(f"{name}_greedy")
    return [*names, f"weighted_{name}"] if task.weight is not None else names


def _items(
    samples: Sequence[Sample],
    prompts: Sequence[Prompt],
    models: Any,
    config: EvalConfig,
    *,
    seed: int,
    step: int,
) -> list[Item]:
    draws = range(max(config.samples, config.best_of))
    seeds = [[seed_of(seed, "eval", s.id, k) for k in draws] for s in samples]
    sampled = models.sample(
        samples, prompts, seeds=seeds, temperature=config.temperature, policy_step=step
    )
    greedy: Sequence[Sequence[Rollout]] = [[] for _ in samples]
    if config.greedy:
        greedy = models.sample(
            samples, prompts, seeds=[[0]] * len(samples), temperature=0.0, policy_step=step
        )
    return [
        _item(sample, rollouts, best, config)
        for sample, rollouts, best in zip(samples, sampled, greedy, strict=True)
    ]


def _item(
    sample: Sample, rollouts: Sequence[Rollout], greedy: Sequence[Rollout], config: EvalConfig
) -> Item:
    task = TASKS.get(sample.task)
    name = task.score_name
    scores = [task.score(r, sample) or 0.0 for r in rollouts]
    shown = rollouts[: config.samples]
    values = {
        name: _mean(scores[: config.samples]),
        f"{name}_best{config.best_of}": max(scores[: config.best_of]),
        "accuracy": _mean([float(s >= task.threshold) for s in scores[: config.samples]]),
        "format": _mean([float(r.parsed.verdict is Verdict.OK) for r in shown]),
        "length": _mean([float(len(r.token_ids)) for r in shown]),
    }
    for extra, measure in task.measures.items():
        known = [v for r in shown if (v := measure(r, sample)) is not None]
        if known:
            values[extra] = _mean(known)
    for rollout in greedy:
        values[f"{name}_greedy"] = task.score(rollout, sample) or 0.0
    return Item(
        id=sample.id,
        task=sample.task,
        question=sample.question,
        target=sample.target,
        values=values,
        texts=tuple(r.text for r in (*rollouts, *greedy)),
    )


def _weighted(items: Sequence[Item], samples: Sequence[Sample]) -> list[Item]:
    """The items with `weighted_<score>` = weight · score / mean weight where the task has weights.

    The mean over items is then Σ weight · score / Σ weight, and differences pair as they do for
    every other measure.
    """
    weights: dict[str, float] = {}
    for sample in samples:
        weight = TASKS.get(sample.task).weight
        if weight is not None:
            weights[sample.id] = weight(sample)
    by_task: dict[str, list[float]] = {}
    for item in items:
        if item.id in weights:
            by_task.setdefault(item.task, []).append(weights[item.id])
    found = []
    for item in items:
        if item.id in weights:
            name, mean = TASKS.get(item.task).score_name, _mean(by_task[item.task])
            share = weights[item.id] / mean * item.values[name]
            item = replace(item, values={**item.values, f"weighted_{name}": share})
        found.append(item)
    return found


def _estimates(items: Sequence[Item]) -> dict[str, Estimate]:
    names = sorted({n for i in items for n in i.values})
    return {n: estimate([i.values[n] for i in items if n in i.values]) for n in names}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
