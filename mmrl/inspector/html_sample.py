"""A sample of a data set as HTML: its media with the reference drawn, question, gold, target, meta.

Everything in a row of a data set is as untrusted as what a model says: escaped, cut, marked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmrl.inspector.browse import Look, Origin, Seen
from mmrl.inspector.html_parts import note, picture, short
from mmrl.inspector.pictures import data_uri
from mmrl.inspector.safe import inert, plain_html, value_html
from mmrl.inspector.text import completion_html
from mmrl.tasks.base import TASKS

MOST_META = 40
"""Columns of a row that are listed."""
_LONGEST = 1200
"""Characters of a column."""


def sample_html(look: Look) -> str:
    """The whole view of a sample, or what is wrong with it."""
    problems = "".join(note(problem, "bad") for problem in look.problems)
    sample = look.sample
    if sample is None:
        place = f'<div class="mi-where">{short(look.where, 300)}</div>' if look.where else ""
        return f'<section class="mi-sample">{place}{problems}</section>'
    where = " · ".join(
        f"{word} <b>{short(value, 120)}</b>"
        for word, value in (("task", sample.task), ("sample", sample.id), ("", look.where))
        if value
    )
    asked = f"<h4>question</h4>{plain_html(sample.question, most=8000)}"
    gold = f"<h4>gold answer</h4>{_gold(sample.task, look.gold)}" if look.gold is not None else ""
    target = f"<h4>target</h4><div>{value_html(sample.target)}</div>"
    return (
        f'<section class="mi-sample"><header class="mi-head">{_media(look)}'
        f'<div class="mi-about"><div class="mi-where">{where}</div>{problems}{asked}{gold}'
        f"{target}{_meta(sample.meta)}</div></header></section>"
    )


def origin_html(origin: Origin) -> str:
    """A line about a data set: licence and place of a file, options of a world."""
    if origin.kind == "world":
        told = ", ".join(f"{key}={value}" for key, value in origin.options.items())
        return f'<div class="mi-count">drawn without end; options: {inert(told or "none")}</div>'
    return f'<div class="mi-count">{short(origin.about or "registered by a plug-in", 400)}</div>'


def _gold(task: str, text: str) -> str:
    parsed = TASKS.get(task).parse(text)
    return completion_html(
        text, reasoning_span=parsed.reasoning_span, answer_span=parsed.answer_span
    )


def _media(look: Look) -> str:
    shown = [_medium(number, seen) for number, seen in enumerate(look.media)]
    if not shown:
        return ""
    wide = " mi-wide" if any(seen.kind == "video" for seen in look.media) else ""
    key = '<div class="mi-key"><span class="mi-gold">reference</span></div>' if look.marked else ""
    return f'<div class="mi-media{wide}">{"".join(shown)}{key}</div>'


def _medium(number: int, seen: Seen) -> str:
    size = (
        f"{seen.info.original_size[0]} × {seen.info.original_size[1]} pixels" if seen.info else ""
    )
    if seen.drawn is None:
        return note(f"{seen.kind} {number} ({size or 'unread'}): {seen.problem}", "bad")
    words = f"{seen.kind} {number}, {size}, with the reference in green"
    caption = f"<figcaption>{seen.kind} {number}: {size}</figcaption>"
    return f"<figure>{picture(data_uri(seen.drawn), words)}{caption}</figure>"


def _meta(meta: Mapping[str, Any]) -> str:
    if not meta:
        return ""
    rows = [
        f'<tr><th scope="row">{short(str(key), 60)}</th>'
        f"<td>{value_html(value, most=_LONGEST)}</td></tr>"
        for key, value in list(meta.items())[:MOST_META]
    ]
    if len(meta) > MOST_META:
        rows.append(f"<tr><th></th><td>{len(meta) - MOST_META} more columns</td></tr>")
    return (
        f'<details class="mi-meta-rows"><summary>{len(meta)} further columns</summary>'
        f'<table class="mi-evidence"><tbody>{"".join(rows)}</tbody></table></details>'
    )


CSS = """
.mi-sample h4{margin:.6rem 0 .15rem!important;font-size:.74rem;font-weight:600!important;
color:var(--mi-dim)!important;text-transform:uppercase;letter-spacing:.04em}
.mi-sample .mi-about>.mm-text{max-height:20rem!important}
.mi-sample .mi-media{flex:0 1 auto!important;max-width:34rem}
.mi-sample .mi-media.mi-wide{flex:1 1 100%!important;max-width:100%}
.mi-sample figure{margin:0!important;max-width:100%}
.mi-sample figcaption{font-size:.74rem;color:var(--mi-dim);margin-top:.1rem}
.mi-meta-rows{margin-top:.7rem;font-size:.85rem;color:var(--mi-dim)}
.mi-meta-rows summary{cursor:pointer}
.mi-meta-rows table,.mi-meta-rows tr{border-color:var(--mi-line)!important}
.mi-meta-rows td,.mi-meta-rows th{text-align:left!important;overflow-wrap:anywhere}
.mi-meta-rows th{vertical-align:top;width:9rem}
"""
