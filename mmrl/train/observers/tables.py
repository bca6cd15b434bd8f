"""Rollout tables of trackers: a few groups of a step, a row a rollout, with its picture.

Completions, questions and targets are untrusted, and trackers draw texts as Markdown: texts here
show control characters and are cut, and `markdown` makes them stand as they are written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PIL import Image

from mmrl.errors import MediaError
from mmrl.media.image import open_image, shrunk
from mmrl.parse.visible import visible, visible_line
from mmrl.train.loop import StepReport
from mmrl.types import CreditedGroup, Group

GROUPS, ROLLOUTS = 4, 8
"""Groups of a step, and rollouts of a group, that a table holds at most."""
MOST_TEXT = 2000
"""Characters of a text in a table."""
LARGEST = 512
"""Longer side of a picture in a table [pixels]."""
COLUMNS = (
    *("step", "group", "sample", "picture", "question", "target"),
    *("completion", "reward", "parts", "advantage"),
)
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """One rollout; `picture` is the group's first one, shrunk, or None (a clip, or unreadable)."""

    step: int
    group: str
    sample: str
    picture: Image.Image | None
    question: str
    target: str
    completion: str
    reward: float | None
    parts: Mapping[str, float | None]
    advantage: float | None
    """None where it differs from token to token."""

    @property
    def parts_text(self) -> str:
        known = [f"{n} {'none' if v is None else f'{v:.3f}'}" for n, v in self.parts.items()]
        return ", ".join(known)


def table_rows(report: StepReport) -> list[list[TableRow]]:
    """The first `GROUPS` groups of a step, each with its first `ROLLOUTS` rollouts."""
    return [_rows(report.clock.step, credited) for credited in report.credited[:GROUPS]]


def _rows(step: int, credited: CreditedGroup) -> list[TableRow]:
    scored, group = credited.scored, credited.group
    picture = picture_of(group)
    target = json.dumps(group.sample.target, default=str, ensure_ascii=False)
    rows = []
    for g, rollout in enumerate(group.rollouts[:ROLLOUTS]):
        advantage = credited.advantages["main"][g]
        rows.append(
            TableRow(
                step=step,
                group=visible_line(group.draw_id),
                sample=_text(group.sample.id),
                picture=picture,
                question=_text(group.sample.question),
                target=_text(target),
                completion=_text(rollout.text),
                reward=scored.rewards[g],
                parts={visible_line(name): values[g] for name, values in scored.parts.items()},
                advantage=advantage if isinstance(advantage, float) else None,
            )
        )
    return rows


def picture_of(group: Group) -> Image.Image | None:
    """The first picture of a sample, at most `LARGEST` pixels a side.

    Clips are left out: decoding one can hang, and this is the process that trains.
    """
    for ref in group.sample.media:
        if ref.kind != "image":
            continue
        try:
            return shrunk(open_image(ref), LARGEST)
        except MediaError:
            return None  # the run has counted and told it already
    return None


def markdown(text: str) -> str:
    """Markdown that shows the text as it stands, on one line: every punctuation mark is escaped.

    >>> markdown("<b> | a")
    '\\\\<b\\\\> \\\\| a'
    """
    return _PUNCTUATION.sub(r"\\\1", visible_line(text))


def markdown_table(rows: Sequence[TableRow]) -> str:
    """One group as a Markdown table of its rollouts, under its question and target."""
    first = rows[0]
    lines = [
        f"**{markdown(first.question)}**",
        "",
        f"sample {markdown(first.sample)}, target {markdown(first.target)}",
        "",
        "| reward | advantage | completion | parts |",
        "|---|---|---|---|",
    ]
    for row in rows:
        cells = (number(row.reward), number(row.advantage), row.completion, row.parts_text)
        lines.append(f"| {' | '.join(markdown(cell) for cell in cells)} |")
    return "\n".join(lines)


def number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def _text(text: str) -> str:
    if len(text) <= MOST_TEXT:
        return visible(text)
    return f"{visible(text[:MOST_TEXT])} … {len(text) - MOST_TEXT} more characters"
