"""Makes layouts.jsonl of Screen Annotation: the elements of real screens, flat, in drawing order.

    python assets/screens/convert.py --from screen_annotation.csv --to assets/screens --count 60

Coordinates are thousandths of the sides. Screens with fewer than six texts are left out; of the
rest every n-th is taken, so that `count` remain.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
from pathlib import Path

KINDS = (
    *("TOOLBAR", "NAVIGATION_BAR", "LIST_ITEM", "IMAGE", "BUTTON", "TEXT_INPUT", "CHECKBOX"),
    *("RADIO_BUTTON", "SWITCH", "TEXT", "LABEL", "PICTOGRAM"),
)
ELEMENT = re.compile(rf"({'|'.join(KINDS)}) ?([^()]*?) ?(\d+) (\d+) (\d+) (\d+)(?= ?[,()]|$)")


def elements(annotation: str) -> list[list[object]]:
    """[kind, text, x1, y1, x2, y2] of each element; the file's order is x1, x2, y1, y2."""
    found = []
    for kind, text, x1, x2, y1, y2 in ELEMENT.findall(annotation):
        if int(x2) > int(x1) and int(y2) > int(y1):
            text = text if len(text) <= 40 and text.isascii() else ""
            found.append([kind, text, int(x1), int(y1), int(x2), int(y2)])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--from", dest="source", type=Path, required=True)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--count", type=int, default=60)
    given = parser.parse_args()
    with given.source.open(newline="") as file:
        screens = {r["screen_id"]: elements(r["screen_annotation"]) for r in csv.DictReader(file)}
    rich = {k: v for k, v in screens.items() if len(v) <= 60 and sum(bool(e[1]) for e in v) >= 6}
    kept = sorted(rich, key=int)[:: max(1, len(rich) // given.count)][: given.count]
    lines = [json.dumps({"screen": k, "elements": rich[k]}, separators=(",", ":")) for k in kept]
    (given.to / "layouts.jsonl").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
