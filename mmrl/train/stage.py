"""A stage of a recipe as the objects that run it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmrl.config.load import LoadedRun, stage_optimizer
from mmrl.config.schema import StageConfig
from mmrl.data.mixture import open_mixture
from mmrl.data.registry import open_data
from mmrl.data.view import SampleView
from mmrl.errors import ConfigError
from mmrl.methods.base import Method, MethodSpec, stateful_parts
from mmrl.rewards.functions import load_user_function
from mmrl.roles import Balance, Reward, RolloutPlan, Source, Term
from mmrl.rollout.environment import Episodes
from mmrl.rollout.plan import GroupOf
from mmrl.sources.pool import Endless, Pool
from mmrl.sources.weighted import Weighted
from mmrl.tasks.base import TASKS, Task
from mmrl.train.collector import Collector
from mmrl.train.learner import Learner, LearnerSettings
from mmrl.train.loop import Collects, Loop
from mmrl.train.models import Doors
from mmrl.train.optimizer import Optimizer
from mmrl.train.ranks import Ranks
from mmrl.train.recipe import stage_data, stage_spec, stages_of
from mmrl.train.rewards import found_beside, with_rewards
from mmrl.train.score import Scorer
from mmrl.train.sft import SFT_TERM, DemonstrationCollector
from mmrl.types import Sample


@dataclass(frozen=True, kw_only=True, eq=False)
class Stage:
    """One stage ready to step, with everything of it that has a state."""

    config: StageConfig
    source: Source
    method: Method | None
    optimizer: Optimizer
    loop: Loop
    stateful: Mapping[str, Any]

    def parts_state(self) -> dict[str, dict[str, Any]]:
        return {path: part.state_dict() for path, part in self.stateful.items()}

    def load_parts(self, states: Mapping[str, Mapping[str, Any]]) -> None:
        for path, part in self.stateful.items():
            if path not in states:
                raise ConfigError(f'the checkpoint has no state of "{path}" of this stage')
            part.load_state_dict(states[path])

    def carried(self) -> dict[str, Any]:
        """What the next stage may take over: optimizer moments and companions."""
        companions = {p: s for p, s in self.parts_state().items() if p.startswith("companions")}
        return {"optimizer": self.optimizer.tensors(), "parts": companions}

    def carry_over(self, carried: Mapping[str, Any]) -> None:
        """Takes over what an earlier stage left, unless this one starts afresh."""
        if carried and not self.config.reset_optimizer:
            self.optimizer.load_tensors(carried["optimizer"])
        for path, state in carried.get("parts", {}).items():
            if path in self.stateful:
                self.stateful[path].load_state_dict(state)


def open_stage(loaded: LoadedRun, index: int, models: Doors, ranks: Ranks) -> Stage:
    """Builds a stage's parts around models that are already there."""
    run = loaded.run
    config = stages_of(run)[index]
    source = _source(loaded, index)
    size = config.prompts_per_step or run.train.prompts_per_step
    settings = stage_optimizer(run, config)
    optimizer = Optimizer(models.policy, settings)
    skip = run.media.on_error == "skip"
    collector: Collects
    if config.kind == "sft":
        method: Method | None = None
        collector = DemonstrationCollector(
            source=source, models=models, ranks=ranks, size=size, skip_bad_media=skip
        )
        learner_settings = LearnerSettings(
            tokens_per_pack=run.train.tokens_per_pack,
            self_check=run.train.self_check,
            seed=run.seed,
        )
        terms: tuple[Term, ...] = (SFT_TERM,)
        balance: Balance | None = None
    else:
        spec = stage_spec(loaded, config)
        tasks = TaskMethods(loaded, config, index, spec)
        method = tasks.method(_first_task(loaded, config))
        scorer = Scorer(
            rewards=tasks,
            bonuses=method.bonuses,
            combine=method.combine,
            isolated=models.isolated,
        )
        collector = Collector(
            source=source,
            plan=method.plan or _plan(loaded, method.group_size),
            probes=method.probes,
            scorer=scorer,
            gate=method.gate,
            models=models,
            ranks=ranks,
            size=size,
            max_draws=run.train.max_draws or 4 * size,
            skip_bad_media=skip,
        )
        learner_settings = LearnerSettings(
            epochs=method.epochs,
            minibatches=method.minibatches,
            tokens_per_pack=run.train.tokens_per_pack,
            self_check=run.train.self_check,
            seed=run.seed,
        )
        terms, balance = method.terms, method.balance
        for companion in method.companions:
            companion.prepare(models)
    learner = Learner(
        policy=models.policy,
        optimizer=optimizer,
        terms=terms,
        balance=balance,
        ranks=ranks,
        settings=learner_settings,
    )
    stateful: dict[str, Any] = {"source": source}
    if hasattr(models.policy, "vision_memory"):
        stateful["vision_memory"] = models.policy.vision_memory
    if method is not None:
        stateful |= stateful_parts(method)
        if method.needs_reference:
            models.policy.keep_reference()
            stateful["reference"] = Reference(models.policy)
    loop = Loop(
        method=method,
        collector=collector,
        learner=learner,
        models=models,
        ranks=ranks,
        seed=run.seed,
        look_ahead=run.train.prefetch,
    )
    return Stage(
        config=config,
        source=source,
        method=method,
        optimizer=optimizer,
        loop=loop,
        stateful=stateful,
    )


