"""The stages of a recipe, their data and methods, and the checks that need no model.

Whatever does not fit is a ConfigError that names the key, the file and line, and the nearest known
name, before a model is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from mmrl.config.load import LoadedRun, stage_optimizer
from mmrl.config.schema import DataEntry, Run, StageConfig
from mmrl.data.registry import DATASETS, open_data
from mmrl.errors import ConfigError, nearest
from mmrl.media.plan import MediaBudget
from mmrl.methods.base import MethodSpec, method_spec
from mmrl.tasks.base import TASKS
from mmrl.train.rewards import with_rewards
from mmrl.train.staged import check_collected, check_reference, check_stage, worlds_named


def stages_of(run: Run) -> tuple[StageConfig, ...]:
    """The recipe's stages, or its only one ("train") from `train.steps` and `data`."""
    if run.stages:
        return run.stages
    return (StageConfig(name="train", steps=run.train.steps),)


def stage_data(run: Run, stage: StageConfig) -> tuple[DataEntry, ...]:
    return stage.data or run.data


def stage_spec(loaded: LoadedRun, stage: StageConfig) -> MethodSpec:
    """The validated method settings of a stage: the recipe's with what the stage changes."""
    run = loaded.run
    settings = {**run.method, **stage.method}
    try:
        return method_spec(settings, max_length=run.rollout.max_new_tokens)
    except ConfigError as error:
        key = _method_key(loaded, stage, str(error))
        message = str(error).removeprefix(f"{key}: ")
        raise loaded.located(key, message) from error


def check_recipe(loaded: LoadedRun) -> None:
    """Raises ConfigError for whatever does not fit together, without loading a model."""
    run = loaded.run
    names = [s.name for s in run.stages]
    for i, name in enumerate(names):
        if name in names[:i]:
            raise loaded.located(f"stages.{i}.name", f'two stages are called "{name}"')
    has_reference = False
    for i, stage in enumerate(stages_of(run)):
        entries = stage_data(run, stage)
        prefix = f"stages.{i}.data" if stage.data else "data"
        if not entries:
            raise loaded.located(prefix, f'stage "{stage.name}" has no data')
        _check_entries(loaded, entries, prefix, "train", earlier=run.stages[:i])
        stage_optimizer(run, stage)
        if stage.kind != "sft":
            spec = stage_spec(loaded, stage)
            worlds = worlds_named(run, entries)
            built = [spec.build(with_rewards(loaded, stage, i, TASKS.get(w))) for w in worlds]
        if stage.promote is not None:
            _check_entries(loaded, stage.promote.data, f"stages.{i}.promote.data", "test")
        check_stage(loaded, i)
        check_reference(loaded, i, is_kept=has_reference)
        if stage.kind == "rl":  # tasks of rows are known when they are read: taken to keep one
            has_reference |= not built or any(method.needs_reference for method in built)
    _check_entries(loaded, run.eval.data, "eval.data", "test")
    _check_budgets(run)


def _check_entries(
    loaded: LoadedRun,
    entries: Sequence[DataEntry],
    prefix: str,
    split: str,
    *,
    earlier: Sequence[StageConfig] = (),
) -> None:
    for i, entry in enumerate(entries):
        key = f"{prefix}.{i}"
        if entry.stage is not None:
            check_collected(loaded, f"{key}.stage", entry.stage, earlier)
            continue
        if entry.task is not None and entry.task not in TASKS:
            message = f'no task "{entry.task}".{nearest(entry.task, TASKS.names())}'
            raise loaded.located(f"{key}.task", message)
        if entry.dataset is not None and entry.dataset not in DATASETS:
            message = f'no data set "{entry.dataset}".{nearest(entry.dataset, DATASETS.names())}'
            raise loaded.located(f"{key}.dataset", message)
        if entry.cfg is not None and not Path(entry.cfg).is_file():
            known = [str(p) for p in Path(entry.cfg).parent.glob("*.yaml")]
            raise loaded.located(f"{key}.cfg", f'no file "{entry.cfg}".{nearest(entry.cfg, known)}')
        try:
            open_data(entry.given(), split, loaded.run.seed)
        except ConfigError as error:
            named = [o for o in entry.options if f'option "{o}"' in str(error)]
            inner = f"{key}.options.{named[0]}" if named else key
            raise loaded.located(inner, str(error)) from error


def _check_budgets(run: Run) -> None:
    for budget in (run.media.image, run.media.video):
        MediaBudget().override(budget.given())


def _method_key(loaded: LoadedRun, stage: StageConfig, message: str) -> str:
    """The dotted key that a message about `method.x` speaks of, in the stage or the recipe."""
    found = re.search(r"method\.\w+", message)
    key = found[0] if found else "method.name" if message.startswith("no method") else "method"
    inner = key.removeprefix("method.")
    places = [i for i, s in enumerate(loaded.run.stages) if s is stage and inner in stage.method]
    return f"stages.{places[0]}.{key}" if places else key
