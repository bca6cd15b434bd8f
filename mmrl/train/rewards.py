"""The rewards that a recipe names, in place of a task's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mmrl.config.load import LoadedRun
from mmrl.config.schema import RewardConfig, Run, StageConfig
from mmrl.errors import ConfigError, nearest
from mmrl.rewards.adapters import user_reward
from mmrl.rewards.registry import REWARDS, as_reward_fn
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
        return Reward(
            name=config.name,
            fn=as_reward_fn(
                config.name,
                user_reward(found_beside(config.function, loaded), config.kind, config.kwargs),
            ),
            weight=config.weight,
            bounds=config.bounds,
            isolated=not config.in_process,
        )
    own = {r.name: r for r in task.rewards}
    if config.name in own:
        return replace(own[config.name], weight=config.weight)
    if config.name in REWARDS:
        known = REWARDS.get(config.name)
        return replace(
            known, weight=config.weight, isolated=known.isolated and not config.in_process
        )
    names = [*own, *REWARDS.names()]
    raise ConfigError(
        f'no reward "{config.name}" of task {task.name} or registered.{nearest(config.name, names)}'
    )


def found_beside(function: str, loaded: LoadedRun) -> str:
    """`file.py:name` with the file looked for here, then beside the recipe."""
    file, colon, name = function.rpartition(":")
    if not file.endswith(".py") or Path(file).exists() or loaded.path is None:
        return function
    beside = loaded.path.parent / file
    return f"{beside}{colon}{name}" if beside.exists() else function
