"""Reward for not repeating oneself: VLM-R1's, Seg-Zero's and GRIT's idea, as one bounded share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mmrl.parse.boxes import parse_boxes
from mmrl.types import Rollout, Sample


@dataclass(frozen=True, kw_only=True)
class Fresh:
    """Different parts of a completion as a share of all its parts, in [0, 1].

    The parts are its boxes where it holds several, else its runs of `words` words (VLM-R1: 6, whose
    reward is this minus 1). A completion too short for a run is fresh, an empty one earns 0 (GRIT
    pays it in full).
    """

    words: int = 6

    def __call__(
        self,
        rollout: Rollout,
        sample: Sample,
        /,
    ) -> float:
        return different_share(rollout.text, self.words)


def different_share(text: str, words: int) -> float:
    """Different boxes (where there are several) or runs of `words` words, over all of them."""
    said = text.lower().split()
    if not said:
        return 0.0
    parts: Sequence[Any] = parse_boxes(text)
    if len(parts) < 2:
        parts = list(zip(*(said[i:] for i in range(words)), strict=False))
    return len(set(parts)) / len(parts) if parts else 1.0


fresh_reward = Fresh()
