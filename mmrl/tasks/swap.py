"""The other order of a pair, and how often verdicts contradict themselves between the orders."""

from __future__ import annotations

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
    """The question with the two answers in each other's place."""
    if len(answers) != 2 or not all(isinstance(a, str) and a for a in answers):
        raise DataError(
            f'sample "{sample.id}": meta["answers"] should be two texts: {answers!r:.80}'
        )
    text = sample.question
    long, short = sorted(answers, key=len, reverse=True)
    at = _only(sample, text, long, [])
    other = _only(sample, text, short, [(at, at + len(long))])
    (first, one), (second, two) = sorted([(at, long), (other, short)])
    middle = text[first + len(one) : second]
    return text[:first] + two + middle + one + text[second + len(two) :]


def _only(sample: Sample, text: str, part: str, taken: list[tuple[int, int]]) -> int:
    """Where `part` stands in the text, outside of what is taken; it must be one place."""
    found, at = [], text.find(part)
    while at >= 0:
        if all(at + len(part) <= begin or at >= end for begin, end in taken):
            found.append(at)
        at = text.find(part, at + 1)
    if len(found) != 1:
        raise DataError(
            f'sample "{sample.id}": the answer {part!r:.60} of meta["answers"] stands '
            f"{len(found)} times in the question, it should stand there once"
        )
    return found[0]


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
