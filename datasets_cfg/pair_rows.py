"""Makes pairs that mmrl reads out of preference data sets as they are published.

    python datasets_cfg/pair_rows.py vl_rewardbench --from THERE/data.json --to data/vl_rewardbench
    python datasets_cfg/pair_rows.py imagereward    --from THERE/test.json --to data/imagereward

Each writes `pairs.jsonl` (named otherwise by --name), one pair a line, and says how many it left
out, and why. Which candidate comes first is a coin thrown with the row's id: as published the
better one nearly always does (in 248 of 250 rows of VL-RewardBench), so that "A" would be right.
Pictures stay where they are; the YAML of a data set says where that should be.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

Row = dict[str, Any]
Skips = Counter[str]


def main() -> None:
    """Converts one data set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set", choices=sorted(SETS))
    parser.add_argument("--from", dest="source", type=Path, required=True)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--name", default="pairs.jsonl")
    given = parser.parse_args()
    if not given.source.is_file():
        sys.exit(f"{given.source}: no such file")
    rows = read_rows(given.source)
    skips: Skips = Counter()
    lines = [json.dumps(row, ensure_ascii=False) for row in SETS[given.set](rows, skips)]
    given.to.mkdir(parents=True, exist_ok=True)
    (given.to / given.name).write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    left = "; ".join(f"{number} {why}" for why, number in skips.items())
    print(f"{given.to / given.name}: {len(lines)} pairs" + (f", left out: {left}" if left else ""))
    if not lines:
        sys.exit(f"{given.source}: no pairs; is this the file that is asked for?")


def read_rows(path: Path) -> list[Row]:
    """The rows of a JSON list of objects."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        sys.exit(f"{path}:{error.lineno}: not JSON: {error.msg}")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        sys.exit(f"{path}: expected a list of objects")
    return rows


def first_is_swapped(name: str) -> bool:
    """A fair coin that always falls the same way for a name."""
    return hashlib.sha256(name.encode()).digest()[0] % 2 == 1


def vl_rewardbench(rows: list[Row], skips: Skips) -> Iterator[Row]:
    """A picture, a question and two answers with the ranks of people (0 is better)."""
    for number, row in enumerate(rows):
        values = need(row, number, "id", "query", "response", "human_ranking", "image")
        answers, ranks = values["response"], values["human_ranking"]
        if len(answers) != 2 or len(ranks) != 2:
            sys.exit(f"row {number} ({values['id']}): expected two answers and two ranks")
        if ranks[0] == ranks[1]:
            skips["ties"] += 1
            continue
        if answers[0].strip() == answers[1].strip() or not all(a.strip() for a in answers):
            skips["with answers that are equal or empty"] += 1
            continue
        better = int(ranks[1] < ranks[0])
        if first_is_swapped(values["id"]):
            answers, better = answers[::-1], 1 - better
        yield {
            "id": values["id"],
            "question": (
                f"{values['query'].strip()}\nWhich answer to this is better?\n"
                f"Answer A: {answers[0].strip()}\nAnswer B: {answers[1].strip()}"
            ),
            "answers": [answer.strip() for answer in answers],
            "image": values["image"],
            "answer": "AB"[better],
            "query_source": row.get("query_source", ""),
        }


def imagereward(rows: list[Row], skips: Skips) -> Iterator[Row]:
    """All pairs of the pictures made for a prompt that people ranked apart (1 is the best)."""
    for number, row in enumerate(rows):
        values = need(row, number, "id", "prompt", "generations", "ranking")
        pictures, ranks = values["generations"], values["ranking"]
        if len(pictures) != len(ranks):
            sys.exit(f"row {number} ({values['id']}): {len(pictures)} pictures, {len(ranks)} ranks")
        for i, j in combinations(range(len(pictures)), 2):
            if ranks[i] == ranks[j]:
                skips["ties"] += 1
                continue
            name = f"{values['id']}-{i}-{j}"
            first, second = (j, i) if first_is_swapped(name) else (i, j)
            yield {
                "id": name,
                "question": (
                    "Two pictures were made for this description. Which one is better, A (the "
                    f"first) or B (the second)?\n{values['prompt'].strip()}"
                ),
                "images": [pictures[first], pictures[second]],
                "answer": "A" if ranks[first] < ranks[second] else "B",
                "ranks": [ranks[first], ranks[second]],
            }


def need(row: Row, number: int, *columns: str) -> Row:
    """The columns of a row; one that is not there is named."""
    for column in columns:
        if column not in row:
            sys.exit(f'row {number}: no column "{column}"; there are {", ".join(row)}')
    return {column: row[column] for column in columns}


SETS: dict[str, Callable[[list[Row], Skips], Iterator[Row]]] = {
    "imagereward": imagereward,
    "vl_rewardbench": vl_rewardbench,
}

if __name__ == "__main__":
    main()
