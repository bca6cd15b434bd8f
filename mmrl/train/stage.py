"""A stage of a recipe as the objects that run it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mmrl.config.load import LoadedRun, stage_optimizer
from mmrl.config.schema import CollectConfig, Run, StageConfig
from mmrl.credit.gates import keep_all
from mmrl.errors import ConfigError
from mmrl.methods.base import Method, MethodSpec, stateful_parts
from mmrl.rewards.combine import weighted_sum
from mmrl.rewards.functions import load_user_function
from mmrl.roles import Reward, RolloutPlan, Source
from mmrl.rollout.environment import Episodes
from mmrl.rollout.plan import GroupOf
from mmrl.sources.once import Once
from mmrl.tasks.base import TASKS, Task
from mmrl.train.collect import CollectLoop
from mmrl.train.collector import Collector
from mmrl.train.folder import RunFolder
from mmrl.train.learner import Learner, LearnerSettings
from mmrl.train.loop import Collects, Loop, Steps
from mmrl.train.models import Doors
from mmrl.train.optimizer import Optimizer
from mmrl.train.ranks import Ranks
from mmrl.train.recipe import stage_spec, stages_of
from mmrl.train.rewards import found_beside, with_rewards
from mmrl.train.score import Scorer
from mmrl.train.sft import SFT_TERM, DemonstrationCollector
from mmrl.train.stage_data import StageData
from mmrl.train.staged import no_reference


@dataclass(frozen=True, kw_only=True, eq=False)
class Stage:
    """One stage ready to step, with everything of it that has a state."""

    config: StageConfig
    source: Source
    method: Method | None
    optimizer: Optimizer
    """Of a collect stage too, which only hands its moments on."""
    loop: Steps
    stateful: Mapping[str, Any]
    handed_on: frozenset[str] = frozenset()
    """Kinds of parts ("companions", "reference") that a later stage takes over from an earlier
    one and that this stage, which has none of them, keeps for it."""
    _kept: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def parts_state(self) -> dict[str, Mapping[str, Any]]:
        own = {path: part.state_dict() for path, part in self.stateful.items()}
        return {**own, **self._kept}

    def load_parts(self, states: Mapping[str, Mapping[str, Any]]) -> None:
        for path, part in self.stateful.items():
            if path not in states:
                raise ConfigError(f'the checkpoint has no state of "{path}" of this stage')
            part.load_state_dict(states[path])
        self._keep(states)

    def carried(self) -> dict[str, Any]:
        """What the next stage may take over: optimizer moments, companions, the reference."""
        parts = {p: s for p, s in self.parts_state().items() if _kind(p) in CARRIED}
        return {"optimizer": self.optimizer.tensors(), "parts": parts}

    def carry_over(self, carried: Mapping[str, Any]) -> None:
        """Takes over what an earlier stage left, unless this one starts afresh."""
        if carried and not self.config.reset_optimizer:
            self.optimizer.load_tensors(carried["optimizer"])
        states = carried.get("parts", {})
        if "reference" in self.stateful and self._wants("reference") and "reference" not in states:
            raise ConfigError(no_reference(self.config))
        for path, state in states.items():
            if path in self.stateful and self._wants(path):
                self.stateful[path].load_state_dict(state)
        self._keep(states)

    def _wants(self, path: str) -> bool:
        if _kind(path) == "reference":
            return self.config.reference == "carry"
        return self.config.start == "carry"

    def _keep(self, states: Mapping[str, Mapping[str, Any]]) -> None:
        for path, state in states.items():
            outdated = _kind(path) == "companions" and self.config.start == "initial"
            if path not in self.stateful and _kind(path) in self.handed_on and not outdated:
                self._kept[path] = state


CARRIED = frozenset({"companions", "reference"})
"""Kinds of parts whose state a later stage may take over."""


def _kind(path: str) -> str:
    return path.partition(".")[0]


def _handed_on(run: Run, index: int) -> frozenset[str]:
    """What a stage keeps for later ones: a collect stage companions, all a reference that is
    asked for."""
    kinds = {"companions"} if stages_of(run)[index].kind == "collect" else set()
    if any(s.reference == "carry" for s in stages_of(run)[index + 1 :]):
        kinds.add("reference")
    return frozenset(kinds)


def open_stage(
    loaded: LoadedRun, index: int, models: Doors, ranks: Ranks, folder: RunFolder | None = None
) -> Stage:
    """Builds a stage's parts around models that are already there.

    `folder` is where collect stages leave their data; a collect stage needs one.
    """
    run = loaded.run
    config = stages_of(run)[index]
    data = StageData(loaded, index, folder)
    source = data.source()
    optimizer = Optimizer(models.policy, stage_optimizer(run, config))
    opened = _Opened(loaded=loaded, data=data, source=source, models=models, ranks=ranks)
    method: Method | None = None
    loop: Steps
    if config.kind == "collect":
        loop = _collect_loop(opened, folder)
    elif config.kind == "sft":
        loop = _sft_loop(opened, optimizer)
    else:
        tasks = TaskMethods(loaded, config, index, stage_spec(loaded, config))
        method = tasks.method(data.first_task())
        loop = _rl_loop(opened, optimizer, method, tasks)
        for companion in method.companions:
            companion.prepare(models)
    stateful: dict[str, Any] = {"source": source}
    if hasattr(models.policy, "vision_memory"):
        stateful["vision_memory"] = models.policy.vision_memory
    if method is not None:
        stateful |= stateful_parts(method)
        if method.needs_reference:
            models.policy.keep_reference()
            stateful["reference"] = Reference(models.policy)
    return Stage(
        config=config,
        source=source,
        method=method,
        optimizer=optimizer,
        loop=loop,
        stateful=stateful,
        handed_on=_handed_on(run, index),
    )


@dataclass(frozen=True, kw_only=True)
class _Opened:
    """What the loops of all kinds are made of."""

    loaded: LoadedRun
    data: StageData
    source: Source
    models: Doors
    ranks: Ranks

    @property
    def size(self) -> int:
        return self.data.config.prompts_per_step or self.loaded.run.train.prompts_per_step

    @property
    def skip_bad_media(self) -> bool:
        return self.loaded.run.media.on_error == "skip"


def _sft_loop(opened: _Opened, optimizer: Optimizer) -> Loop:
    collector = DemonstrationCollector(
        source=opened.source,
        models=opened.models,
        ranks=opened.ranks,
        size=opened.size,
        skip_bad_media=opened.skip_bad_media,
    )
    return _loop(opened, optimizer, collector, None)


def _rl_loop(opened: _Opened, optimizer: Optimizer, method: Method, tasks: TaskMethods) -> Loop:
    run, models = opened.loaded.run, opened.models
    scorer = Scorer(
        rewards=tasks,
        bonuses=method.bonuses,
        combine=method.combine,
        isolated=models.isolated,
    )
    collector = Collector(
        source=opened.source,
        plan=method.plan or _plan(opened.loaded, method.group_size),
        probes=method.probes,
        scorer=scorer,
        gate=method.gate,
        models=models,
        ranks=opened.ranks,
        size=opened.size,
        max_draws=run.train.max_draws or 4 * opened.size,
        skip_bad_media=opened.skip_bad_media,
    )
    return _loop(opened, optimizer, collector, method)


def _loop(
    opened: _Opened, optimizer: Optimizer, collector: Collects, method: Method | None
) -> Loop:
    run = opened.loaded.run
    settings = LearnerSettings(
        epochs=method.epochs if method else 1,
        minibatches=method.minibatches if method else 1,
        tokens_per_pack=run.train.tokens_per_pack,
        self_check=run.train.self_check,
        seed=run.seed,
    )
    learner = Learner(
        policy=opened.models.policy,
        optimizer=optimizer,
        terms=method.terms if method else (SFT_TERM,),
        balance=method.balance if method else None,
        ranks=opened.ranks,
        settings=settings,
    )
    return Loop(
        method=method,
        collector=collector,
        learner=learner,
        models=opened.models,
        ranks=opened.ranks,
        seed=run.seed,
        look_ahead=run.train.prefetch,
    )


def _collect_loop(opened: _Opened, folder: RunFolder | None) -> CollectLoop:
    """Judges by the task's own score; rewards that read no evidence are shown beside it."""
    data, models, run = opened.data, opened.models, opened.loaded.run
    if folder is None or not isinstance(opened.source, Once):
        raise ConfigError(f'stage "{data.config.name}" collects, and has no run folder to write to')
    rule = data.config.collect or CollectConfig()
    spec = stage_spec(opened.loaded, data.config)
    tasks = TaskMethods(opened.loaded, data.config, data.index, spec, without_evidence=True)
    collector = Collector(
        source=opened.source,
        plan=_plan(opened.loaded, rule.samples),
        probes=(),
        scorer=Scorer(rewards=tasks, bonuses=(), combine=weighted_sum, isolated=models.isolated),
        gate=keep_all,
        models=models,
        ranks=opened.ranks,
        size=opened.size,
        max_draws=opened.size,
        skip_bad_media=opened.skip_bad_media,
    )
    return CollectLoop(
        collector=collector,
        source=opened.source,
        origin=data.origin,
        config=rule,
        models=models,
        ranks=opened.ranks,
        seed=run.seed,
        folder=folder,
        stage=data.config.name,
        look_ahead=run.train.prefetch,
    )


