"""A group as HTML: question, media with all answers drawn, and a card for every rollout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmrl.errors import MediaError
from mmrl.inspector.build import real
from mmrl.inspector.draw import MOST_LAYERS, PREDICTED, Layer
from mmrl.inspector.html_parts import (
    balance_bar,
    colour_of,
    evidence_table,
    note,
    number,
    outcome_word,
    parts_table,
    picture,
    short,
    signed,
    spread_bar,
)
from mmrl.inspector.load import Frames
from mmrl.inspector.pictures import Loaded, data_uri, drawn, overlay_of
from mmrl.inspector.rows import Stored
from mmrl.inspector.safe import plain_html, value_html
from mmrl.inspector.text import completion_html, parsed_spans, scale_of, tokens_html
from mmrl.inspector.tokens import Measure, Scale

MOST_CARDS = 64
"""Rollouts of a group that have a card."""
MEASURES: tuple[Measure, ...] = ("logp", "entropy", "advantage", "weight")
_KEY = (
    '<div class="mi-key"><span class="mi-gold">reference</span> '
    "<span>answers dashed, by number</span></div>"
)
Media = Sequence[Loaded | MediaError]
"""The media of a group in order; an error in the place of one that cannot be shown."""
Tokens = Mapping[int, Sequence[Mapping[str, Any]]]
"""Number in the group -> rows of the token table."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """How a group is looked at."""

    measure: Measure | None = None
    """What tokens are coloured by; None shows completions as parsed."""
    cards: bool = True
    """Whether each card has a picture of its own where its answer draws something."""


def group_html(group: Sequence[Stored], media: Media, tokens: Tokens, look: Look) -> str:
    """The whole view of a group."""
    records = [stored.record for stored in group]
    far = max((abs(a) for a in map(advantage_of, records) if a is not None), default=0.0)
    scale = _scale(tokens, look.measure)
    cards = [
        _card(g, record, media, tokens.get(g, ()), look, far, scale)
        for g, record in enumerate(records[:MOST_CARDS])
    ]
    if len(records) > MOST_CARDS:
        cards.append(note(f"{len(records) - MOST_CARDS} more rollouts are in the JSON export"))
    legend = tokens_html("", [], measure=look.measure, scale=scale) if look.measure else ""
    body = f'<div class="mi-legend">{legend}</div><div class="mi-cards">{"".join(cards)}</div>'
    return f'<section class="mi-group">{_head(records, media)}{body}</section>'


def advantage_of(record: Mapping[str, Any]) -> float | None:
    """The advantage of a rollout; None where it has one a token."""
    value = record.get("advantage")
    return real(value.get("main") if isinstance(value, Mapping) else value)


def highest_reward(records: Sequence[Mapping[str, Any]]) -> float:
    """The sum of the positive weights of the parts: what a perfect rollout would earn; or 1."""
    weights = records[0].get("weights") if records else None
    known = [real(w) for w in weights.values()] if isinstance(weights, Mapping) else []
    return sum(w for w in known if w is not None and w > 0) or 1.0


def _head(records: Sequence[Mapping[str, Any]], media: Media) -> str:
    first = records[0]
    rewards = [real(r.get("reward")) for r in records]
    known = [r for r in rewards if r is not None]
    right = [word == "right" for r in records if (word := outcome_word(r))]
    facts = [f"mean reward <b>{number(sum(known) / len(known) if known else None)}</b>"]
    facts.append(f"spread <b>{number(max(known) - min(known) if known else None)}</b>")
    if right:
        facts.append(f"<b>{sum(right)}</b> of <b>{len(right)}</b> right")
    where = " · ".join(
        f"{word} <b>{short(first.get(key), 80)}</b>"
        for word, key in (
            ("step", "step"),
            ("draw", "draw"),
            ("stage", "stage"),
            ("task", "task"),
            ("sample", "sample"),
        )
    )
    target = f'<div class="mi-target"><span>target</span> {value_html(first.get("target"))}</div>'
    asked = plain_html(str(first.get("question") or ""), most=4000)
    bar = spread_bar(rewards, top=highest_reward(records))
    return (
        f'<header class="mi-head">{media_html(records, media)}<div class="mi-about">'
        f'<div class="mi-where">{where}</div>{asked}{target}'
        f'<div class="mi-facts">{" · ".join(facts)}</div>{bar}</div></header>'
    )


def media_html(records: Sequence[Mapping[str, Any]], media: Media) -> str:
    """The media of a group with the reference and every answer drawn on them."""
    gold = overlay_of(records[0], "gold_overlay")
    layers = [
        Layer(overlay, str(g), PREDICTED[g % len(PREDICTED)])
        for g, record in enumerate(records[:MOST_LAYERS])
        if (overlay := overlay_of(record)) is not None
    ]
    shown = []
    for i, loaded in enumerate(media):
        if isinstance(loaded, MediaError):
            shown.append(note(str(loaded), "bad"))
            continue
        words = f"medium {i}: the reference in green, answers in the colours of their cards"
        shown.append(picture(data_uri(drawn(loaded, gold, layers, number=i, most=10)), words))
    if not shown:
        return ""
    strips = any(isinstance(loaded, Frames) for loaded in media)
    if (gold is not None and not gold.is_empty) or layers:
        shown.append(_KEY)
    return f'<div class="mi-media{" mi-wide" if strips else ""}">{"".join(shown)}</div>'


def _card(
    g: int,
    record: Mapping[str, Any],
    media: Media,
    rows: Sequence[Mapping[str, Any]],
    look: Look,
    far: float,
    scale: Scale | None,
) -> str:
    gained = advantage_of(record)
    word = outcome_word(record)
    sign = {"right": "✓", "wrong": "✗"}.get(word, "")
    mark = f'<span class="mi-{word}" title="{word}">{sign}</span>' if word else ""
    cut = ' class="mi-cut"' if record.get("stop") == "length" else ""
    tokens, stop = number(record.get("num_tokens")), short(record.get("stop"), 40)
    score = f"{short(record.get('score_name') or 'score', 40)} {number(record.get('score'))}"
    facts = f"<span>{score}</span><span>{tokens} tokens</span><span{cut}>{stop}</span>"
    per_token = "" if gained is not None or record.get("advantage") is None else " a token"
    return (
        f'<article class="mi-card" style="--mi-own:{colour_of(g)}" aria-label="rollout {g}">'
        f'<header><span class="mi-number">{g}</span>{mark}'
        f'<span class="mi-reward" title="reward">{number(record.get("reward"))}</span>'
        f'<span class="mi-gain" title="advantage{per_token}">{signed(gained)} '
        f"{balance_bar(gained, far)}</span>"
        f"</header>{_own_pictures(g, record, media) if look.cards else ''}"
        f"{_said(record, rows, look.measure, scale)}"
        f'<div class="mi-meta">{facts}</div>'
        f"{parts_table(record)}{evidence_table(record)}</article>"
    )


def _said(
    record: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    measure: Measure | None,
    scale: Scale | None,
) -> str:
    """The completion, as parsed or with its tokens coloured."""
    text = str(record.get("text") or "")
    if measure is None:
        reasoning, answer = parsed_spans({**record, "text": text})
        verdict = str(record.get("verdict") or "")
        return completion_html(text, reasoning_span=reasoning, answer_span=answer, verdict=verdict)
    told = [(int(row["offset"]), real(row.get(measure))) for row in rows if _is_token(row)]
    if not any(value is not None for _, value in told):
        return note(f"no {measure} of its tokens is in the run folder") + plain_html(text)
    return tokens_html(text, told, measure=measure, scale=scale)


def _scale(tokens: Tokens, measure: Measure | None) -> Scale | None:
    """One scale for the whole group, so that cards can be compared."""
    if measure is None:
        return None
    values = [real(row.get(measure)) for rows in tokens.values() for row in rows]
    return scale_of(values, measure)


def _is_token(row: Mapping[str, Any]) -> bool:
    return isinstance(row.get("offset"), int)


def _own_pictures(g: int, record: Mapping[str, Any], media: Media) -> str:
    """The media with this answer alone, where it draws something on them."""
    overlay, gold = overlay_of(record), overlay_of(record, "gold_overlay")
    if overlay is None or overlay.is_empty:
        return ""
    kinds = (overlay.boxes, overlay.points, overlay.spans, overlay.routes)
    touched = {mark.medium for marks in kinds for mark in marks}
    layer = Layer(overlay, "", PREDICTED[g % len(PREDICTED)])
    shown = [
        picture(
            data_uri(drawn(loaded, gold, [layer], number=i, side=384, frame=64, most=6)),
            f"answer of rollout {g} on medium {i}",
        )
        for i, loaded in enumerate(media)
        if i in touched and not isinstance(loaded, MediaError)
    ]
    return f'<div class="mi-own">{"".join(shown)}</div>' if shown else ""
