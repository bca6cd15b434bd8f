"""A completion with every token coloured by a number: log-prob, entropy, advantage or weight."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Literal

from mmrl.inspector.safe import MOST, box, inert, kept_ranges, left_out

Measure = Literal["logp", "entropy", "advantage", "weight"]
Scale = tuple[float, float]

_TITLES = {
    "logp": "log-prob [nats]",
    "entropy": "entropy [nats]",
    "advantage": "advantage",
    "weight": "token weight",
}
_BLUE, _ORANGE = "0,114,178", "213,94,0"  # told apart by every kind of colour vision
_STRONGEST = 0.6
"""Opacity of the strongest colour: the text on it stays readable on light and on dark pages."""


def scale_of(values: Iterable[float | None], measure: Measure) -> Scale:
    """The numbers at both ends of the colours; give one scale to all rollouts of a group.

    Log-prob: from the least value (-1 or less) to 0. Entropy and weight: from 0 (or the least) to
    the greatest, 1 or more. Advantage: as far to both sides.
    """
    known = _drawable(values)
    if measure == "logp":
        return min([-1.0, *known]), 0.0
    if measure == "advantage":
        far = max((abs(v) for v in known), default=0.0) or 1.0
        return -far, far
    return min([0.0, *known]), max([1.0, *known])


def tokens_html(
    text: str,
    tokens: Sequence[tuple[int, float | None]],
    *,
    measure: Measure,
    scale: Scale | None = None,
    most: int = MOST,
) -> str:
    """HTML of a text with a background for every token, under a legend with the numbers.

    `tokens` are (character offset, value) in order. A token reaches to the next greater offset;
    several at one offset (pieces of one character) share its colour, by their mean. A token at the
    end of the text, as the end-of-text token, is a sign behind it. No character is lost.
    """
    if scale is None:
        scale = scale_of([value for _, value in tokens], measure)
    at: dict[int, list[float | None]] = {}
    for offset, value in sorted(tokens, key=lambda token: token[0]):
        at.setdefault(min(max(offset, 0), len(text)), []).append(value)
    kept = kept_ranges(len(text), most)
    cuts = sorted({0, len(text), *at, *(edge for part in kept for edge in part)})
    out: list[str] = []
    values: list[float | None] = []
    cut = False
    for start, end in pairwise(cuts):
        values = at.get(start, values)
        if any(a <= start and end <= b for a, b in kept):
            out.append(_token(inert(text[start:end]), values, measure, scale, ""))
        else:
            out += [] if cut else [left_out(len(text), most)]
            cut = True
    if len(text) in at:
        out.append(_token("", at[len(text)], measure, scale, "mm-end"))
    return _legend(measure, scale) + box("".join(out))


def _drawable(values: Iterable[float | None]) -> list[float]:
    """The values but null, NaN and what is so great that sums and differences overflow."""
    return [v for v in values if v is not None and abs(v) < 1e100]


def _token(
    inner: str, values: Sequence[float | None], measure: Measure, scale: Scale, kind: str
) -> str:
    known = _drawable(values)
    kind = f' class="{kind}"' if kind else ""
    if not values:
        return f"<span{kind}>{inner}</span>"
    if not known:
        return f'<span{kind} title="no {_TITLES[measure]}">{inner}</span>'
    mean = sum(known) / len(known)
    title = f"{_TITLES[measure]} {mean:.4g}"
    if len(values) > 1:
        title += f", mean of {len(values)} tokens: {', '.join(f'{v:.4g}' for v in known[:8])}"
    colour = _colour(mean, measure, scale)
    return f'<span{kind} title="{title}" style="background:{colour}">{inner}</span>'


def _colour(value: float, measure: Measure, scale: Scale) -> str:
    """rgba of a value: nothing at the dull end, strong at the end that deserves a look."""
    low, high = scale
    if measure == "advantage":
        strength = value / max(abs(low), abs(high), 1e-12)
    elif measure == "logp":
        strength = (high - value) / max(high - low, 1e-12)
    else:
        strength = (value - low) / max(high - low, 1e-12)
    hue = _BLUE if measure == "advantage" and strength >= 0 else _ORANGE
    return f"rgba({hue},{min(abs(strength), 1.0) * _STRONGEST:.3f})"


def _legend(measure: Measure, scale: Scale) -> str:
    low, high = scale
    stops = [low + (high - low) * i / 4 for i in range(5)]
    swatches = "".join(
        f'<span style="background:{_colour(v, measure, scale)}">{v:.3g}</span>' for v in stops
    )
    return f'<div class="mm-legend">{_TITLES[measure]} {swatches}</div>'
