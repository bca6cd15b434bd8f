"""Soft punishment of over-long completions (DAPO, arXiv 2503.14476, section 3.4)."""

from __future__ import annotations

from dataclasses import dataclass

from mmrl.types import Rollout, Sample


def soft_overlong(length: int, max_length: int, buffer: int) -> float:
    """0 up to `max_length - buffer` tokens, then linearly down to -1 at `max_length` and beyond.

    `buffer` 0 is a hard threshold: -1 beyond `max_length`, nothing before.
    """
    excess = length - (max_length - buffer)
    if excess <= 0:
        return 0.0
    return -1.0 if excess >= buffer else -excess / buffer


@dataclass(frozen=True, kw_only=True)
class Overlong:
    """`soft_overlong` of the sampled tokens of a rollout, in [-1, 0].

    A rollout that was cut off at `max_length` counts as beyond it: with `buffer` 0 that is the
    only way to get there when sampling stops at `max_length`.
    """

    max_length: int
    """Tokens; normally the sampler's limit."""
    buffer: int
    """Tokens before `max_length` over which the punishment grows."""

    def __call__(
        self,
        rollout: Rollout,
        sample: Sample,
        /,
    ) -> float:
        length = sum(len(s.token_ids) for s in rollout.segments if s.sampled)
        if rollout.truncated and length >= self.max_length:
            return -1.0
        return soft_overlong(length, self.max_length, self.buffer)
