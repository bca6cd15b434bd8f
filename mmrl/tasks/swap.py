"""The other order of a pair, and how often verdicts contradict themselves between the orders."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from mmrl.errors import DataError
from mmrl.parse.pairs import relabelled
from mmrl.parse.verdicts import PairVerdict, parse_verdict, verdict_text
from mmrl.rewards.preference import gold_verdict
from mmrl.types import Rollout, Sample

SWAPPED = "-swapped"
"""Ends the id of a sample in the other order."""


def swapped(sample: Sample) -> Sample:
    """The sample with its two candidates exchanged and the target turned round.

    Candidates are the texts of `meta["answers"]`, found in the question, else the two halves of
    the media. A DataError says why a sample has no two to exchange.
    """
    gold = gold_verdict(sample)
    answers = sample.meta.get("answers")
    question, media = sample.question, sample.media
    if answers is not None:
        question = _exchanged(sample, answers)
    elif media and len(media) % 2 == 0:
        half = len(media) // 2
        media = (*media[half:], *media[:half])
    else:
        raise DataError(
            f'sample "{sample.id}" has {len(media)} media and no meta["answers"]: there are no two '
            "candidates to exchange; give the two texts as a column `answers`, or an even number "
            "of media"
        )
    was_swapped = sample.id.endswith(SWAPPED)
    meta: dict[str, Any] = {**sample.meta, "swapped": not was_swapped}
    if answers is not None:
        meta["answers"] = list(answers)[::-1]
    elif "reason" in meta:
        meta["reason"] = relabelled(str(meta["reason"]))
    return replace(
        sample,
        id=sample.id.removesuffix(SWAPPED) if was_swapped else sample.id + SWAPPED,
        question=question,
        media=media,
        target=verdict_text(gold._replace(better=1 - gold.better)),
        meta=meta,
    )


def _exchanged(sample: Sample, answers: Any) -> str:
    """The question with the two answers in each other's place.

    Both stand in the question, the first before the second. Where they do so in several ways, the
    last ones behind labels (`A: … B: …`, `Answer 1: … Answer 2: …`) are meant.
    """
    if len(answers) != 2 or not all(isinstance(a, str) and a for a in answers):
        raise DataError(
            f'sample "{sample.id}": meta["answers"] should be two texts: {answers!r:.80}'
        )
    text, (one, two) = sample.question, answers
    found = [
        (at, other)
        for at in _places(text, one)
        for other in _places(text, two)
        if at + len(one) <= other
    ]
    labelled = [(a, b) for a, b in found if _label(text, a, "A1") == _label(text, b, "B2") != ""]
    if not labelled and len(found) != 1:
        raise DataError(
            f'sample "{sample.id}": the answers {one!r:.60} and {two!r:.60} of meta["answers"] '
            f"stand in the question in {len(found)} ways one after the other; wanted is one, or "
            'labels before them as in "A: … B: …"'
        )
    at, other = (labelled or found)[-1]
    middle = text[at + len(one) : other]
    return text[:at] + two + middle + one + text[other + len(two) :]


def _places(text: str, part: str) -> list[int]:
    """Where a text begins in another, at most the last 50 places."""
    found: list[int] = []
    at = text.rfind(part)
    while at >= 0 and len(found) < 50:
        found.append(at)
        at = text.rfind(part, 0, at + len(part) - 1)
    return found[::-1]


def _label(text: str, at: int, names: str) -> str:
    """The label before a place with its own letter or digit as *, "" where there is none."""
    found = re.search(
        rf"([A-Za-z]* ?)(?<![A-Za-z0-9])[{names}]([:.)]?\s*)\Z", text[max(0, at - 20) : at]
    )
    return f"{found[1]}*{found[2]}" if found else ""


def contradiction_rate(said: Iterable[tuple[Sample, Rollout]]) -> float | None:
    """Share of pairs of verdicts, one in each order, that call the same side better.

    Orders of a pair are samples whose ids differ in the end `-swapped` (worlds draw both with
    `order: both`). Every rollout of one order is compared with every one of the other; answers
    that are no verdict are left out. None where no pair was judged in both orders.
    """
    found: Mapping[str, tuple[list[PairVerdict], list[PairVerdict]]]
    found = defaultdict(lambda: ([], []))
    for sample, rollout in said:
        verdict = parse_verdict(rollout.parsed.answer or "")
        if verdict is not None:
            turned = sample.id.endswith(SWAPPED)
            found[sample.id.removesuffix(SWAPPED)][turned].append(verdict)
    pairs = [(a, b) for ones, others in found.values() for a in ones for b in others]
    if not pairs:
        return None
    return sum(a.better == b.better for a, b in pairs) / len(pairs)
