"""Routes of an answer: legs with their line, departure and arrival.

Two forms are understood. The blocks of ReasonMap,

    Route Name: Line 1
    Departure Stop: A
    Arrival Stop: C
    Via Stops: B                (or `Number of Via Stops: 1`; both may be left out)
    --
    Route Name: …

and, short enough for a small model, `red: A > C; blue: C > F`, in which stops between the first and
the last of a leg are stops passed. Names stay as they were written; compare them by
`mmrl.parse.lines`. Unlike the official parser keys may be in any case, markdown is forgiven, and
words after the last block do not become part of its arrival.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from mmrl.parse.boxed import parse_boxed
from mmrl.parse.completion import parse_completion
from mmrl.types import Parsed, Verdict

MAX_LEGS = 64
"""A longer answer is no route."""
MAX_NAME = 120
"""Characters of the longest name of a stop or line."""

_FIELD = re.compile(
    r"[ \t*_#>\-•]*+(route name|departure stop|arrival stop|number of via stops|via stops)"
    r"[\s*_]*+[:：][\s*_]*+(.*)",
    re.I,
)
_MARKS = " \t*_`\"'"
_SAID = re.compile(r"\banswer\s{0,3}(?:is|should be|:)\s{0,3}:?\s{0,3}(?=\S)", re.I)
_END = re.compile(r"\.(?=\s)|\.?\n|\.?$")
_ALONE = re.compile(r"\s{0,9}([^\W_]{1,20})[.!]?\s{0,9}")
_NO_STOPS = frozenset({"", "none", "no", "n/a", "-", "0", "[]"})
_ARROW = re.compile(r"->|→|>")


@dataclass(frozen=True)
class Leg:
    """One ride, as written. `via` and `num_via` are None where the answer does not say."""

    line: str
    departure: str
    arrival: str
    via: tuple[str, ...] | None = None
    num_via: int | None = None


Route = tuple[Leg, ...]


def parse_route(text: str) -> Route | None:
    """The legs of an answer in order, or None where they are not all there and well-formed."""
    return _blocks(text) if "route name" in text.casefold() else _compact(text)


def route_text(route: Route) -> str:
    """The route in ReasonMap's blocks; what is None is left out."""
    blocks = []
    for leg in route:
        lines = [f"Route Name: {leg.line}", f"Departure Stop: {leg.departure}"]
        lines.append(f"Arrival Stop: {leg.arrival}")
        if leg.num_via is not None:
            lines.append(f"Number of Via Stops: {leg.num_via}")
        if leg.via is not None:
            lines.append(f"Via Stops: {', '.join(leg.via) or 'None'}")
        blocks.append("\n".join(lines))
    return "\n--\n".join(blocks)


def compact_text(route: Route) -> str:
    """The route as `red: A > C; blue: C > F`; stops passed are left out."""
    return "; ".join(f"{leg.line}: {leg.departure} > {leg.arrival}" for leg in route)


def route_span(text: str) -> tuple[int, int] | None:
    """Where the last route in blocks lies in a text: [start, end), or None where there is none.

    Between the fields of a route stand only empty lines and separators; words end it.
    """
    start = last = None
    in_run, at = False, 0
    for line in text.splitlines(keepends=True):
        found = _FIELD.match(line)
        if found is not None:
            if not in_run:
                start = at if found[1].casefold() == "route name" else None
            in_run = True
            if start is not None:
                last = (start, at + len(line.rstrip()))
        elif line.strip(_MARKS + "-\r\n"):
            in_run = False
        at += len(line)
    return last


def parse_map_answer(text: str) -> Parsed:
    r"""The answer of a completion to a ReasonMap question, which asks for no tags around it.

    In this order: inside `<answer>`, the last of `\boxed{}` and of routes in blocks (these are
    well-formed), after the last "the answer is", or the whole completion where it is one word
    (the verdict of these is `NO_ANSWER`: there is one, but unmarked).
    """
    if "<answer>" in text:
        return parse_completion(text)
    boxed = parse_boxed(text)
    span, box = route_span(text), boxed.answer_span
    if boxed.answer and (span is None or box is None or span[0] < box[1]):
        return boxed
    if span is not None:
        return _parsed(text, span, Verdict.OK)
    said = list(_SAID.finditer(text))
    if said:
        start = said[-1].end()
        end = _END.search(text, start)
        return _parsed(text, (start, end.start() if end else len(text)), Verdict.NO_ANSWER)
    if (alone := _ALONE.fullmatch(text)) is not None:
        return _parsed(text, alone.span(1), Verdict.NO_ANSWER)
    return Parsed(reasoning=text.strip() or None, answer=None, verdict=boxed.verdict)


def _parsed(text: str, span: tuple[int, int], verdict: Verdict) -> Parsed:
    return Parsed(
        reasoning=text[: span[0]].strip() or None,
        answer=text[slice(*span)].strip(),
        verdict=verdict,
        reasoning_span=(0, span[0]),
        answer_span=span,
    )


def _blocks(text: str) -> Route | None:
    legs: list[dict[str, str]] = []
    for line in text.splitlines():
        found = _FIELD.match(line)
        if found is None:
            continue
        key, value = found[1].casefold(), found[2].strip(_MARKS)
        if key == "route name":
            legs.append({})
        if not legs or key in legs[-1] or len(legs) > MAX_LEGS:
            return None
        legs[-1][key] = value
    read = [_leg(fields) for fields in legs]
    return tuple(leg for leg in read if leg is not None) if read and all(read) else None


def _leg(fields: dict[str, str]) -> Leg | None:
    names = [fields.get(key, "") for key in ("route name", "departure stop", "arrival stop")]
    if not all(0 < len(name) <= MAX_NAME for name in names):
        return None
    leg = Leg(names[0], names[1], names[2])
    if (count := fields.get("number of via stops")) is not None:
        digits = re.fullmatch(r"\d{1,4}", count)
        if digits is None:
            return None
        leg = replace(leg, num_via=int(count))
    if (via := fields.get("via stops")) is not None:
        stops = () if via.casefold() in _NO_STOPS else tuple(via.split(","))
        leg = replace(leg, via=tuple(s.strip(_MARKS + "[]") for s in stops))
        if any(len(stop) > MAX_NAME for stop in leg.via or ()):
            return None
    return leg


def _compact(text: str) -> Route | None:
    pieces = [p for p in re.split(r"[;\n]", text) if p.strip()]
    if not pieces or len(pieces) > MAX_LEGS:
        return None
    legs = []
    for piece in pieces:
        line, colon, ride = piece.partition(":")
        stops = [stop.strip(_MARKS) for stop in _ARROW.split(ride)]
        line = line.strip(_MARKS + "-•")
        if not colon or len(stops) < 2 or not all(0 < len(n) <= MAX_NAME for n in (line, *stops)):
            return None
        via = tuple(stops[1:-1]) if len(stops) > 2 else None
        legs.append(Leg(line, stops[0], stops[-1], via))
    return tuple(legs)
