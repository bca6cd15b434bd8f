"""Fetches GRIT's rows and writes those of TallyQA and VSR as mmrl reads them.

    python recipes/grit/data.py --from GRIT_data --to data/grit

`--from` is a copy of huggingface.co/datasets/yfan1997/GRIT_data (licence not stated); where it does
not exist, it is downloaded there (package `huggingface_hub`). Its README says how to get the
pictures (COCO, Visual Genome, under their own terms): put them into `data/grit/tallyqa` and
`data/grit/vsr`.

The 20 training questions are the paper's. The files for testing are its `*_val.jsonl`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mmrl.parse.boxes import is_proper_box
from mmrl.parse.values import parse_number

HUB = "yfan1997/GRIT_data"
FILES = {
    "tallyqa_train.jsonl": ("tallyqa", "tallyqa_train_10.jsonl"),
    "tallyqa_test.jsonl": ("tallyqa", "tallyqa_val.jsonl"),
    "vsr_train.jsonl": ("vsr", "vsr_cot_train_10.jsonl"),
    "vsr_test.jsonl": ("vsr", "vsr_val.jsonl"),
}
"""File that is written -> (folder of its pictures, published file)."""


def converted(
    rows: Iterable[Mapping[str, Any]], kind: str, left_out: Counter[str]
) -> list[dict[str, Any]]:
    """Published rows {question, answer, image, bboxs, …} as {id, image, question, answer, boxes}.

    A row of TallyQA must have a whole number from 0 as its answer, one of VSR a text; others are
    left out and counted, as are boxes without an area.
    """
    made = []
    for number, row in enumerate(rows):
        answer: Any = str(row["answer"]).strip()
        if kind == "tallyqa":
            value = parse_number(answer)
            if value is None or value < 0 or value != int(value):
                left_out["answers that are no count"] += 1
                continue
            answer = int(value)
        elif not answer:
            left_out["empty answers"] += 1
            continue
        boxes = []
        for box in row.get("bboxs") or ():
            if len(box) == 4 and is_proper_box(tuple(map(float, box))):  # type: ignore[arg-type]
                boxes.append([float(v) for v in box])
            else:
                left_out["boxes without area"] += 1
        made.append(
            {
                "id": f"{kind}-{row.get('split', 'rows')}-{number}",
                "image": f"{kind}/{row['image']}",
                "question": row["question"],
                "answer": answer,
                "boxes": boxes,
            }
        )
    return made


def fetched(folder: Path) -> None:
    """Downloads the rows into a folder that is not there yet."""
    try:
        from huggingface_hub import snapshot_download
    except ModuleNotFoundError:
        sys.exit(f"{folder}: no such folder; `pip install huggingface_hub` downloads {HUB} there")
    try:
        snapshot_download(HUB, repo_type="dataset", local_dir=folder)
    except (OSError, ValueError) as error:  # what its errors of network and of names derive from
        sys.exit(
            f"{folder}: no such folder, and {HUB} could not be downloaded ({error}); copy it "
            "there from where there is a network"
        )


def main(argv: list[str]) -> None:
    """Writes the four files; says what was left out."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--from", dest="source", type=Path, required=True)
    parser.add_argument("--to", type=Path, required=True)
    given = parser.parse_args(argv)
    if not given.source.is_dir():
        fetched(given.source)
    given.to.mkdir(parents=True, exist_ok=True)
    for name, (kind, published) in FILES.items():
        file = given.source / published
        if not file.is_file():
            there = ", ".join(sorted(p.name for p in given.source.glob("*.jsonl")))
            sys.exit(f"{file}: no such file; there are {there or 'none'}")
        left_out: Counter[str] = Counter()
        rows = [json.loads(line) for line in file.read_text("utf-8").splitlines() if line.strip()]
        made = converted(rows, kind, left_out)
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made)
        (given.to / name).write_text(lines, encoding="utf-8")
        told = "; ".join(f"{number} {why}" for why, number in left_out.items())
        print(f"{given.to / name}: {len(made)} rows" + (f", left out: {told}" if told else ""))
    print(f"pictures belong into {given.to / 'tallyqa'} and {given.to / 'vsr'}")


if __name__ == "__main__":
    main(sys.argv[1:])
