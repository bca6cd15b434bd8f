"""The values that flow through mmrl, one frozen type for each stage.

    Sample -> Prompt -> Rollout -> Group -> ScoredGroup -> CreditedGroup -> Pack -> loss

A later stage is a later type: nothing is optional because "someone fills it in".
Legend of shape suffixes: G rollout in group, T completion token, N completion token of a pack,
R row of a pack.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import torch

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True, slots=True)
class MediaRef:
    """One picture or clip by reference: a path or encoded bytes, never pixels.

    `span` is in seconds, `options` overrides the media budget for this item with the keys of
    `mmrl.media.plan.MediaBudget` (`min_pixels`, `max_pixels`, `total_pixels`, `fps`, `num_frames`,
    `min_frames`, `max_frames`, `strategy`).
    """

    kind: Literal["image", "video"]
    path: Path | None = None
    data: bytes | None = None
    span: tuple[float, float] | None = None
    options: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)

    def __post_init__(self) -> None:
        if (self.path is None) == (self.data is None):
            raise ValueError("a MediaRef holds either a path or encoded bytes, exactly one")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One row: a question about media with a checkable target.

    `id` is unique in its data set; `target` is whatever the task's rewards read; `meta` carries
    further columns (for user rewards) and `coord_space` where the target holds boxes.
    """

    id: str
    task: str
    question: str
    media: tuple[MediaRef, ...] = ()
    target: Any = None
    meta: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True, kw_only=True, slots=True)
class MediaInfo:
    """What became of one medium on its way into the prompt; sizes are (width, height) in pixels."""

    kind: Literal["image", "video"]
    digest: str
    """Content hash of the source, the key of caches and of pictures saved in the run folder."""
    original_size: tuple[int, int]
    processed_size: tuple[int, int]
    num_tokens: int
    seconds: tuple[float, ...] = ()
    """Time of every sampled frame; empty for a picture."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Prompt:
    """A context as the model reads it.

    `vision` is opaque: only the policy's family writes and reads it.
    """

    messages: tuple[Mapping[str, Any], ...]
    token_ids: tuple[int, ...]
    vision: Any = field(default=None, repr=False)
    media: tuple[MediaInfo, ...] = ()
    coord_space: str | None = None
    """The space in which this model's family writes boxes; None where it is not known."""


class StopReason(StrEnum):
    """Why a rollout ended."""

    EOS = "eos"
    LENGTH = "length"
    STOP_TEXT = "stop_text"
    ENVIRONMENT = "environment"


class Verdict(StrEnum):
    """What the parser made of a completion's tags."""

    OK = "ok"
    NO_ANSWER = "no_answer"
    NO_REASONING = "no_reasoning"
    REPEATED_TAG = "repeated_tag"
    UNCLOSED_TAG = "unclosed_tag"
    WRONG_ORDER = "wrong_order"
    EXTRA_TEXT = "extra_text"


