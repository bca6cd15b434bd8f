"""How likely answers are to another model that reads the same rollouts.

`row_logps` is the way to ask any policy for the log-probs of given tokens in one packed pass
without gradient; `LikelihoodProbe` makes the evidence of GRPO-CARE of it (arXiv 2506.16141).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch

from mmrl.policy.pack import bare_pack, num_tokens
from mmrl.rewards.care import ReferenceLikelihood
from mmrl.roles import Models
from mmrl.types import Clock, Group, Prompt, Rollout


class Lent(Protocol):
    """A companion that lends a model: `Ema`, `Frozen`."""

    def applied(self, models: Models) -> AbstractContextManager[Any]: ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """Tokens behind a prompt, to be scored; equal prompts must be the same object."""

    prompt: Prompt
    token_ids: tuple[int, ...]
    name: str = ""
    """The sample, for messages."""
    kept_ids: tuple[tuple[int, ...], ...] = ()
    truncated: bool = False


@torch.no_grad()
def row_logps(
    policy: Any, rows: Sequence[Row], *, tokens_per_pack: int = 16384
) -> list[tuple[float, ...]]:
    """Log-prob of every token of each row, at temperature 1 with nothing truncated.

    Rows that stand together and have the same prompt share it. Ids that are never sampled have no
    mass, as in the policy's own distribution.
    """
    found: list[tuple[float, ...]] = []
    with _whole(policy):
        for chunk in _chunks(rows, tokens_per_pack):
            pack = bare_pack(
                chunk,
                groups=[0] * len(chunk),
                names=[row.name for row in chunk],
                device=policy.device,
            )
            logp = policy(pack).logp.float().cpu()
            found += [
                tuple(part.tolist()) for part in logp.split([len(r.token_ids) for r in chunk])
            ]
    return found


def _chunks(rows: Sequence[Row], size: int) -> Iterator[list[Row]]:
    """Rows in order, as many at once as `size` tokens allow."""
    chunk: list[Row] = []
    for row in rows:
        if chunk and num_tokens([*chunk, row]) > size:
            yield chunk
            chunk = []
        chunk.append(row)
    if chunk:
        yield chunk


@contextmanager
def _whole(policy: Any) -> Iterator[None]:
    """Inside, log-probs are those of temperature 1; a scripted policy has no such setting."""
    space = getattr(policy, "space", None)
    if space is None:
        yield
        return
    policy.space = replace(space, temperature=1.0, top_k=0, top_p=1.0)
    try:
        yield
    finally:
        policy.space = space


def tokens_within(
    offsets: Sequence[int], length: int, span: tuple[int, int] | None
) -> tuple[int, ...]:
    """Places of the tokens that write any of the characters [start, end) of a text of `length`.

    `offsets` are where tokens begin. All tokens of one character count; tokens without a character
    (the end of text) do not.
    """
    if span is None or span[0] >= span[1]:
        return ()
    inside = []
    end = length
    for t in range(len(offsets) - 1, -1, -1):
        if t + 1 < len(offsets) and offsets[t + 1] > offsets[t]:
            end = offsets[t + 1]
        if max(offsets[t], span[0]) < min(end, span[1]):
            inside.append(t)
    return tuple(reversed(inside))


def answer_tokens(rollout: Rollout, offsets: Sequence[int] | None = None) -> tuple[int, ...]:
    """Places of the tokens of the last complete answer, without white space around it."""
    span = rollout.parsed.answer_span
    if span is None:
        return ()
    text = rollout.text[slice(*span)]
    start = span[0] + len(text) - len(text.lstrip())
    own = rollout.offsets if offsets is None else offsets
    return tokens_within(own, len(rollout.text), (start, start + len(text.strip())))


class LikelihoodProbe:
    """Evidence `ReferenceLikelihood`: log-probs of each rollout's answer under a lent model.

    `model` is a companion of the method: the paper's is `Ema(decay=0.995, every=10)`. A model with
    another tokenizer reads the same messages and text in its own tokens. (No dataclass: the walk
    for states would find the companion here as well, and save it twice.)
    """

    provides = ReferenceLikelihood

    def __init__(self, model: Lent, *, tokens_per_pack: int = 16384) -> None:
        self.model, self.tokens_per_pack = model, tokens_per_pack

    def __call__(
        self, groups: Sequence[Group], models: Models, clock: Clock, /
    ) -> list[list[ReferenceLikelihood]]:
        with self.model.applied(models) as policy:
            read = _own if policy is models.policy else _Foreign(policy)
            rows = [read(rollout, group) for group in groups for rollout in group.rollouts]
            asked = [row for row in rows if isinstance(row, _Asked)]
            logps = row_logps(policy, [a.row for a in asked], tokens_per_pack=self.tokens_per_pack)
        found = iter(
            ReferenceLikelihood(logps=tuple(values[t] for t in a.places))
            for a, values in zip(asked, logps, strict=True)
        )
        made = iter([next(found) if isinstance(row, _Asked) else row for row in rows])
        return [[next(made) for _ in group.rollouts] for group in groups]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Asked:
    """A row whose tokens at `places` are the answer."""

    row: Row
    places: tuple[int, ...]


def _own(rollout: Rollout, group: Group) -> _Asked | ReferenceLikelihood:
    places = answer_tokens(rollout)
    if not places:
        return ReferenceLikelihood(logps=())
    row = Row(prompt=rollout.prompt, token_ids=rollout.token_ids, name=group.sample.id)
    return _Asked(row=row, places=places)


class _Foreign:
    """Reads rollouts in the tokens of another model; a prompt is encoded once."""

    def __init__(self, policy: Any) -> None:
        self.policy = policy
        self._prompts: dict[int, Prompt] = {}

    def __call__(self, rollout: Rollout, group: Group) -> _Asked | ReferenceLikelihood:
        ids = self.policy.encode_text(rollout.text)
        if self.policy.decode(ids) != rollout.text:
            return ReferenceLikelihood(logps=(), failure="its tokens do not give the text back")
        places = answer_tokens(rollout, self.policy.offsets(ids, rollout.text))
        if not places:
            return ReferenceLikelihood(logps=())
        key = id(rollout.prompt)
        if key not in self._prompts:
            messages = rollout.prompt.messages
            self._prompts[key] = self.policy.encode(messages, name=group.sample.id)
        row = Row(prompt=self._prompts[key], token_ids=ids, name=group.sample.id)
        return _Asked(row=row, places=places)
