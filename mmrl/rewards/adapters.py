"""Reward functions written for TRL, verl and EasyR1, unchanged, as rewards of mmrl.

Each adapter calls the function with the arguments that its own trainer gives it, for a batch of one
completion. Departures: a TRL function that compares the completions of a batch with each other sees
one at a time; an exception is a named failure of the sample, never a score of 0.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from numbers import Real
from types import MappingProxyType, SimpleNamespace
from typing import Any, Literal

from mmrl.errors import ConfigError, RewardError
from mmrl.rewards.functions import load_user_function
from mmrl.rewards.outcome import Judged
from mmrl.roles import RewardFn
from mmrl.types import Clock, MediaRef, Rollout, Sample

Evidence = Mapping[type, Any]
UserFn = Callable[..., Any]
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_ANSWER_COLUMNS = ("solution", "answer", "target", "ground_truth")


@dataclass(frozen=True)
class TrlReward:
    """Calls `fn(prompts, completions, completion_ids, **columns)` with lists of one entry."""

    fn: UserFn
    conversational: bool = True
    """Prompt and completion as lists of messages, as TRL gives them for chat data."""
    kwargs: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)

    def __call__(
        self, rollout: Rollout, sample: Sample, evidence: Evidence, clock: Clock, /
    ) -> float | None:
        logged: dict[str, float] = {}

        def log_extra(column: str, values: Any) -> None:
            """A text column of TRL's completion table: rollout files hold the texts already."""

        def log_metric(name: str, value: float) -> None:
            logged[name] = float(value)

        prompt = [dict(_plain_message(message)) for message in rollout.prompt.messages]
        prompts: Any = prompt if self.conversational else "".join(map(_text_of, prompt))
        said: Any = rollout.text
        if self.conversational:
            said = [{"role": "assistant", "content": rollout.text}]
        columns = {name: [value] for name, value in _columns(sample, self.fn).items()}
        columns.update(self.kwargs)
        values = _finished(
            self.fn(
                prompts=[prompts],
                completions=[said],
                completion_ids=[list(rollout.token_ids)],
                **columns,
                trainer_state=_trainer_state(clock),
                log_extra=log_extra,
                log_metric=log_metric,
            )
        )
        if not isinstance(values, list | tuple) or len(values) != 1:
            raise RewardError(
                f"{_name(self.fn)} should return a list with one value a completion; for one "
                f"completion it returned {values!r:.80}"
            )
        value: float | None = values[0]
        return _with_figures(value, logged)


@dataclass(frozen=True)
class VerlReward:
    """Calls `compute_score(data_source, solution_str, ground_truth, extra_info, **kwargs)`.

    A function that names the plural arguments (`data_sources`, …) gets lists of one, as from
    verl's batch manager.
    """

    fn: UserFn
    kwargs: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)

    def __call__(
        self, rollout: Rollout, sample: Sample, evidence: Evidence, clock: Clock, /
    ) -> float | None:
        given = {
            "data_source": str(sample.meta.get("data_source", sample.task)),
            "solution_str": rollout.text,
            "ground_truth": _ground_truth(sample),
            "extra_info": _extra_info(sample),
        }
        if "data_sources" in inspect.signature(self.fn).parameters:
            lists = {_PLURAL[name]: [value] for name, value in given.items()}
            result = _finished(self.fn(**lists, **self.kwargs))
            result = result[0]
        else:
            result = _finished(self.fn(**given, **self.kwargs))
        return _scored(result, "score", self.fn)


@dataclass(frozen=True)
class EasyR1Reward:
    """Calls `compute_score` with `{"response", "response_length", "ground_truth"}`.

    Its module's `REWARD_TYPE` says whether it takes a list of them ("batch", the default) or one
    ("sequential").
    """

    fn: UserFn
    kwargs: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    reward_type: Literal["batch", "sequential"] | None = None
    """None reads the module's constant."""

    def __call__(
        self, rollout: Rollout, sample: Sample, evidence: Evidence, clock: Clock, /
    ) -> float | None:
        item = {
            "response": rollout.text,
            "response_length": len(rollout.token_ids),
            "ground_truth": _ground_truth(sample),
        }
        named = getattr(inspect.unwrap(self.fn), "__globals__", {}).get("REWARD_TYPE", "batch")
        if (self.reward_type or named) == "sequential":
            return _scored(_finished(self.fn(item, **self.kwargs)), "overall", self.fn)
        results = _finished(self.fn([item], **self.kwargs))
        if not isinstance(results, list | tuple) or len(results) != 1:
            raise RewardError(
                f"{_name(self.fn)} should return a list with one dict a response, it returned "
                f"{results!r:.80}; is it sequential? Then its file says REWARD_TYPE"
            )
        return _scored(results[0], "overall", self.fn)


_PLURAL = {
    "data_source": "data_sources",
    "solution_str": "solution_strs",
    "ground_truth": "ground_truths",
    "extra_info": "extra_infos",
}


def from_trl(fn: UserFn, *, conversational: bool = True, **kwargs: Any) -> RewardFn:
    """A TRL reward function as a reward: `mmrl.register_reward("name")(from_trl(f))`."""
    return TrlReward(fn, conversational, kwargs)


