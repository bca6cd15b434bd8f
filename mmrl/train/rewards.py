"""The rewards that a recipe names, in place of a task's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError

from mmrl.config.load import LoadedRun
from mmrl.config.schema import RewardConfig, Run, StageConfig
from mmrl.errors import ConfigError, SandboxError, nearest
from mmrl.rewards.adapters import user_reward
from mmrl.rewards.registry import REWARDS, check_reward_fn
from mmrl.rewards.workers import RewardPool
from mmrl.roles import Reward
from mmrl.tasks.base import Task


def with_rewards(loaded: LoadedRun, stage: StageConfig, index: int, task: Task) -> Task:
    """The task with the rewards that the stage, else the recipe, names; else as it is."""
    configs, key = loaded.run.rewards, "rewards"
    if stage.rewards is not None:
        configs, key = stage.rewards, f"stages.{index}.rewards"
    if configs is None:
        return task
    made = []
    for i, config in enumerate(configs):
        try:
            made.append(_reward(config, task, loaded))
        except ConfigError as error:
            inner = "name" if config.function is None else "function"
            inner = "kwargs" if config.kwargs and "kwargs" in str(error) else inner
            raise loaded.located(f"{key}.{i}.{inner}", str(error)) from error
    return replace(task, rewards=tuple(made))


def reward_pool(run: Run) -> RewardPool:
    """The worker processes of a recipe's isolated rewards; none starts before one is needed."""
    configs: Sequence[RewardConfig] = (
        *(run.rewards or ()),
        *(r for stage in run.stages for r in stage.rewards or ()),
    )
    return RewardPool(timeouts={c.name: c.timeout_s for c in configs})


def _reward(config: RewardConfig, task: Task, loaded: LoadedRun) -> Reward:
    if config.function is not None:
        function = user_reward(found_beside(config.function, loaded), config.kind, config.kwargs)
        check_reward_fn(config.name, function)
        return Reward(
            name=config.name,
            fn=function,
            weight=config.weight,
            bounds=config.bounds,
            isolated=not config.in_process,
        )
    own = {r.name: r for r in task.rewards}
    if config.name in own:
        return with_settings(replace(own[config.name], weight=config.weight), config.kwargs)
    if config.name in REWARDS:
        known = REWARDS.get(config.name)
        isolated = known.isolated and not config.in_process
        return with_settings(replace(known, weight=config.weight, isolated=isolated), config.kwargs)
    names = [*own, *REWARDS.names()]
    raise ConfigError(
        f'no reward "{config.name}" of task {task.name} or registered.{nearest(config.name, names)}'
    )


def with_settings(reward: Reward, settings: Mapping[str, Any]) -> Reward:
    """The reward with fields of its function changed, when that is a dataclass with settings.

    ConfigError for a name or a value that does not fit, and where the function says (`check`) that
    it cannot work on this system.
    """
    fn: Any = reward.fn
    if settings:
        if not is_dataclass(fn) or isinstance(fn, type):
            raise ConfigError(f'reward "{reward.name}" has no settings; kwargs: {dict(settings)}')
        _check_names(type(fn), settings, "kwargs")
        present = {f.name: getattr(fn, f.name) for f in fields(fn) if f.init}
        try:
            fn = TypeAdapter(type(fn)).validate_python({**present, **settings})
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(["kwargs", *map(str, first["loc"])])
            raise ConfigError(
                f'reward "{reward.name}": {where}: {first["msg"]}; got {first["input"]!r:.60}'
            ) from None
        except SandboxError as error:
            raise ConfigError(f'reward "{reward.name}": {error}') from None
    check = getattr(fn, "check", None)
    if check is not None:
        try:
            check()
        except SandboxError as error:
            raise ConfigError(f'reward "{reward.name}": {error}, in its kwargs.run') from None
    return replace(reward, fn=fn)


def _check_names(kind: type[Any], settings: Mapping[str, Any], where: str) -> None:
    hints = get_type_hints(kind)
    known = [f.name for f in fields(kind) if f.init]
    for name, value in settings.items():
        if name not in known:
            raise ConfigError(
                f'no setting "{where}.{name}"; there are {", ".join(known)}.{nearest(name, known)}'
            )
        if isinstance(value, Mapping):
            for inner in (hints[name], *get_args(hints[name])):
                if is_dataclass(inner) and isinstance(inner, type):
                    _check_names(inner, value, f"{where}.{name}")


def found_beside(function: str, loaded: LoadedRun) -> str:
    """`file.py:name` with the file looked for here, then beside the recipe."""
    file, colon, name = function.rpartition(":")
    if not file.endswith(".py") or Path(file).exists() or loaded.path is None:
        return function
    beside = loaded.path.parent / file
    return f"{beside}{colon}{name}" if beside.exists() else function
