"""Small pieces of HTML that several views share: numbers, bars of spread, tables, pictures.

Texts from a run are escaped here by `inert` and its kin; numbers are formatted from floats alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmrl.inspector.build import real
from mmrl.inspector.draw import PREDICTED
from mmrl.inspector.safe import inert, value_html

_DEEPEST = 4
"""Lists in lists of evidence that are told."""
_MOST_ROWS = 40
"""Parts, failures or evidence of one rollout that are listed."""


def number(value: Any, digits: int = 3) -> str:
    """A number for reading; "–" for what is none."""
    found = real(value)
    if found is None:
        return "–"
    if found == round(found) and abs(found) < 1e6:
        return f"{found:.0f}"
    return f"{found:.{digits}f}" if 1e-3 <= abs(found) < 1e6 else f"{found:.{digits}g}"


def signed(value: Any) -> str:
    """A number with its sign."""
    found = real(value)
    if found is None:
        return "–"
    return ("−" if found < 0 else "+") + number(abs(found))


def outcome_word(record: Mapping[str, Any]) -> str:
    """ "right" or "wrong", or nothing where the record does not say."""
    correct = record.get("correct")
    return ("right" if correct else "wrong") if isinstance(correct, bool) else ""


def short(text: Any, most: int = 120) -> str:
    """A name or a first line of a text, escaped and cut."""
    words = text if isinstance(text, str) else "" if text is None else str(text)
    return inert(words[:most]) + ("…" if len(words) > most else "")


def colour_of(rollout: int) -> str:
    """The CSS colour of a rollout, the one that its marks have on pictures."""
    red, green, blue = PREDICTED[rollout % len(PREDICTED)]
    return f"rgb({red},{green},{blue})"


def note(text: str, mood: str = "") -> str:
    """A line of text in a quiet box; `mood` "bad" for what went wrong."""
    kind = " mi-bad" if mood == "bad" else ""
    return f'<div class="mi-note{kind}" role="status">{inert(text[:1000])}</div>'


def picture(uri: str, words: str) -> str:
    """A picture that a click enlarges."""
    return f'<img class="mi-picture" src="{inert(uri)}" alt="{inert(words[:200])}" tabindex="0">'


def spread_bar(rewards: Sequence[float | None], *, top: float = 1.0, small: bool = False) -> str:
    """A bar from 0 (or the lowest reward) to `top` (or the highest), a tick a rollout.

    The filled part reaches from the lowest to the highest; the long tick is the mean.
    """
    known = [(g, r) for g, r in enumerate(map(real, rewards)) if r is not None]
    kind = "mi-spread mi-small" if small else "mi-spread"
    if not known:
        return f'<div class="{kind}"></div>'
    values = [r for _, r in known]
    low, high = min([0.0, *values]), max([top, *values])
    wide = (high - low) or 1.0

    def at(value: float) -> str:
        return f"{100 * (value - low) / wide:.2f}%"

    mean = sum(values) / len(values)
    reach = f"left:{at(min(values))};width:{100 * (max(values) - min(values)) / wide:.2f}%"
    ticks = "".join(
        f'<i style="left:{at(r)};background:{colour_of(g)}" title="rollout {g}: {number(r)}"></i>'
        for g, r in known
    )
    ends = f'<small class="mi-ends"><span>{number(low)}</span><span>{number(high)}</span></small>'
    return (
        f'<div class="{kind}"><div class="mi-track"><b style="{reach}"></b>{ticks}'
        f'<u style="left:{at(mean)}" title="mean {number(mean)}"></u></div>'
        f"{'' if small else ends}</div>"
    )


def balance_bar(value: float | None, far: float) -> str:
    """A bar to the left (negative) or to the right of its middle; `far` fills a half."""
    if value is None:
        return ""
    share = 50 * min(1.0, abs(value) / far) if far > 0 else 0.0
    left = 50 - share if value < 0 else 50.0
    kind = "mi-minus" if value < 0 else "mi-plus"
    style = f"left:{left:.1f}%;width:{share:.1f}%"
    return f'<span class="mi-balance"><b class="{kind}" style="{style}"></b></span>'


def parts_table(record: Mapping[str, Any]) -> str:
    """Every reward part with value, weight and what it adds; failures in words below."""
    parts, weights = _mapping(record.get("parts")), _mapping(record.get("weights"))
    failures = _mapping(record.get("failures"))
    rows = []
    for name in list(dict.fromkeys([*parts, *failures]))[:_MOST_ROWS]:
        value, weight = real(parts.get(name)), real(weights.get(name))
        adds = value * weight if value is not None and weight is not None else None
        width = 100 * min(1.0, max(0.0, value)) if value is not None else 0.0
        times = "–" if weight is None else f"{weight:.3g}"
        rows.append(
            f'<tr><th scope="row">{short(name, 60)}<span class="mi-meter">'
            f'<b style="width:{width:.1f}%"></b></span></th>'
            f"<td>{number(value)}</td><td>× {times}</td><td>{number(adds)}</td></tr>"
        )
        if failures.get(name):
            rows.append(
                f'<tr class="mi-failed"><td colspan="4">{short(failures[name], 300)}</td></tr>'
            )
    if not rows:
        return ""
    head = "<tr><th>part</th><th>value</th><th>weight</th><th>adds</th></tr>"
    return f'<table class="mi-parts"><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table>'


def evidence_table(record: Mapping[str, Any]) -> str:
    """What probes found of a rollout: second answers, likelihoods, a listener's probability."""
    rows = []
    for kind, found in list(_mapping(record.get("evidence")).items())[:_MOST_ROWS]:
        inner = _mapping(found) or {"": found}
        rows.append(f'<tr><th scope="rowgroup" colspan="2">{short(kind, 80)}</th></tr>')
        for key, value in list(inner.items())[:_MOST_ROWS]:
            told = (
                number(value, 4)
                if real(value) is not None
                else value_html(in_words(value), most=400)
            )
            rows.append(f'<tr><th scope="row">{short(key, 80)}</th><td>{told}</td></tr>')
    if not rows:
        return ""
    body = "".join(rows[:_MOST_ROWS])
    return f'<table class="mi-evidence"><caption>evidence</caption><tbody>{body}</tbody></table>'


def in_words(value: Any, depth: int = 0) -> str:
    """A found value in a line: numbers to three figures, names before values, no quotes.

    >>> in_words([{"order": [1, 0], "content": "ring"}, 0.499988])
    '[order [1, 0], content ring], 0.5'
    """
    if real(value) is not None and not isinstance(value, int):
        return f"{value:.3g}"
    if depth > _DEEPEST:
        return "…"
    inner: list[str] = []
    if isinstance(value, Mapping):
        inner = [f"{k} {in_words(v, depth + 1)}" for k, v in list(value.items())[:_MOST_ROWS]]
    elif isinstance(value, list):
        inner = [in_words(v, depth + 1) for v in value[:_MOST_ROWS]]
    else:
        return str(value)
    left_out = ["…"] if len(value) > _MOST_ROWS else []
    told = ", ".join(inner + left_out)
    return f"[{told}]" if depth else told


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
