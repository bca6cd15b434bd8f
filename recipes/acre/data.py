"""Draws questions on clips and on pictures of mathematics out of Video-R1's rows, for ACRE.

    hf download --repo-type dataset Video-R1/Video-R1-data --local-dir data/video_r1   # Apache-2.0
    python recipes/acre/data.py --rows data/video_r1/Video-R1-260k.json

The paper's own 9,200 rows are not published; they are multiple-choice questions on videos and on
pictures of mathematics. As many are drawn here, evenly over the sources of both that the file has.
Pictures and clips come as archives, to be unpacked where they lie; each is under the terms of its
own data set.
`acre.json` is written beside the rows, and `datasets_cfg/acre.yaml` reads it.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mmrl.errors import DataError
from mmrl.parse.choices import parse_choice
from mmrl.parse.completion import parse_completion

NUMBER = 9200
"""Rows of the paper's set."""
NEEDED = ("problem", "problem_type", "data_type", "options", "solution", "path")
MATHEMATICS = "Math"
"""Folder of Video-R1's pictures of mathematics; the others are Chart, General, Knowledge, OCR and
Spatial (its page)."""


def with_options(rows: Iterable[Mapping[str, Any]], where: str = "rows") -> list[Mapping[str, Any]]:
    """Those with two options or more and one of their letters as the answer.

    A row without the columns of Video-R1 is a DataError.
    """
    kept = []
    for i, row in enumerate(rows):
        missing = [name for name in NEEDED if name not in row]
        if missing:
            raise DataError(
                f"{where}: row {i}: no {', '.join(missing)}; there are {', '.join(row)}"
            )
        num = len(row["options"] or ())
        answer = parse_completion(str(row["solution"])).answer or ""
        if row["problem_type"] == "multiple choice" and num > 1 and parse_choice(answer, num):
            kept.append(row)
    return kept


def of_the_paper(row: Mapping[str, Any]) -> bool:
    """True for a question on a clip, or on a picture of mathematics (told by its folder)."""
    if row["data_type"] == "video":
        return True
    folders = [part for part in str(row["path"]).split("/") if part not in ("", ".")]
    return row["data_type"] == "image" and folders[:1] == [MATHEMATICS]


def drawn(
    rows: Iterable[Mapping[str, Any]], number: int = NUMBER, seed: int = 0
) -> list[Mapping[str, Any]]:
    """`number` rows, in turn from each source (`data_source`) as long as it has any."""
    sources: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        sources.setdefault(str(row.get("data_source", "")), []).append(row)
    rng = random.Random(seed)
    for found in sources.values():
        rng.shuffle(found)
    taken: list[Mapping[str, Any]] = []
    turn = 0
    while len(taken) < number and any(len(found) > turn for found in sources.values()):
        round_of = [sources[name][turn] for name in sorted(sources) if len(sources[name]) > turn]
        taken += round_of[: number - len(taken)]
        turn += 1
    return taken


def main(argv: list[str]) -> None:
    """Writes acre.json beside the rows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--number", type=int, default=NUMBER)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(argv)
    if not given.rows.is_file():
        sys.exit(
            f"{given.rows}: no such file; `hf download --repo-type dataset Video-R1/Video-R1-data "
            "--local-dir data/video_r1` fetches it where there is a network"
        )
    try:
        found = with_options(json.loads(given.rows.read_text(encoding="utf-8")), str(given.rows))
    except DataError as error:
        sys.exit(str(error))
    rows = [row for row in found if of_the_paper(row)]
    taken = drawn(rows, given.number, given.seed)
    goal = given.rows.with_name("acre.json")
    goal.write_text(json.dumps(taken, ensure_ascii=False, indent=0), encoding="utf-8")
    print(
        f"{goal}: {len(taken)} of {len(rows)} questions with options on clips and mathematics "
        f"({len(found) - len(rows)} on other pictures)"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
