"""An arm as a recipe: the paper's, with what the arm changes, in a folder of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmrl.config.load import LoadedRun, load_recipe
from mmrl.config.schema import EvalConfig, Run
from mmrl.errors import ConfigError
from mmrl.eval.replicate.claims import Paper
from mmrl.eval.replicate.schema import Arm
from mmrl.methods.base import METHODS
from mmrl.train.run import import_plugins


def arm_recipe(paper: Paper, arm: Arm) -> LoadedRun:
    """The recipe with the arm's overrides, pictures grey where the arm says so.

    Nested mappings merge. Where the arm names another method, the recipe's method settings that the
    other one does not have are left out (they were checked in the recipe itself).
    """
    base = load_recipe(paper.recipe)
    import_plugins(base)
    overrides = dict(_flat(arm.overrides))
    try:
        loaded = load_recipe(paper.recipe, _with_method(base.run, overrides))
    except ConfigError as error:
        raise paper.located(f"arms.{arm.name}", str(error)) from error
    more: dict[str, Any] = {}
    if arm.blank:
        more["data"] = _blank(loaded.run.data)
        for i, stage in enumerate(loaded.run.stages):
            more[f"stages.{i}.data"] = _blank(stage.data)
    if not more:
        return loaded
    return replace(load_recipe(loaded.run, more), path=loaded.path)


def run_of(
    loaded: LoadedRun, *, paper: str, arm: str, seed: int, folder: Path, start: Path | None
) -> LoadedRun:
    """The recipe of one arm and seed: its folder, its start, no evaluation of its own.

    Of `eval` it keeps what is read: the batch's size, and what promotions read.
    """
    own = loaded.run.eval
    kept: dict[str, Any] = {"batch_prompts": own.batch_prompts}
    if any(stage.promote is not None for stage in loaded.run.stages):
        kept |= {"samples": own.samples, "best_of": own.best_of, "temperature": own.temperature}
    more: dict[str, Any] = {
        "name": f"{paper}_{arm}",
        "run_dir": str(folder),
        "seed": seed,
        **{f"eval.{k}": v for k, v in EvalConfig(**kept).model_dump(mode="json").items()},
        "checkpoint.best": None,
        "checkpoint.keep": 1,
        "log.console": "quiet",
        "log.report": False,
    }
    for i, stage in enumerate(loaded.run.stages):
        if stage.promote is not None and not stage.promote.data:
            more[f"stages.{i}.promote.data"] = [e.given() for e in own.data]
    if start is not None:
        more["policy.model"] = str(start)
    return replace(load_recipe(loaded.run, more), path=loaded.path)


def start_recipe(paper: Paper) -> LoadedRun | None:
    """The recipe that all arms start from, or None."""
    return None if paper.start is None else load_recipe(paper.start)


def _flat(overrides: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested mappings as dotted keys."""
    for name, value in overrides.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{key}.")
        else:
            yield key, value


def _with_method(run: Run, overrides: dict[str, Any]) -> dict[str, Any]:
    """Overrides in which another method does not inherit settings that it lacks."""
    name = overrides.get("method.name", run.method.get("name"))
    if name == run.method.get("name"):
        return overrides
    known = METHODS.get(str(name)).model_fields
    cleared: dict[str, Any] = {"method": {k: v for k, v in run.method.items() if k in known}}
    if "stages" not in overrides:
        for i, stage in enumerate(run.stages):
            if stage.method and "name" not in stage.method:
                kept = {k: v for k, v in stage.method.items() if k in known}
                cleared[f"stages.{i}.method"] = kept
    return {**cleared, **overrides}


def _blank(entries: Any) -> list[dict[str, Any]]:
    """Entries with grey media; what a stage collected was grey when it was collected."""
    return [e.given() if e.stage is not None else {**e.given(), "blank": True} for e in entries]
