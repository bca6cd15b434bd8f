"""Two groups of one sample side by side: rewards, boxes on one picture, texts with what differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmrl.errors import MediaError
from mmrl.inspector.build import real
from mmrl.inspector.diff import diff_html
from mmrl.inspector.draw import Layer
from mmrl.inspector.html_group import Media, highest_reward
from mmrl.inspector.html_parts import note, number, outcome_word, picture, short, spread_bar
from mmrl.inspector.pictures import data_uri, drawn, overlay_of
from mmrl.inspector.safe import plain_html, value_html

A, B = (255, 120, 40), (86, 180, 233)
"""Colours of the two sides on the picture."""
MOST_PAIRS = 16
Record = Mapping[str, Any]


def compare_html(
    left: Sequence[Record], right: Sequence[Record], media: Media, names: tuple[str, str]
) -> str:
    """Both groups: what changed in numbers, all answers on the media, and their rollouts in pairs.

    Rollouts are paired by rank of reward: the best of one side with the best of the other.
    """
    first = left[0]
    sides = "".join(
        f'<div><h4><span class="mi-number" style="--mi-own:{_css(colour)}">{letter}</span> '
        f"{short(name, 120)}</h4>{_figures(records)}</div>"
        for letter, colour, name, records in (("A", A, names[0], left), ("B", B, names[1], right))
    )
    asked = plain_html(str(first.get("question") or ""), most=4000)
    target = f'<div class="mi-target"><span>target</span> {value_html(first.get("target"))}</div>'
    about = f'<div class="mi-about">{asked}{target}<div class="mi-pair">{sides}</div></div>'
    pairs = zip(ranked(left)[:MOST_PAIRS], ranked(right)[:MOST_PAIRS], strict=False)
    blocks = "".join(_pair(i, a, b) for i, (a, b) in enumerate(pairs))
    changed = ""
    if left[0].get("question") != right[0].get("question"):
        changed = note("The questions of the two differ: the sample was drawn anew.", "bad")
    head = f'<header class="mi-head">{_media(left, right, media)}{about}</header>'
    return f'<section class="mi-group">{changed}{head}{blocks}</section>'


def ranked(records: Sequence[Record]) -> list[Record]:
    """The rollouts by reward, the best first; those without one last."""
    return sorted(
        records, key=lambda r: -(v if (v := real(r.get("reward"))) is not None else -1e300)
    )


def _figures(records: Sequence[Record]) -> str:
    """Means of a group as a table: reward, parts, length, how many are right."""
    rows = [("reward", _mean([r.get("reward") for r in records]))]
    names: dict[str, None] = {}
    for record in records:
        parts = record.get("parts")
        names.update(dict.fromkeys(parts if isinstance(parts, Mapping) else ()))
    for name in list(names)[:20]:
        values = [
            r["parts"].get(name) if isinstance(r.get("parts"), Mapping) else None for r in records
        ]
        rows.append((name, _mean(values)))
    rows.append(("tokens", _mean([r.get("num_tokens") for r in records])))
    right = [word == "right" for r in records if (word := outcome_word(r))]
    body = "".join(
        f'<tr><th scope="row">{short(name, 60)}</th><td>{number(value)}</td></tr>'
        for name, value in rows
    )
    if right:
        body += f'<tr><th scope="row">right</th><td>{sum(right)} of {len(right)}</td></tr>'
    bar = spread_bar([real(r.get("reward")) for r in records], top=highest_reward(records))
    return f'<table class="mi-parts"><tbody>{body}</tbody></table>{bar}'


def _mean(values: Sequence[Any]) -> float | None:
    known = [v for v in map(real, values) if v is not None]
    return sum(known) / len(known) if known else None


def _media(left: Sequence[Record], right: Sequence[Record], media: Media) -> str:
    gold = overlay_of(left[0], "gold_overlay")
    layers = [
        Layer(overlay, letter, colour)
        for letter, colour, records in (("A", A, left), ("B", B, right))
        for record in records[:8]
        if (overlay := overlay_of(record)) is not None
    ]
    shown = [
        note(str(loaded), "bad")
        if isinstance(loaded, MediaError)
        else picture(
            data_uri(drawn(loaded, gold, layers, number=i, most=10)), f"medium {i}, A and B"
        )
        for i, loaded in enumerate(media)
    ]
    return f'<div class="mi-media">{"".join(shown)}</div>' if shown else ""


def _pair(rank: int, a: Record, b: Record) -> str:
    def told(letter: str, record: Record) -> str:
        return (
            f"<span>{letter} · rollout {number(record.get('rollout'))} · "
            f"reward {number(record.get('reward'))} {outcome_word(record)}</span>"
        )

    texts = diff_html(str(a.get("text") or ""), str(b.get("text") or ""))
    head = f"<header>{told('A', a)}{told('B', b)}</header>"
    return f'<article class="mi-versus" aria-label="pair {rank}">{head}{texts}</article>'


def _css(colour: tuple[int, int, int]) -> str:
    return f"rgb({colour[0]},{colour[1]},{colour[2]})"
