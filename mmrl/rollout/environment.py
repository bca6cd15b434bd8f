"""Rollouts of several turns against an environment that a user writes.

The policy speaks, the environment answers in text, until it is done, the turns are used up or a
turn is cut by its length. What the environment said stands in the rollout as observed segments:
the learner sees them as context and never trains on them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Protocol

from mmrl.errors import PolicyError
from mmrl.seeds import seed_of
from mmrl.types import (
    Clock,
    Group,
    MediaRef,
    Parsed,
    Prompt,
    Rollout,
    Sample,
    Segment,
    StopReason,
)


@dataclass(frozen=True, kw_only=True)
class Observation:
    """What the environment says next. `media` is not supported yet and refused in words."""

    text: str
    media: tuple[MediaRef, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Done:
    """The end of an episode. `score` and `info` reach rewards as evidence `Outcome`."""

    score: float | None = None
    info: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Evidence of one rollout: how its episode ended; `done` is None when it was cut off."""

    done: Done | None
    turns: int


class Environment(Protocol):
    """One episode. `reset` may add an observation to the prompt; `step` answers a turn's text."""

    def reset(self, sample: Sample, /) -> Observation | None: ...

    def step(self, text: str, /) -> Observation | Done: ...


@dataclass
class _Episode:
    environment: Environment
    prompt: Prompt
    seeds: tuple[object, ...]
    segments: list[Segment] = field(default_factory=list)
    turn: Rollout | None = None
    stop: StopReason | None = None
    done: Done | None = None
    turns: int = 0

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(i for s in self.segments for i in s.token_ids)


@dataclass(frozen=True, kw_only=True)
class Episodes:
    """A plan: `size` episodes a draw, each in its own environment, at most `max_turns` turns.

    `max_new_tokens` of the run's sampling holds for each turn.
    """

    size: int
    make: Callable[[Sample], Environment]
    max_turns: int = 8

    def __call__(
        self, draws: Sequence[tuple[str, Sample]], models: Any, clock: Clock, /
    ) -> list[Group]:
        groups = [
            [self._start(models, draw_id, sample, g) for g in range(self.size)]
            for draw_id, sample in draws
        ]
        for turn in range(self.max_turns):
            open_ones = [e for group in groups for e in group if e.stop is None]
            if not open_ones:
                break
            self._turn(models, open_ones, turn, clock)
        return [
            Group(
                draw_id=draw_id,
                sample=sample,
                rollouts=tuple(_rollout(models.policy, e, clock) for e in group),
                evidence={Outcome: tuple(Outcome(done=e.done, turns=e.turns) for e in group)},
            )
            for (draw_id, sample), group in zip(draws, groups, strict=True)
        ]

    def _start(self, models: Any, draw_id: str, sample: Sample, g: int) -> _Episode:
        environment = self.make(sample)
        prompt = models.encode(sample)
        first = environment.reset(sample)
        if first is not None:
            *before, last = prompt.messages
            content = last["content"]
            items = [{"type": "text", "text": content}] if isinstance(content, str) else content
            said = {"type": "text", "text": "\n" + _text_only(first, sample)}
            messages = (*before, {**last, "content": [*items, said]})
            prompt = models.policy.encode(messages, name=sample.id)
        return _Episode(environment, prompt, (models.seed, "rollout", draw_id, g))

    def _turn(self, models: Any, episodes: Sequence[_Episode], turn: int, clock: Clock) -> None:
        """Samples one turn of every open episode in one call, then lets the environments answer."""
        policy = models.policy
        sampled = models.sampler.sample(
            [policy.extend(e.prompt, e.ids) if e.segments else e.prompt for e in episodes],
            group_size=1,
            seeds=[[seed_of(*e.seeds, "turn", turn)] for e in episodes],
            sampling=models.sampling,
            policy_step=clock.step,
        )
        for episode, (rollout,) in zip(episodes, sampled, strict=True):
            episode.turn = rollout
            episode.turns += 1
            episode.segments += rollout.segments
            if rollout.stop is StopReason.LENGTH:
                episode.stop = StopReason.LENGTH
                continue
            answer = episode.environment.step(rollout.text)
            if isinstance(answer, Done):
                episode.done, episode.stop = answer, StopReason.ENVIRONMENT
            elif turn + 1 < self.max_turns:
                text = _text_only(answer, None)
                ended = rollout.stop is StopReason.EOS
                episode.segments.append(_observed(policy.observation_ids(text, ended=ended)))


def _observed(ids: Sequence[int]) -> Segment:
    return Segment(
        token_ids=tuple(ids),
        sampled=False,
        logps=(0.0,) * len(ids),
        trainable=(False,) * len(ids),
    )


def _text_only(observation: Observation, sample: Sample | None) -> str:
    if observation.media:
        kinds = ", ".join(m.kind for m in observation.media)
        of = f" of sample {sample.id}" if sample is not None else ""
        raise PolicyError(
            f"the environment{of} answered with {kinds}: observed media are not supported, only "
            "text; put pictures into the sample, or describe them"
        )
    return observation.text


def _rollout(policy: Any, episode: _Episode, clock: Clock) -> Rollout:
    """The whole episode as one rollout; parsed is what the last turn said, by its place in it."""
    assert episode.turn is not None
    ids = episode.ids
    text = policy.decode(ids)
    offsets = policy.offsets(ids, text)
    last = episode.turn
    begin = len(ids) - len(last.token_ids)
    return Rollout(
        prompt=episode.prompt,
        sampled_under=episode.prompt,
        segments=tuple(episode.segments),
        text=text,
        offsets=offsets,
        parsed=_moved(last.parsed, offsets[begin] if begin < len(offsets) else len(text)),
        stop=episode.stop or StopReason.LENGTH,
        policy_step=clock.step,
        seed=seed_of(*episode.seeds),
    )


def _moved(parsed: Parsed, by: int) -> Parsed:
    def move(span: tuple[int, int] | None) -> tuple[int, int] | None:
        return None if span is None else (span[0] + by, span[1] + by)

    return replace(
        parsed,
        reasoning_span=move(parsed.reasoning_span),
        answer_span=move(parsed.answer_span),
    )