@dataclass(frozen=True, kw_only=True, slots=True)
class Parsed:
    """Reasoning and answer cut out of a completion, with their character offsets [start, end)."""

    reasoning: str | None
    answer: str | None
    verdict: Verdict
    reasoning_span: tuple[int, int] | None = None
    answer_span: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Segment:
    """A run of completion tokens, either sampled by the policy or observed (an environment's text).

    `logps` are of the distribution that was sampled (temperature, truncation and bans applied);
    0.0 for observed tokens. `kept_ids[t]` are the ids that survived top-k/top-p at token t (empty
    tuple of tuples when nothing was truncated).
    """

    token_ids: tuple[int, ...]
    sampled: bool
    logps: tuple[float, ...]
    trainable: tuple[bool, ...]
    kept_ids: tuple[tuple[int, ...], ...] = ()
    vision: Any = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not len(self.token_ids) == len(self.logps) == len(self.trainable):
            raise ValueError(
                f"segment fields differ in length: {len(self.token_ids)} ids, "
                f"{len(self.logps)} log-probs, {len(self.trainable)} trainable flags"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class Rollout:
    """One completion: what was said under which prompt, token by token.

    `prompt` is the context it is trained under; `sampled_under` differs when a hint was given.
    `offsets[t]` is the character offset in `text` at which token t begins.
    """

    prompt: Prompt
    sampled_under: Prompt
    segments: tuple[Segment, ...]
    text: str
    offsets: tuple[int, ...]
    parsed: Parsed
    stop: StopReason
    policy_step: int
    seed: int = 0

    @classmethod
    def written(cls, text: str, parsed: Parsed, prompt: Prompt) -> Rollout:
        """A finished completion that nobody sampled, to be scored: it has no tokens."""
        return cls(
            prompt=prompt,
            sampled_under=prompt,
            segments=(),
            text=text,
            offsets=(),
            parsed=parsed,
            stop=StopReason.EOS,
            policy_step=0,
        )

    @cached_property
    def token_ids(self) -> tuple[int, ...]:
        return tuple(i for s in self.segments for i in s.token_ids)

    @cached_property
    def logps(self) -> tuple[float, ...]:
        return tuple(x for s in self.segments for x in s.logps)

    @cached_property
    def trainable(self) -> tuple[bool, ...]:
        return tuple(x for s in self.segments for x in s.trainable)

    @cached_property
    def kept_ids(self) -> tuple[tuple[int, ...], ...]:
        """Kept ids for every token, or empty when nothing was truncated."""
        if not any(s.kept_ids for s in self.segments):
            return ()
        return tuple(k for s in self.segments for k in (s.kept_ids or ((),) * len(s.token_ids)))

    @property
    def truncated(self) -> bool:
        return self.stop is StopReason.LENGTH


@dataclass(frozen=True, kw_only=True, eq=False)
class Group:
    """G rollouts of one draw of one sample; `draw_id` is unique in the run (never the text).

    `evidence` maps an evidence type to one value a rollout; `contrast` groups are scored for
    comparison and never packed.
    """

    draw_id: str
    sample: Sample
    rollouts: tuple[Rollout, ...]
    evidence: Mapping[type, tuple[Any, ...]] = field(default_factory=lambda: MappingProxyType({}))
    contrast: tuple[Group, ...] = ()

    def __len__(self) -> int:
        return len(self.rollouts)


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenStats:
    """Evidence about one rollout, under the policy before the update; one number a token.

    `entropy` and `divergence` are in nats; divergence is KL from the mean distribution of the
    group's rollouts at the same position. `hidden` are states [T, H] behind asked-for depths.
    """

    logps: tuple[float, ...]
    entropy: tuple[float, ...]
    divergence: tuple[float, ...]
    hidden: tuple[torch.Tensor, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoredGroup:
    """A group with its reward parts, the task's own score and the combined rewards.

    `parts[name][g]` is None where a reward could not score; `score` lies in [0, 1] and is what
    pass rates and variance filters read (never shaped reward). A rollout that is not scorable has
    score and reward None and is absent from group statistics.
    """

    group: Group
    parts: Mapping[str, tuple[float | None, ...]]
    score: tuple[float | None, ...]
    outcome: tuple[bool, ...]
    rewards: tuple[float | None, ...]
    failures: Mapping[str, tuple[str | None, ...]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    """Why a part could not score: reward name -> one reason (or None) a rollout."""
    weights: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """Weight of each part in the reward, as the method's `Combine` gets it multiplied in."""

    @property
    def scorable(self) -> tuple[bool, ...]:
        return tuple(r is not None for r in self.rewards)

    @property
    def spread(self) -> float:
        """max - min of the rewards of scorable rollouts; 0.0 when fewer than two."""
        known = [r for r in self.rewards if r is not None]
        return max(known) - min(known) if len(known) > 1 else 0.0


Advantage = float | tuple[float, ...]
"""One number for a whole rollout, or one a completion token."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CreditedGroup:
    """A scored group with the credit of each rollout and the weight of each token.

    `advantages[name][g]` is a float or one float a token; a loss term names the one it reads
    ("main" by default). `weights[g][t]` multiplies the per-token loss.
    """

    scored: ScoredGroup
    advantages: Mapping[str, tuple[Advantage, ...]]
    weights: tuple[tuple[float, ...], ...]

    @property
    def group(self) -> Group:
        return self.scored.group


@dataclass(frozen=True, kw_only=True, eq=False)
class Demonstration:
    """What SFT trains on: a prompt and the tokens that should follow it.

    `text` is the target completion that `token_ids` encode.
    """

    id: str
    sample: Sample
    prompt: Prompt
    text: str
    token_ids: tuple[int, ...]
    trainable: tuple[bool, ...]
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Pack:
    """Rows that go through the policy together; no padding, completion tokens lie flat.

    `prompts` are unique contexts and `prompt_of_R[r]` says which one row r continues, so the
    policy may compute each prompt once. Token fields have one entry a completion token of all
    rows, in row order [N]; `row_of_N` maps back to rows. Three log-prob fields: `behaviour` is
    the sampler's, `old` the learner's before the first update of the step, `reference` the frozen
    model's (zeros when the method asks for none).
    """

    prompts: tuple[Prompt, ...]
    prompt_of_R: tuple[int, ...]
    group_of_R: torch.Tensor
    lengths_R: torch.Tensor
    truncated_R: torch.Tensor
    token_ids: torch.Tensor
    row_of_N: torch.Tensor
    mask: torch.Tensor
    advantages: Mapping[str, torch.Tensor]
    weights: torch.Tensor
    behaviour: torch.Tensor
    old: torch.Tensor
    reference: torch.Tensor
    kept_ids: Sequence[tuple[int, ...]] = ()
    sample_ids: tuple[str, ...] = ()
    """Of each row, for messages that must name the sample."""

    @property
    def num_rows(self) -> int:
        return len(self.prompt_of_R)


@dataclass(frozen=True, kw_only=True, eq=False)
class PolicyOutput:
    """What the policy says of a pack's completion tokens, under the sampled distribution [N].

    `entropy` is in nats and None unless the method asked for it.
    """

    logp: torch.Tensor
    entropy: torch.Tensor | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """Sizes of a whole optimizer update, over all packs and ranks: what reductions divide by."""

    tokens: float
    """Trainable completion tokens."""
    rows: float
    """Rows with at least one trainable token."""
    all_rows: float
    groups: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Clock:
    """Where the run is: everything that may depend on time is a function of this."""

    step: int
    """Optimizer-visible step of the whole run, from 0."""
    stage: str
    stage_step: int
    stage_steps: int
    epoch: float = 0.0

    @property
    def stage_progress(self) -> float:
        """Share of the stage done, in [0, 1]."""
        return min(1.0, self.stage_step / max(1, self.stage_steps))
