"""Makes the rows of nextgqa_grounded.yaml: questions with one right option and its spans.

    python datasets_cfg/nextgqa_grounded.py --from data/nextgqa/nextgqa_val_mixed.json \\
        --to data/nextgqa

The file is TW-GRPO's (github.com/longmalongma/TW-GRPO, data/evaluation). Left out are its negated
questions, whose spans show what is not asked for, and rows with several right options. `glue`
becomes `span`: the seconds in which the answer is seen, one span or several. Writes
grounded_val.jsonl.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mmrl.parse.choices import parse_choices
from mmrl.parse.spans import is_proper_span


def grounded(items: Iterable[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], Counter[str]]:
    """The rows that can be asked for an option and a span, and why others were left out."""
    rows, left_out = [], Counter[str]()
    for item in items:
        spans = [span for span in item.get("glue") or () if is_proper_span(span)]
        if item.get("is_negated"):
            left_out["negated"] += 1
        elif len(parse_choices(str(item.get("answer"))) or ()) != 1:
            left_out["not one right option"] += 1
        elif not spans:
            left_out["no span"] += 1
        else:
            names = ("id", "video", "question", "options", "answer", "duration", "type")
            rows.append({**{k: item.get(k) for k in names}, "span": spans})
    return rows, left_out


def main() -> None:
    """Writes the rows, and counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--from", dest="source", type=Path, required=True)
    parser.add_argument("--to", type=Path, required=True)
    given = parser.parse_args()
    if not given.source.is_file():
        sys.exit(f"{given.source}: no such file; it is nextgqa_val_mixed.json of TW-GRPO")
    rows, left_out = grounded(json.loads(given.source.read_text(encoding="utf-8")))
    given.to.mkdir(parents=True, exist_ok=True)
    target = given.to / "grounded_val.jsonl"
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    target.write_text(lines, encoding="utf-8")
    print(f"{target}: {len(rows)} rows; left out: {dict(left_out) or 'none'}")


if __name__ == "__main__":
    main()
