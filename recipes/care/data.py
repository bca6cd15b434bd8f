"""Fetches SEED-Bench-R1 and writes its training rows and three levels as mmrl reads them.

    python recipes/care/data.py --from SEED-Bench-R1 --to data/seed_bench_r1

`--from` is the folder of the data set (huggingface.co, TencentARC/SEED-Bench-R1; rows Apache-2.0,
the clips of Epic-Kitchens and Ego4D under their own terms); where it does not exist, it is
downloaded there (package `huggingface_hub`). Its media come as archives: unpack them inside of the
folder and run this again. `datasets_cfg/choice_rows.py` makes the rows; `--train
training_50k.jsonl` takes the whole training set in place of the paper's 6,000 rows.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from mmrl.rewards.functions import load_user_function

HUB = "TencentARC/SEED-Bench-R1"
CONVERTER = Path(__file__).resolve().parents[2] / "datasets_cfg" / "choice_rows.py"
LEVELS: Mapping[str, str] = {
    "level1.jsonl": "validation_L1.jsonl",
    "level2.jsonl": "validation_L2.jsonl",
    "level3.jsonl": "validation_L3.jsonl",
}
"""File that is written -> file under annotations/."""


def fetched(folder: Path) -> None:
    """Downloads the data set into a folder that is not there yet."""
    try:
        from huggingface_hub import snapshot_download
    except ModuleNotFoundError:
        sys.exit(f"{folder}: no such folder; `pip install huggingface_hub` downloads {HUB} there")
    try:
        snapshot_download(HUB, repo_type="dataset", local_dir=folder)
    except (
        OSError,
        ValueError,
    ) as error:  # both are what its errors of network and name derive from
        sys.exit(
            f"{folder}: no such folder, and {HUB} could not be downloaded ({error}); copy it "
            "there from where there is a network"
        )


def main(argv: list[str]) -> None:
    """Writes train.jsonl and the three levels; says what was left out."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--from", dest="source", type=Path, required=True)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--train", default="training_6k.jsonl")
    given = parser.parse_args(argv)
    if not given.source.is_dir():
        fetched(given.source)
    given.to.mkdir(parents=True, exist_ok=True)
    convert = load_user_function(f"{CONVERTER}:seed_bench_r1")
    for name, published in {"train.jsonl": given.train, **LEVELS}.items():
        file = given.source / "annotations" / published
        if not file.is_file():
            there = ", ".join(p.name for p in sorted(file.parent.glob("*.jsonl")))
            sys.exit(f"{file}: no such file; there are {there or 'none'}")
        skips: Counter[str] = Counter()
        rows = [json.dumps(row, ensure_ascii=False) for row in convert(file, given.to, skips)]
        if not rows:
            sys.exit(
                f"{file}: no row has its picture or clip under {given.source}: "
                "unpack the archives there and run this again"
            )
        (given.to / name).write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
        left = "; ".join(f"{number} without {why}" for why, number in skips.items())
        print(f"{given.to / name}: {len(rows)} rows" + (f", left out: {left}" if left else ""))


if __name__ == "__main__":
    main(sys.argv[1:])
