"""A result as text for a terminal and as the table of a README."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmrl.errors import ConfigError
from mmrl.eval.replicate.result import num_pairs
from mmrl.eval.replicate.schema import LEAST_SEEDS

BEGIN, END = "<!-- result -->", "<!-- /result -->"


def as_text(name: str, result: Mapping[str, Any], *, label: str = "") -> str:
    """Claim, measure, the two arms' means, difference with its interval, verdict; then the rest."""
    rows = [("claim", "measure", "arm", "against", "difference [95 %]", "verdict")]
    for claim in result["claims"]:
        arm, against = (f"{claim[side]} {_mean(claim, claim[side])}" for side in ("arm", "against"))
        pairs = num_pairs(claim)
        few = "" if pairs >= LEAST_SEEDS else f" ({pairs} pairs)"
        rows.append(
            (
                claim["name"],
                claim["measure"],
                arm,
                against,
                _difference(claim),
                _verdict(claim) + few,
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    seeds = ", ".join(map(str, result["seeds"]))
    head = f"{name}: seeds {seeds}; {result['seconds'] / 60:.1f} core-minutes{label}"
    notes = [f"  {note}" for note in _notes(result)]
    return "\n".join([head, *lines, *_others(result["claims"]), *notes])


def as_markdown(result: Mapping[str, Any]) -> str:
    """The README's table, between its two marks."""
    columns = ["claim", "kind", "measure", "arms (mean over seeds)", "difference, 95 % interval"]
    columns += ["verdict", "source"]
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    for claim in result["claims"]:
        first = [claim["arm"], claim["against"]]
        names = first + [n for n in claim["arms"] if n not in first]
        arms = ", ".join(f"{n} {_mean(claim, n)}" for n in names)
        cells = (
            f"**{claim['name']}**: {claim['claim']}",
            claim["kind"],
            f"`{claim['measure']}`",
            arms,
            f"{claim['arm']} - {claim['against']}: {_difference(claim)}",
            _verdict(claim),
            claim["source"],
        )
        lines.append(
            "| " + " | ".join(" ".join(c.replace("|", "\\|").split()) for c in cells) + " |"
        )
    items = ", ".join(f"{number} ({name})" for name, number in result["items"].items())
    minutes = result["seconds"] / 60
    seeds = ", ".join(map(str, result["seeds"]))
    lines += [
        "",
        f"{len(result['seeds'])} seeds in pairs ({seeds}); items a seed: {items or 'none'}; "
        f"{result['steps']} steps; {minutes:.0f} core-minutes in all. A verdict is `shown` where "
        "the 95 % interval (Student's t over seeds) lies on the claimed side of 0.",
    ]
    lines += [f"\n{note[0].upper()}{note[1:]}." for note in _notes(result)]
    return "\n".join([BEGIN, *lines, END])


def write_table(readme: Path, result: Mapping[str, Any]) -> None:
    """Puts the table between the marks of a README; nothing else is touched."""
    text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ConfigError(f"{readme}: wanted the lines {BEGIN} and {END}, where the table goes")
    readme.write_text(head + as_markdown(result) + tail, encoding="utf-8")


def _others(claims: Sequence[Mapping[str, Any]]) -> list[str]:
    """The means of the arms that a claim does not compare, once a measure."""
    lines, told = [], set()
    for claim in claims:
        if claim["measure"] in told or claim["kind"] == "mechanism":
            continue
        told.add(claim["measure"])
        means = [f"{name} {_mean(claim, name)}" for name in claim["arms"]]
        lines.append(f"  {claim['measure']}: {', '.join(means) or 'nothing yet'}")
    return lines


def _notes(result: Mapping[str, Any]) -> list[str]:
    """What a reader must know beside the rows: arms that differ in cost, items left out."""
    notes = _unequal(result, "steps") + _unequal(result, "rollouts") + _partial(result)
    for name, number in result.get("skipped", {}).items():
        notes.append(f"of evaluation {name}, up to {number} items of a run could not be shown")
    return notes


def _partial(result: Mapping[str, Any]) -> list[str]:
    """A line for claims whose measure only some items have (colours among charts, say)."""
    found = []
    for claim in result["claims"]:
        evaluation = claim["measure"].partition(".")[0]
        of = result["items"].get(evaluation, 0)
        if claim.get("items") is not None and claim["items"] < of:
            found.append(f"{claim['name']} {claim['items']} of {of}")
    return [f"not every item has the measure: {', '.join(found)}"] if found else []


def _unequal(result: Mapping[str, Any], what: str) -> list[str]:
    """A line where trained arms took other numbers of steps or rollouts (a stage promoted early,
    groups drawn again); those of which nothing is known are left out."""
    known = {arm: f for arm, f in result.get(f"arm_{what}", {}).items() if any(f)}
    if len({tuple(found) for found in known.values()}) < 2:
        return []
    told = ", ".join(
        f"{arm} {' to '.join(map(str, sorted({f[0], f[-1]})))}" for arm, f in known.items()
    )
    return [f"{what} are not equal: {told}"]


def _mean(claim: Mapping[str, Any], arm: str) -> str:
    return signed(claim["arms"][arm]["mean"], "") if arm in claim["arms"] else "-"


def _difference(claim: Mapping[str, Any]) -> str:
    low, high = (signed(v) for v in claim["difference_ci95"])
    return f"{signed(claim['difference'])} [{low}, {high}]"


def _verdict(claim: Mapping[str, Any]) -> str:
    found = str(claim["verdict"]) if claim["difference_ci95"][0] is not None else "-"
    if claim.get("added"):
        return f"{found} (added {claim['added']})"
    return f"{found} (claim newer than its runs)" if claim.get("prior") is False else found


def signed(value: float | None, sign: str = "+") -> str:
    return "-" if value is None else f"{value:{sign}.3f}"