def _plan(loaded: LoadedRun, group_size: int) -> RolloutPlan:
    """Single turns, or episodes in the recipe's environment."""
    rollout = loaded.run.rollout
    if rollout.environment is None:
        return GroupOf(group_size)
    make = load_user_function(found_beside(rollout.environment, loaded))
    return Episodes(size=group_size, make=make, max_turns=rollout.max_turns)


def _source(loaded: LoadedRun, index: int) -> Source:
    """What the stage draws from; seeded by the run and the stage's place in it."""
    run = loaded.run
    stage = stages_of(run)[index]
    entries = [e.given() for e in stage_data(run, stage)]
    seed = run.seed + 1000 * index
    if (stage.draw or run.train.draw) == "shuffle":
        if len(entries) > 1:
            return Endless(open_mixture(entries, "train", seed).__getitem__)
        view = open_data(entries[0], "train", seed)
        return Endless(view.__getitem__) if view.size is None else Pool(Rows(view), seed=seed)
    view = open_data(entries[0], "train", seed)
    if len(entries) > 1 or view.size is None:
        raise loaded.located(
            f"stages.{index}.data" if stage.data else "data",
            "draw: weighted keeps a weight a row: it needs one data entry with an end "
            "(give a world a `limit`)",
        )
    return Weighted(Rows(view), seed=seed)


def _first_task(loaded: LoadedRun, stage: StageConfig) -> str:
    """The task of the stage's first sample; all tasks of a mixture share the method's parts."""
    entry = stage_data(loaded.run, stage)[0]
    return entry.task or open_data(entry.given(), "train", loaded.run.seed)[0].task


@dataclass(frozen=True)
class Rows:
    """A view with an end, as a sized data set."""

    view: SampleView

    def __len__(self) -> int:
        return self.view.size or 0

    def __getitem__(self, index: int, /) -> Sample:
        return self.view[index]


@dataclass(frozen=True)
class Reference:
    """The policy as it was at the stage's start (or at the last reset), as a part with a state."""

    policy: Any

    def state_dict(self) -> dict[str, Any]:
        return {"weights": self.policy.reference_state()}

    def load_state_dict(self, state: Mapping[str, Any], /) -> None:
        self.policy.load_reference_state(state["weights"])


class TaskMethods(Mapping[str, Sequence[Reward]]):
    """Rewards by task name, made when a sample of the task turns up."""

    def __init__(self, loaded: LoadedRun, stage: StageConfig, index: int, spec: MethodSpec) -> None:
        self._loaded, self._stage, self._index, self._spec = loaded, stage, index, spec
        self._rewards: dict[str, Sequence[Reward]] = {}

    def method(self, task: str) -> Method:
        return self._spec.build(self._task(task))

    def __getitem__(self, task: str) -> Sequence[Reward]:
        if task not in self._rewards:
            self._rewards[task] = self._spec.rewards(self._task(task))
        return self._rewards[task]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rewards)

    def __len__(self) -> int:
        return len(self._rewards)

    def _task(self, name: str) -> Task:
        return with_rewards(self._loaded, self._stage, self._index, TASKS.get(name))
