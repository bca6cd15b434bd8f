"""log.jsonl: every finished arm and seed of a paper, pilots too, one JSON object a line.

A result is made from it alone. A line whose key is not that of the present claims, recipe and code
is stale: it stays in the file and counts for nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmrl.eval.replicate.claims import Paper
from mmrl.eval.replicate.keys import code_digest, digest, function_codes, line_key
from mmrl.eval.replicate.schema import Claim

Line = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Log:
    """The lines of a log that count now, and how many do not."""

    arms: Mapping[tuple[str, int], Line]
    """(arm, seed) -> its last line of the present key."""
    mechanisms: Mapping[tuple[str, int], Line]
    """(claim, seed) -> its last line of the present key."""
    num_stale: int
    num_broken: int
    """Lines that are not JSON: a write that a kill cut off."""


def log_path(paper: Paper) -> Path:
    return paper.folder / "log.jsonl"


def read_log(paper: Paper) -> Log:
    """The log as the present claims see it."""
    path = log_path(paper)
    keys = {name: line_key(paper, arm) for name, arm in paper.arms.items()}
    codes = {name: function_codes(paper, name) for name in paper.arms}
    claims = {c.name: mechanism_key(paper, c) for c in paper.mechanisms}
    arms: dict[tuple[str, int], Line] = {}
    mechanisms: dict[tuple[str, int], Line] = {}
    stale = broken = 0
    for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            broken += 1
            continue
        if line["kind"] == "arm" and line["key"] == keys.get(line["arm"]):
            wanted = codes[line["arm"]]
            if all(line["codes"].get(name) == code for name, code in wanted.items()):
                arms[line["arm"], line["seed"]] = line
                continue
        elif line["kind"] == "mechanism" and line["key"] == claims.get(line["claim"]):
            mechanisms[line["claim"], line["seed"]] = line
            continue
        stale += 1
    return Log(arms=arms, mechanisms=mechanisms, num_stale=stale, num_broken=broken)


def append(path: Path, line: Line) -> None:
    """Adds a line, on a line of its own also behind one that a kill cut off."""
    text = json.dumps(line)
    before = path.read_bytes() if path.exists() else b""
    if before and not before.endswith(b"\n"):
        text = "\n" + text
    with path.open("a", encoding="utf-8") as file:
        file.write(text + "\n")


def mechanism_key(paper: Paper, claim: Claim) -> str:
    """What a mechanism's values depend on beside the seed."""
    code = code_digest(paper.folder / str(claim.file))
    return digest([code, claim.key, claim.arm, claim.against])
