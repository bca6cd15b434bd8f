"""A method as parts, and its specification as hyper-parameters.

`MethodSpec` is what a recipe writes; `build(task)` turns it into a `Method`, the dataclass of roles
that the loop runs without knowing its name. What does not fit together fails there, in words.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mmrl.credit.gates import keep_all
from mmrl.errors import ConfigError, nearest
from mmrl.methods.assembly import check_assembly
from mmrl.registry import Registry
from mmrl.rewards.combine import weighted_sum
from mmrl.roles import (
    Balance,
    Bonus,
    Combine,
    Companion,
    Credit,
    Gate,
    Probe,
    Reward,
    RolloutPlan,
    Stateful,
    Term,
    TokenWeights,
)
from mmrl.tasks.base import Task
from mmrl.types import Clock, ScoredGroup

NO_CREDIT: Mapping[str, Credit] = MappingProxyType({})


def unit_weights(scored: ScoredGroup, /) -> Sequence[Sequence[float]]:
    """Weight 1 for every token."""
    return [[1.0] * len(rollout.token_ids) for rollout in scored.group.rollouts]


def unit_balance(monitored: Mapping[str, float], clock: Clock, /) -> Mapping[str, float]:
    """No factors: every term has its own coefficient only."""
    return {}


@dataclass(frozen=True, kw_only=True, eq=False)
class Method:
    """The parts that make a method; the source is the stage's.

    Its assembly is checked when it is made: see `mmrl.methods.assembly`.
    """

    name: str
    group_size: int
    rewards: tuple[Reward, ...]
    credit: Credit
    """Advantages named "main"."""
    terms: tuple[Term, ...]
    plan: RolloutPlan | None = None
    """How groups are sampled; None is `group_size` rollouts a sample."""
    probes: tuple[Probe, ...] = ()
    bonuses: tuple[Bonus, ...] = ()
    combine: Combine = weighted_sum
    gate: Gate = keep_all
    more_credit: Mapping[str, Credit] = field(default_factory=lambda: NO_CREDIT)
    """Further named advantages, for terms that read them."""
    token_weights: TokenWeights = unit_weights
    balance: Balance = unit_balance
    companions: tuple[Companion, ...] = ()
    mask_truncated: bool = False
    """Completions that hit the length limit do not train (DAPO's overlong filter)."""
    epochs: int = 1
    minibatches: int = 1

    def __post_init__(self) -> None:
        check_assembly(self)

    @property
    def needs(self) -> frozenset[str]:
        """What the learner must provide for the terms: of "old", "reference", "entropy"."""
        return frozenset().union(*(term.needs for term in self.terms))

    @property
    def needs_reference(self) -> bool:
        return "reference" in self.needs


class MethodSpec(BaseModel):
    """Hyper-parameters of a method, with the paper's values as defaults."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, use_attribute_docstrings=True
    )
    model_folders: ClassVar[tuple[str, ...]] = ()
    """Settings that name checkpoint folders, for whoever must know what a recipe loads."""

    name: str
    """The method's name in the registry."""
    group_size: int = Field(default=8, ge=1)
    """Rollouts a prompt."""
    max_length: int | None = Field(default=None, ge=1)
    """Tokens of the longest completion; the sampler's limit unless it is set."""
    epochs: int = Field(default=1, ge=1)
    """Passes over a step's rollouts."""
    minibatches: int = Field(default=1, ge=1)
    """Optimizer updates a pass."""
    mask_truncated: bool = False
    """Leave completions that hit the length limit out of the loss (overlong filter, DAPO)."""

    @abstractmethod
    def build(self, task: Task) -> Method:
        """The method for that task."""

    def rewards(self, task: Task) -> tuple[Reward, ...]:
        """The reward parts of rollouts of `task`: for mixtures, asked for each task."""
        return task.rewards

    def known_length(self, reader: str) -> int:
        """`max_length`, or an error that says which setting reads it."""
        if self.max_length is None:
            raise ConfigError(
                f"method.{reader} of {self.name} reads method.max_length, which is not set; "
                f"set it to the sampler's max_new_tokens"
            )
        return self.max_length


S = TypeVar("S", bound=type[MethodSpec])

METHODS: Registry[type[MethodSpec]] = Registry("method", builtin=("mmrl.methods.*",))


def register_method(spec: S) -> S:
    """Class decorator: adds a MethodSpec under the default of its `name`."""
    fields_of: type[MethodSpec] = spec
    METHODS.add(fields_of.model_fields["name"].default, spec)
    return spec


def method_spec(settings: Mapping[str, Any], *, max_length: int | None = None) -> MethodSpec:
    """The validated spec of a recipe's `method:` settings.

    `max_length` is the sampler's limit and stands in where the settings leave theirs out. An
    unknown name or key, or a value out of range, is a ConfigError with the nearest known one.
    """
    if "name" not in settings:
        raise ConfigError(f"method has no name. Known: {', '.join(METHODS.names())}.")
    spec = METHODS.get(str(settings["name"]))
    unknown = [key for key in settings if key not in spec.model_fields]
    if unknown:
        raise ConfigError(
            f"method.{unknown[0]}: {settings['name']} has no such setting."
            f"{nearest(str(unknown[0]), spec.model_fields)}"
        )
    try:
        return spec.model_validate({"max_length": max_length, **settings})
    except ValidationError as error:
        problems = "; ".join(_problem(e) for e in error.errors())
        raise ConfigError(f"method {settings['name']}: {problems}") from error


def _problem(error: Any) -> str:
    """One validation error as `method.key: what is wrong (it is value)`."""
    key = ".".join(str(part) for part in error["loc"])
    message = error["msg"].removeprefix("Value error, ")
    return f"method.{key}: {message} (it is {error['input']!r})" if key else message


def stateful_parts(part: Any) -> dict[str, Stateful]:
    """Path -> part with a state, found by walking fields, tuples and mappings of `part`."""
    return dict(_walk(part, ""))


def _walk(part: Any, path: str) -> Iterator[tuple[str, Stateful]]:
    if path and isinstance(part, Stateful) and not isinstance(part, type):
        yield path, part
        return
    inside: list[tuple[str, Any]] = []
    if is_dataclass(part) and not isinstance(part, type):
        inside = [(f.name, getattr(part, f.name)) for f in fields(part)]
    elif isinstance(part, tuple | list):
        inside = [(str(index), item) for index, item in enumerate(part)]
    elif isinstance(part, Mapping):
        inside = [(str(key), item) for key, item in part.items()]
    for name, item in inside:
        yield from _walk(item, f"{path}.{name}" if path else name)
