"""A completion as HTML: reasoning and answer as parsed, tags as marks, what is wrong with them.

The texts are a model's, so nothing of them is trusted: see `mmrl.inspector.safe`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from mmrl.inspector.diff import diff_html
from mmrl.inspector.safe import MOST, box, inert, kept_ranges, left_out, plain_html, value_html
from mmrl.inspector.tokens import scale_of, tokens_html
from mmrl.parse.completion import parse_completion
from mmrl.types import Verdict

__all__ = [
    "CSS",
    "completion_html",
    "diff_html",
    "parsed_spans",
    "plain_html",
    "scale_of",
    "tokens_html",
    "value_html",
    "verdict_words",
]

Span = tuple[int, int]

_WORDS = {
    Verdict.OK: "well-formed",
    Verdict.NO_ANSWER: "no answer",
    Verdict.NO_REASONING: "no reasoning",
    Verdict.REPEATED_TAG: "a tag is repeated",
    Verdict.UNCLOSED_TAG: "a tag is never closed",
    Verdict.WRONG_ORDER: "tags in the wrong order",
    Verdict.EXTRA_TEXT: "text outside of the tags",
}
_TAG = re.compile(r"<(/?)(think|answer)>")
_NEARLY = re.compile(
    r"<\s{0,3}+/?+\s{0,3}+(?:think|answer)\b[^<>\n]{0,40}+>|</?+(?:think|answer)\b", re.IGNORECASE
)


class _Tag(NamedTuple):
    start: int
    end: int
    wrong: str
    """Why the tag is not one of the four that are read; empty for those."""


def verdict_words(verdict: str) -> str:
    """A verdict in words; one that is not known comes back as it is."""
    return _WORDS[Verdict(verdict)] if verdict in set(Verdict) else verdict


def parsed_spans(record: Mapping[str, Any]) -> tuple[Span | None, Span | None]:
    """Spans of reasoning and answer of a rollout record; older records are parsed again."""
    text = record["text"]
    if "reasoning_span" not in record:
        parsed = parse_completion(text)
        return parsed.reasoning_span, parsed.answer_span
    return _span(record["reasoning_span"], text), _span(record.get("answer_span"), text)


def completion_html(
    text: str,
    *,
    reasoning_span: Sequence[int] | None = None,
    answer_span: Sequence[int] | None = None,
    verdict: str = "",
    most: int = MOST,
) -> str:
    """HTML of a completion with its verdict in words above.

    Spans are [start, end) in characters; one that does not lie in the text is as good as none.
    What is in neither span is dimmed; tags that are not read say why in their tooltip. More than
    `most` characters are cut in the middle.
    """
    reasoning, answer = _span(reasoning_span, text), _span(answer_span, text)
    tags = _tags(text, reasoning, answer)
    edges = {0, len(text)}
    for span in (reasoning, answer, *tags):
        edges |= {span[0], span[1]} if span else set()
    kept = kept_ranges(len(text), most)
    edges |= {edge for part in kept for edge in part}
    cuts = sorted(edges)
    tag_at = {tag.start: tag for tag in tags}
    out: list[str] = []
    tag, cut = _Tag(0, 0, ""), False
    for start, end in pairwise(cuts):
        tag = tag_at.get(start, tag)
        if not any(a <= start and end <= b for a, b in kept):
            out += [] if cut else [left_out(len(text), most)]
            cut = True
        elif start < tag.end:
            out.append(_mark(text[start:end], tag.wrong))
        else:
            out.append(_part(text[start:end], (start, end), reasoning, answer))
    return f'<div class="mm-completion">{_verdict(verdict)}{box("".join(out))}</div>'


def _verdict(verdict: str) -> str:
    if not verdict:
        return ""
    mood = "mm-good" if verdict == Verdict.OK else "mm-bad"
    return f'<div class="mm-verdict {mood}"><bdi>{inert(verdict_words(verdict)[:80])}</bdi></div>'


def _mark(text: str, wrong: str) -> str:
    if wrong:
        return f'<small class="mm-tag mm-bad" title="{wrong}">{inert(text)}</small>'
    return f'<small class="mm-tag">{inert(text)}</small>'


def _part(text: str, where: Span, reasoning: Span | None, answer: Span | None) -> str:
    for name, span in (("answer", answer), ("reasoning", reasoning)):
        if span and span[0] <= where[0] and where[1] <= span[1]:
            return f'<span class="mm-{name}">{inert(text)}</span>'
    return f'<span class="mm-outside">{inert(text)}</span>'


def _tags(text: str, reasoning: Span | None, answer: Span | None) -> list[_Tag]:
    """All tags in order, and what only looks like one, each with what is wrong."""
    read = {edge for span in (reasoning, answer) if span for edge in span}
    wrong: dict[Span, str] = {}
    opened: dict[str, Span] = {}
    for found in _TAG.finditer(text):
        closing, name, where = bool(found[1]), found[2], found.span()
        if not closing:
            if name in opened:
                wrong[opened[name]] = "opened again before it was closed"
            opened[name] = where
        elif name not in opened:
            wrong[where] = "closes what was never opened"
        else:
            before = opened.pop(name)
            inside = {before[1], where[0]}
            excuse = "" if inside <= read else "another pair is read, or none: order or repetition"
            wrong[before] = wrong[where] = excuse
    wrong |= dict.fromkeys(opened.values(), "never closed")
    for found in _NEARLY.finditer(text):
        if _TAG.fullmatch(found[0]) is None:
            wrong.setdefault(found.span(), "nearly a tag; not read as one")
    out: list[_Tag] = []
    for (start, end), why in sorted(wrong.items()):
        if not out or start >= out[-1].end:
            out.append(_Tag(start, end, why))
    return out


def _span(given: object, text: str) -> Span | None:
    """A span of a record where it is one: two whole numbers in order within the text."""
    if not isinstance(given, list | tuple) or len(given) != 2:
        return None
    start, end = given
    if type(start) is not int or type(end) is not int or not 0 <= start <= end <= len(text):
        return None
    return start, end


CSS = """
:root{--mm-reason:rgba(120,130,150,.10);--mm-answer:rgba(16,150,110,.16);--mm-line:rgba(120,130,150,.35);
--mm-good:#0b7a4b;--mm-bad:#b3261e;--mm-bad-soft:rgba(214,60,50,.16);--mm-sign:rgba(170,90,220,.20);
--mm-ins:rgba(0,114,178,.20);--mm-del:rgba(213,94,0,.20)}
.dark{--mm-reason:rgba(150,165,190,.12);--mm-answer:rgba(50,200,150,.18);--mm-line:rgba(150,165,190,.35);
--mm-good:#4ade80;--mm-bad:#ff8a80;--mm-bad-soft:rgba(255,110,100,.22);--mm-sign:rgba(200,140,255,.26);
--mm-ins:rgba(86,180,233,.28);--mm-del:rgba(240,140,50,.28)}
.mm-text{white-space:pre-wrap;overflow-wrap:anywhere;unicode-bidi:plaintext;text-align:start;
contain:content;overflow:auto;max-height:28rem;padding:.5rem .65rem;border:1px solid var(--mm-line);
border-radius:6px;font-size:.9rem;line-height:1.55;color:inherit}
.mm-text span,.mm-text small,.mm-text ins,.mm-text del{color:inherit;text-decoration:none;
box-decoration-break:clone;-webkit-box-decoration-break:clone;border-radius:2px}
.mm-completion{margin:.25rem 0}
.mm-reasoning{background:var(--mm-reason)}
.mm-answer{background:var(--mm-answer);font-weight:600}
.mm-outside{opacity:.75}
.mm-text .mm-tag{font-size:.75em;font-family:ui-monospace,monospace;opacity:.6;padding:0 .15em;
unicode-bidi:isolate;direction:ltr}
.mm-text .mm-tag.mm-bad{opacity:1;background:var(--mm-bad-soft);
text-decoration:underline wavy var(--mm-bad)}
.mm-text .mm-sign{background:var(--mm-sign);font:.75em ui-monospace,monospace;unicode-bidi:isolate;
direction:ltr}
.mm-verdict{font-size:.8rem;margin:.1rem 0}
.mm-verdict.mm-good{color:var(--mm-good)}.mm-verdict.mm-bad{color:var(--mm-bad);font-weight:600}
.mm-note{opacity:.7;font-style:italic;white-space:nowrap;unicode-bidi:isolate}
.mm-value{font-family:ui-monospace,monospace;font-size:.9em;white-space:pre-wrap;
overflow-wrap:anywhere}
.mm-legend{display:flex;flex-wrap:wrap;gap:.3rem;align-items:baseline;font-size:.78rem;
margin:.1rem 0}
.mm-legend span{padding:0 .35em;border-radius:3px;font-variant-numeric:tabular-nums}
.mm-end::after{content:"∎";opacity:.5}
.mm-diff{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(18rem,100%),1fr));gap:.5rem}
.mm-text ins{background:var(--mm-ins);text-decoration:underline}
.mm-text del{background:var(--mm-del);text-decoration:line-through}
"""
"""Styles of everything above; a page in dark colours carries the class `dark` above the texts."""
