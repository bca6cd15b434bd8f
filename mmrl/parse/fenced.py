"""Answers that are one JSON block and nothing else: GUI-G1's fast thinking form (2505.15810).

A block begins with a line "```json" and ends with the next "```"; text that is a JSON list by
itself counts as a block without its fence. The last complete block is the answer.
"""

from __future__ import annotations

import re

from mmrl.types import Parsed, Verdict

_OPEN = re.compile(r"^[ \t]*+```json[ \t]*+$", re.MULTILINE)


def parse_fenced(text: str) -> Parsed:
    """The last complete JSON block of `text`; `Verdict.OK` where there is nothing beside it."""
    spans, at, unclosed = [], 0, False
    while (opening := _OPEN.search(text, at)) is not None:
        end = text.find("```", opening.end())
        if end < 0:
            unclosed = True
            break
        spans.append((opening.start(), opening.end(), end, end + 3))
        at = end + 3
    if not spans:
        return _bare(text, unclosed)
    _, start, end, _ = spans[-1]
    outside = text[: spans[0][0]] + text[spans[-1][3] :]
    if unclosed:
        verdict = Verdict.UNCLOSED_TAG
    elif len(spans) > 1:
        verdict = Verdict.REPEATED_TAG
    elif not text[start:end].strip():
        verdict = Verdict.NO_ANSWER
    else:
        verdict = Verdict.EXTRA_TEXT if outside.strip() else Verdict.OK
    return Parsed(
        reasoning=None, answer=text[start:end].strip(), verdict=verdict, answer_span=(start, end)
    )


def _bare(text: str, unclosed: bool) -> Parsed:
    inner = text.strip()
    if unclosed or not (inner.startswith("[") and inner.endswith("]")):
        verdict = Verdict.UNCLOSED_TAG if unclosed else Verdict.NO_ANSWER
        return Parsed(reasoning=None, answer=None, verdict=verdict)
    start = text.index("[")
    return Parsed(
        reasoning=None,
        answer=inner,
        verdict=Verdict.OK,
        answer_span=(start, start + len(inner)),
    )
