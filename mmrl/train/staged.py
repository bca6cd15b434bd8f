"""What stages of a recipe say of one another, and the checks of it that need no model."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mmrl.config.load import LoadedRun
from mmrl.config.schema import DataEntry, EvalConfig, PromoteConfig, Run, StageConfig
from mmrl.errors import nearest
from mmrl.eval.run import measure_names
from mmrl.tasks.base import TASKS

KEPT, FAILED = "kept", "failed"
_FOLDER_NAME = re.compile(r"\w[\w-]*\Z")


def split_reference(reference: str) -> tuple[str, str]:
    """Stage and half of `NAME.kept` or `NAME.failed`.

    >>> split_reference("filter.kept")
    ('filter', 'kept')
    """
    name, _, half = reference.rpartition(".")
    return name, half


def collecting(run: Run, entry: DataEntry) -> StageConfig:
    """The collect stage that an entry `stage: NAME.kept` of a checked recipe reads."""
    name = split_reference(entry.stage or "")[0]
    return next(s for s in run.stages if s.name == name)


def worlds_named(run: Run, entries: Sequence[DataEntry]) -> list[str]:
    """Task names that can be known without opening data: of worlds, also of collected ones."""
    names: set[str] = set()
    for entry in entries:
        if entry.stage is not None:
            names.update(worlds_named(run, collecting(run, entry).data or run.data))
        elif entry.task is not None:
            names.add(entry.task)
    return sorted(names)


def check_collected(
    loaded: LoadedRun, key: str, reference: str, earlier: Sequence[StageConfig]
) -> None:
    """ConfigError unless an earlier collect stage gives `NAME.kept` or `NAME.failed`."""
    name, half = split_reference(reference)
    known = [f"{s.name}.{h}" for s in earlier if s.kind == "collect" for h in (KEPT, FAILED)]
    if reference in known:
        return
    stages = {s.name: s for s in loaded.run.stages}
    if not key.startswith(("data.", "stages.")) or ".promote." in key:
        what = "evaluation reads no collected samples, which were picked by their scores"
    elif half not in (KEPT, FAILED):
        what = f'"{reference}": wanted NAME.kept or NAME.failed.{nearest(reference, known)}'
    elif name not in stages:
        what = f'no stage "{name}".{nearest(reference, known)}'
    elif stages[name].kind != "collect":
        what = (
            f'stage "{name}" is of kind {stages[name].kind}, which keeps no samples; '
            f"there are {', '.join(known) or 'no earlier stages of kind collect'}"
        )
    else:
        what = f'stage "{name}" does not come before the one that reads it'
    raise loaded.located(key, what)


def check_stage(loaded: LoadedRun, index: int) -> None:
    """ConfigError for what a stage says of itself that cannot be."""
    run = loaded.run
    if not run.stages:
        return
    stage, key = run.stages[index], f"stages.{index}"
    if stage.kind == "collect":
        _check_collect(loaded, stage, key)
    elif stage.collect is not None:
        raise loaded.located(f"{key}.collect", f"belongs to kind collect; this is {stage.kind}")
    if stage.promote is not None:
        _check_promote(loaded, stage, stage.promote, f"{key}.promote")


def check_reference(loaded: LoadedRun, index: int, *, is_kept: bool) -> None:
    """ConfigError for a stage that carries a reference which no stage before it can have kept."""
    stages = loaded.run.stages
    if stages and stages[index].reference == "carry" and not is_kept:
        raise loaded.located(f"stages.{index}.reference", no_reference(stages[index]))


def no_reference(stage: StageConfig) -> str:
    """What is wrong with `reference: carry` where there is none, and what to do."""
    return (
        f'stage "{stage.name}" carries the reference of an earlier stage, and none keeps one: give '
        "an earlier stage of kind rl a KL term (method.beta above 0), or say reference: renew"
    )


def _check_collect(loaded: LoadedRun, stage: StageConfig, key: str) -> None:
    if not _FOLDER_NAME.match(stage.name):
        wanted = "a collect stage is also a folder: letters, digits, _ and - only"
        raise loaded.located(f"{key}.name", f'"{stage.name}": {wanted}')
    if stage.promote is not None:
        raise loaded.located(f"{key}.promote", "a collect stage trains nothing: no measure moves")
    if stage.draw == "weighted":
        raise loaded.located(f"{key}.draw", "a collect stage draws every sample once")
    if stage.collect is None:
        return
    keep = stage.collect.keep
    if keep.low is not None and keep.high is not None and keep.low >= keep.high:
        what = f"no pass rate lies above {keep.low:g} and below {keep.high:g}"
        raise loaded.located(f"{key}.collect.keep", what)
    if stage.collect.form == "demonstrations" and loaded.run.rollout.environment is not None:
        what = "episodes of an environment do not become demonstrations; take samples"
        raise loaded.located(f"{key}.collect.form", what)


def _check_promote(loaded: LoadedRun, stage: StageConfig, rule: PromoteConfig, key: str) -> None:
    entries = rule.data or loaded.run.eval.data
    if not entries:
        raise loaded.located(key, "nothing to evaluate on: give it `data`, or the recipe eval.data")
    if rule.every * rule.times > stage.steps:
        raise loaded.located(
            key,
            f"{rule.times} evaluations, one every {rule.every} steps, take "
            f"{rule.every * rule.times} steps; the stage has {stage.steps}",
        )
    if any(e.task is None for e in entries):
        return  # tasks of rows are known when they are read; the first evaluation says it then
    whole = loaded.run.eval.model_copy(update={"greedy": True})
    known = {n for e in entries for n in measure_names(TASKS.get(e.task or ""), whole)}
    if rule.measure not in known:
        what = f'no measure "{rule.measure}".{nearest(rule.measure, known)}'
        raise loaded.located(f"{key}.measure", what)


def promotion_eval(run: Run, rule: PromoteConfig) -> EvalConfig:
    """The recipe's evaluation with no more completions than the rule's measure reads."""
    changes: dict[str, object] = {"data": rule.data or run.eval.data, "limit": rule.limit}
    changes["greedy"] = rule.measure.endswith("_greedy")
    if "_best" not in rule.measure:
        changes["best_of"] = 1
    return run.eval.model_copy(update=changes)