def from_verl(compute_score: UserFn, **kwargs: Any) -> RewardFn:
    """A verl `compute_score` as a reward; `kwargs` are its `reward_kwargs`."""
    return VerlReward(compute_score, kwargs)


def from_easyr1(compute_score: UserFn, **kwargs: Any) -> RewardFn:
    """An EasyR1 `compute_score` as a reward; `kwargs` are its `reward_function_kwargs`."""
    return EasyR1Reward(compute_score, kwargs)


def user_reward(
    function: str,
    kind: Literal["mmrl", "trl", "verl", "easyr1"] = "mmrl",
    kwargs: Mapping[str, Any] = _NOTHING,
) -> Callable[..., float | None]:
    """The function that a recipe names (`path/to/file.py:name`), in the form of a reward."""
    fn = load_user_function(function)
    match kind:
        case "trl":
            return from_trl(fn, **kwargs)
        case "verl":
            return from_verl(fn, **kwargs)
        case "easyr1":
            return from_easyr1(fn, **kwargs)
        case "mmrl":
            return WithSettings(fn, dict(kwargs)) if kwargs else fn
    raise ConfigError(f'reward kind "{kind}"; known are mmrl, trl, verl, easyr1')


@dataclass(frozen=True)
class WithSettings:
    """A reward function of mmrl with keyword settings from the recipe."""

    fn: UserFn
    kwargs: Mapping[str, Any]

    def __call__(
        self, rollout: Rollout, sample: Sample, evidence: Evidence, clock: Clock, /
    ) -> float | None:
        positional = [
            p
            for p in inspect.signature(self.fn).parameters.values()
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.name not in self.kwargs
        ]
        arguments = (rollout, sample, evidence, clock)[: 4 if len(positional) >= 4 else 2]
        value: float | None = self.fn(*arguments, **self.kwargs)
        return value


def _columns(sample: Sample, fn: UserFn) -> dict[str, Any]:
    """The data set's columns; pictures are opened only for a function that names them."""
    columns = {k: v for k, v in sample.meta.items() if k not in _GIVEN}
    columns.setdefault("id", sample.id)
    for name in _ANSWER_COLUMNS:
        columns.setdefault(name, sample.target)
    wanted = inspect.signature(fn).parameters
    pictures = [ref for ref in sample.media if ref.kind == "image"]
    if "images" in wanted:
        columns["images"] = [_opened(ref) for ref in pictures]
    if "image" in wanted:
        columns["image"] = _opened(pictures[0]) if pictures else None
    return columns


_GIVEN = {"prompts", "completions", "completion_ids", "prompt", "completion"}
_GIVEN |= {"trainer_state", "log_extra", "log_metric"}
"""Arguments that TRL fills itself; columns of these names do not reach a function."""


def _opened(ref: MediaRef) -> Any:
    from mmrl.media.image import open_image

    return open_image(ref)


def _trainer_state(clock: Clock) -> SimpleNamespace:
    """The fields of transformers' TrainerState that reward schedules read."""
    return SimpleNamespace(
        global_step=clock.step,
        max_steps=clock.stage_steps,
        epoch=clock.epoch,
        log_history=[],
    )


def _plain_message(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """A message whose media parts are only their kind, as TRL's prompts are."""
    content = message.get("content")
    if isinstance(content, str) or content is None:
        return message
    parts = [
        {"type": "text", "text": part.get("text", "")}
        if part.get("type") == "text"
        else {"type": part.get("type")}
        for part in content
    ]
    return {**message, "content": parts}


def _text_of(message: Mapping[str, Any]) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(p.get("text", "") for p in content)


def _ground_truth(sample: Sample) -> Any:
    """The answer column as the data set has it; the target where there is none."""
    return sample.meta.get("ground_truth", sample.target)


def _extra_info(sample: Sample) -> dict[str, Any]:
    """The data set's `extra_info` (its other columns where it has none), media paths beside it."""
    given = sample.meta.get("extra_info")
    info = dict(given) if isinstance(given, Mapping) else dict(sample.meta)
    for kind in ("image", "video"):
        paths = [str(ref.path) for ref in sample.media if ref.kind == kind and ref.path]
        info.setdefault(f"{kind}_paths", paths)
    info.setdefault("index", sample.id)
    info.setdefault("question", sample.question)
    return info


def _finished(result: Any) -> Any:
    return asyncio.run(_awaited(result)) if inspect.isawaitable(result) else result


async def _awaited(result: Awaitable[Any]) -> Any:
    return await result


def _scored(result: Any, key: str, fn: UserFn) -> float | None:
    if not isinstance(result, Mapping):
        value: float | None = result
        return value
    if key not in result:
        raise RewardError(
            f'{_name(fn)} returned a dict without "{key}"; it has {", ".join(map(str, result))}'
        )
    return _with_figures(result[key], {k: v for k, v in result.items() if k != key})


def _with_figures(value: float | None, figures: Mapping[str, Any]) -> float | None:
    """The value with the numbers among `figures` beside it."""
    numbers = {k: float(v) for k, v in figures.items() if isinstance(v, Real)}
    if isinstance(value, Real) and numbers:
        return Judged(float(value), numbers)
    return value


def _name(fn: UserFn) -> str:
    return getattr(fn, "__qualname__", repr(fn))
