"""Cuts `<think>…</think><answer>…</answer>` out of a completion, by character offsets.

The last complete answer counts; nothing is ever verified on the whole completion. The verdict says
what was wrong with the tags: malformed text is a verdict, not an exception.
"""

from __future__ import annotations

import re

from mmrl.types import Parsed, Verdict

_TAG = re.compile(r"<(/?)(think|answer)>")


def parse_completion(text: str) -> Parsed:
    """Reasoning and answer of `text` with the verdict on its tags.

    The answer is the content of the last complete, innermost `<answer>…</answer>` that begins
    after the first `</think>` where there is one. `Verdict.OK` demands exactly one of each tag, in
    order, something between each pair, and nothing but white space outside of them.
    """
    spans: dict[str, list[tuple[int, int]]] = {"think": [], "answer": []}
    opened: dict[str, int | None] = {"think": None, "answer": None}
    counts = {"think": 0, "answer": 0}
    for tag in _TAG.finditer(text):
        closing, name = tag[1] == "/", tag[2]
        if not closing:
            counts[name] += 1
            opened[name] = tag.end()
        elif opened[name] is not None:
            spans[name].append((opened[name] or 0, tag.start()))
            opened[name] = None
    reasoning = spans["think"][0] if spans["think"] else None
    after = reasoning[1] if reasoning else 0
    answers = [s for s in spans["answer"] if s[0] >= after]
    answer = answers[-1] if answers else None
    return Parsed(
        reasoning=text[slice(*reasoning)].strip() if reasoning else None,
        answer=text[slice(*answer)].strip() if answer else None,
        verdict=_verdict(text, reasoning, answer, counts, spans),
        reasoning_span=reasoning,
        answer_span=answer,
    )


def _verdict(
    text: str,
    reasoning: tuple[int, int] | None,
    answer: tuple[int, int] | None,
    counts: dict[str, int],
    spans: dict[str, list[tuple[int, int]]],
) -> Verdict:
    if counts["answer"] == 0:
        return Verdict.NO_ANSWER
    if counts["answer"] > len(spans["answer"]) or counts["think"] > len(spans["think"]):
        return Verdict.UNCLOSED_TAG
    if counts["think"] == 0:
        return Verdict.NO_REASONING
    if counts["think"] > 1 or counts["answer"] > 1:
        return Verdict.REPEATED_TAG
    if answer is None or reasoning is None:
        return Verdict.WRONG_ORDER
    if not text[slice(*answer)].strip():
        return Verdict.NO_ANSWER
    if not text[slice(*reasoning)].strip():
        return Verdict.NO_REASONING
    outside = (
        text[: reasoning[0] - len("<think>")]
        + text[reasoning[1] + len("</think>") : answer[0] - len("<answer>")]
        + text[answer[1] + len("</answer>") :]
    )
    return Verdict.EXTRA_TEXT if outside.strip() else Verdict.OK
