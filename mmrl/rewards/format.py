"""Reward for well-formed tags."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from mmrl.types import Rollout, Sample, Verdict

NO_EVIDENCE: Mapping[type, Any] = MappingProxyType({})


def format_reward(
    rollout: Rollout,
    sample: Sample,
    /,
) -> float:
    """1 where the parser's verdict on the tags is OK, else 0."""
    return 1.0 if rollout.parsed.verdict is Verdict.OK else 0.0
