"""A target that somebody typed: JSON or text, in the form that a task's rewards read.

The text is not trusted: its length, depth and numbers are bounded before anything reads it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mmrl.data.check import check_target
from mmrl.errors import DataError
from mmrl.tasks.base import TASKS
from mmrl.types import MediaInfo, Sample

LONGEST = 20_000
"""Characters of a target."""
DEEPEST = 32
"""Brackets within brackets."""
_MOST_DIGITS = 18


def with_target(sample: Sample, text: str, infos: Sequence[MediaInfo]) -> Sample:
    """The sample with this target, or a DataError that says what is wrong with it.

    JSON is tried first, then the text as it stands (`7` may be a number or a word): the first that
    gives a reference answer which earns the full reward is taken.
    """
    task = TASKS.get(sample.task)
    wrong = ""
    for value in candidates(text):
        tried = replace(sample, target=value)
        findings = check_target(tried, task, tuple(infos))
        if not findings:
            return tried
        wrong = wrong or findings[0].message
    example = ""
    if task.world is not None:
        drawn = task.world(0, split="train", seed=0, **task.world_options)
        example = f" A target of this task: {json.dumps(drawn.target, default=str)[:200]}"
    raise DataError(f"target: {wrong[:600]}.{example}")


def candidates(text: str) -> list[Any]:
    """What a typed target may mean: its JSON value, and the text where that is another."""
    text = text.strip()
    if not text:
        raise DataError("target: it is empty; leave scoring off to ask without one")
    if len(text) > LONGEST:
        raise DataError(f"target: {len(text):,} characters; at most {LONGEST:,} are read")
    if _depth(text) > DEEPEST:
        raise DataError(f"target: brackets lie deeper than {DEEPEST}; no task has such a target")
    try:
        value = json.loads(text, parse_constant=_refuse, parse_int=_whole, parse_float=_finite)
    except json.JSONDecodeError:
        return [text]
    except RecursionError:
        raise DataError("target: brackets lie too deep") from None
    return [value] if isinstance(value, str) else [value, text]


def _depth(text: str) -> int:
    """Most brackets that are open at once, those within quotes too: an upper bound."""
    depth = most = 0
    for character in text:
        if character in "[{":
            depth += 1
            most = max(most, depth)
        elif character in "]}":
            depth -= 1
    return most


def _refuse(word: str) -> Any:
    raise DataError(f"target: {word} is no number that an answer can be compared with")


def _whole(digits: str) -> int:
    if len(digits.lstrip("-")) > _MOST_DIGITS:
        raise DataError(f"target: a number of {len(digits):,} digits; at most {_MOST_DIGITS}")
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        _refuse(digits[:40])
    return value