def _plan(loaded: LoadedRun, group_size: int) -> RolloutPlan:
    """Single turns, or episodes in the recipe's environment."""
    rollout = loaded.run.rollout
    if rollout.environment is None:
        return GroupOf(group_size)
    make = load_user_function(found_beside(rollout.environment, loaded))
    return Episodes(size=group_size, make=make, max_turns=rollout.max_turns)


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

    def __init__(
        self,
        loaded: LoadedRun,
        stage: StageConfig,
        index: int,
        spec: MethodSpec,
        *,
        without_evidence: bool = False,
    ) -> None:
        """`without_evidence` leaves out rewards that read what probes find."""
        self._loaded, self._stage, self._index, self._spec = loaded, stage, index, spec
        self._without_evidence = without_evidence
        self._rewards: dict[str, Sequence[Reward]] = {}

    def method(self, task: str) -> Method:
        return self._spec.build(self._task(task))

    def __getitem__(self, task: str) -> Sequence[Reward]:
        if task not in self._rewards:
            found = self._spec.rewards(self._task(task))
            if self._without_evidence:
                found = tuple(reward for reward in found if not reward.needs)
            self._rewards[task] = found
        return self._rewards[task]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rewards)

    def __len__(self) -> int:
        return len(self._rewards)

    def _task(self, name: str) -> Task:
        return with_rewards(self._loaded, self._stage, self._index, TASKS.get(name))
