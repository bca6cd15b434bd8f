"""A recipe made small enough for one step on one CPU core, and what was changed for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mmrl.config.load import LoadedRun
from mmrl.config.schema import Run
from mmrl.train.recipe import stage_spec, stages_of

GROUP, PROMPTS, TOKENS, PIXELS, FRAME_PIXELS, FRAMES = 4, 2, 24, 112 * 112, 56 * 56, 4
"""Rollouts a prompt, prompts a step, new tokens, pixels of a picture and of a frame, frames."""
LEAST_PIXELS = 28 * 28
PROMPT_TOKENS = 65_536
"""The small tokenizer spells in bytes: a prompt has several times the tokens of the real one."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """A setting that the dry run has otherwise."""

    key: str
    recipe: Any
    dry: Any


def scaled(loaded: LoadedRun, *, model: str, folder: str) -> tuple[LoadedRun, list[Change]]:
    """The recipe with every size cut down, one step a stage, `model` in the place of its own.

    Places of settings stay known, so that later errors name the line. Settings of the method keep
    their values but for the sizes of groups and updates; those that name model folders
    (`MethodSpec.model_folders`) name `model`. Truncated sampling is off: reference answers are
    among the rollouts, and truncation would give them no probability.
    """
    run = loaded.run
    before = run.model_dump(mode="json")
    after = run.model_dump(mode="json")
    after |= {"run_dir": folder}
    _set(after["policy"], model=model, dtype="float32", device="cpu", attention="sdpa")
    _set(after["policy"], quantize="none", max_prompt_tokens=PROMPT_TOKENS)
    if after["policy"]["lora"]:
        _least(after["policy"]["lora"], r=4)
    media = after["media"]
    _set(media, cache_dir=None, workers=0)
    _bound_pixels(media["image"], PIXELS)
    _bound_pixels(media["video"], FRAME_PIXELS)
    _set(media["video"], total_pixels=None, fps=None, num_frames=FRAMES)
    _set(media["video"], min_frames=None, max_frames=None)
    _least(after["rollout"], max_new_tokens=TOKENS, max_turns=2)
    _set(after["rollout"], top_p=1.0, top_k=0)
    after["method"] |= _method(loaded, run.stages[0] if run.stages else stages_of(run)[0], model)
    for settings, stage in zip(after["stages"], run.stages, strict=True):
        _scale_stage(settings)
        if stage.method and stage.kind != "sft":
            own = _method(loaded, stage, model)
            settings["method"] |= {k: v for k, v in own.items() if k in stage.method}
    _set(after["train"], steps=1, prompts_per_step=PROMPTS, max_draws=0, threads=1)
    _set(after["train"], time_limit_s=None, prefetch=False)
    _set(after["eval"], every=0, samples=1, limit=2, interim_limit=None, early_stop=None)
    _set(after["checkpoint"], every=0, best=None)
    after["log"] |= {"console": "quiet", "tensorboard": False, "wandb": False, "trackio": False}
    made = Run.model_validate_json(json.dumps(after), strict=True)
    changes = [c for c in _changes(before, after) if c.key != "run_dir" and c.key[:4] != "log."]
    return LoadedRun(run=made, path=loaded.path, places=loaded.places), changes


def _method(loaded: LoadedRun, stage: Any, model: str) -> dict[str, Any]:
    """What the method's own settings become."""
    spec = stage_spec(loaded, stage)
    sizes = {
        "group_size": min(spec.group_size, GROUP),
        "epochs": min(spec.epochs, 2),
        "minibatches": min(spec.minibatches, PROMPTS),
    }
    changed = {key: value for key, value in sizes.items() if value != getattr(spec, key)}
    folders = {key: model for key in spec.model_folders if getattr(spec, key) is not None}
    return changed | folders


def _scale_stage(settings: dict[str, Any]) -> None:
    _set(settings, steps=1, prompts_per_step=None)
    if settings.get("promote"):
        _set(settings["promote"], every=1, times=1, limit=2)
    if settings.get("collect"):
        _least(settings["collect"], samples=GROUP)
        _set(settings["collect"]["keep"], low=None, high=None, min_std=None)


def _bound_pixels(budget: dict[str, Any], most: int) -> None:
    _set(budget, min_pixels=LEAST_PIXELS, max_pixels=most)


def _set(settings: dict[str, Any], **values: Any) -> None:
    settings |= values


def _least(settings: dict[str, Any], **values: int) -> None:
    """Lowers settings to those values where they are above."""
    settings |= {key: min(settings[key], value) for key, value in values.items()}


def _changes(before: Any, after: Any, prefix: str = "") -> list[Change]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return [
            change
            for key in {**before, **after}
            for change in _changes(before.get(key), after.get(key), f"{prefix}.{key}".lstrip("."))
        ]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [
            change
            for i, (old, new) in enumerate(zip(before, after, strict=True))
            for change in _changes(old, new, f"{prefix}.{i}")
        ]
    return [] if before == after else [Change(key=prefix, recipe=before, dry=after)]
