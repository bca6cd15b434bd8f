"""Writes GUI-G1's rows with the weight of each question, as datasets_cfg/gui_g1.yaml reads them.

    git clone https://github.com/Yuqi-Zhou/GUI-G1
    python recipes/gui_g1/data.py --from GUI-G1/data/GUI-R1-3K.json --to data/gui_g1

`--from` is a JSON list (or JSON lines) of {image, problem, solution: [x1, y1, x2, y2] in pixels};
pictures are looked for beside it, and the YAML reads them from `--to`: copy them there as well.
The repository (Apache-2.0) holds one row and picture of GUI-R1-3K, as the form; the paper's 17,485
questions (UI-BERT, OS-Atlas) were not released when this was written, and can be made from their
sources in this form.

`rate` becomes w_q = 0.5 + (1/λ - min) / (max - min), λ the box's share of the picture (paper,
appendix C.3). `--scale log` takes -log λ for 1/λ, `--scale rank` the share of larger boxes: one
icon of a few pixels then does not leave all others at 0.5.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from mmrl.parse.boxes import is_proper_box
from mmrl.rewards.box_size import size_weights

Row = Mapping[str, Any]
Size = tuple[int, int]


def converted(
    rows: Sequence[Row], sizes: Mapping[str, Size], scale: str, left_out: Counter[str]
) -> list[dict[str, Any]]:
    """The rows with their weights; `sizes` are (width, height) of the pictures, by name.

    Rows whose picture is missing or whose box is not a box inside of it are left out and counted.
    """
    kept, shares = [], []
    for row in rows:
        if row["image"] not in sizes:
            left_out["no picture"] += 1
            continue
        width, height = sizes[row["image"]]
        try:
            x1, y1, x2, y2 = (float(v) for v in row["solution"])
        except (TypeError, ValueError):
            left_out["no box of four numbers"] += 1
            continue
        inside = x1 >= 0 and y1 >= 0 and x2 <= width and y2 <= height
        if not (inside and is_proper_box((x1, y1, x2, y2))):
            left_out["box without area or outside of its picture"] += 1
            continue
        kept.append({**row, "solution": [x1, y1, x2, y2]})
        shares.append((x2 - x1) * (y2 - y1) / (width * height))
    rates = weights(shares, scale) if shares else []
    return [{**row, "rate": rate} for row, rate in zip(kept, rates, strict=True)]


def weights(shares: Sequence[float], scale: str) -> list[float]:
    """0.5 for the largest share to 1.5 for the smallest; boxes of one size weigh 1 each."""
    if scale == "inverse":
        return size_weights(shares)
    low, high = min(shares), max(shares)
    if low == high:
        return [1.0] * len(shares)
    if scale == "log":
        return [0.5 + math.log(high / share) / math.log(high / low) for share in shares]
    known = sorted(set(shares), reverse=True)
    place = {share: k / (len(known) - 1) for k, share in enumerate(known)}
    return [0.5 + place[share] for share in shares]


def read_rows(file: Path) -> list[Row]:
    text = file.read_text(encoding="utf-8")
    if text.lstrip().startswith("["):
        return list(json.loads(text))
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def main(argv: list[str]) -> None:
    """Writes train.jsonl; says what was left out."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--from", dest="source", type=Path, required=True)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--scale", choices=("inverse", "log", "rank"), default="inverse")
    given = parser.parse_args(argv)
    if not given.source.is_file():
        sys.exit(f"{given.source}: no such file; clone github.com/Yuqi-Zhou/GUI-G1 for its form")
    rows = read_rows(given.source)
    sizes: dict[str, Size] = {}
    for name in {row["image"] for row in rows}:
        try:
            with Image.open(given.source.parent / name) as picture:
                sizes[name] = picture.size
        except (FileNotFoundError, UnidentifiedImageError):
            continue
    left_out: Counter[str] = Counter()
    made = converted(rows, sizes, given.scale, left_out)
    told = "; ".join(f"{number} {why}" for why, number in left_out.items())
    if not made:
        sys.exit(f"{given.source}: no row can be used ({told}); pictures belong beside it")
    given.to.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made)
    (given.to / "train.jsonl").write_text(lines, encoding="utf-8")
    print(f"{given.to / 'train.jsonl'}: {len(made)} rows" + (f", left out: {told}" if told else ""))


if __name__ == "__main__":
    main(sys.argv[1:])
