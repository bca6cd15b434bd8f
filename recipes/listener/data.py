"""HPDv2's pairs for `full.yaml`: fetches them and writes what datasets_cfg/hpdv2.yaml reads.

    python recipes/listener/data.py --fetch                 # from the hub, 430,000 pictures
    python recipes/listener/data.py --from FOLDER           # a folder that has them already

Hub: ymhao/HPDv2 (Apache-2.0; arXiv 2306.09341): train.json with rows {prompt, file_path of two
pictures, human_preference of two}, test.json with {prompt, image_path, rank} of nine; pictures in
archives beside them. The paper trains on about 16 % of the training pairs: --share 0.16, by a hash
of the row, so that the same rows are taken everywhere. Where the hub cannot be reached, put the two
files and the unpacked pictures into a folder and name it with --from. ImageReward's pairs
(evaluation): datasets_cfg/pair_rows.py, told in datasets_cfg/imagereward.yaml.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HUB = "ymhao/HPDv2"
SHARE = 0.16
"""Of the training pairs that the paper trains on (about)."""

_spec = importlib.util.spec_from_file_location("pair_rows", ROOT / "datasets_cfg" / "pair_rows.py")
assert _spec is not None and _spec.loader is not None
pair_rows = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(pair_rows)

Row = dict[str, Any]


def main() -> None:
    """Fetches where it is asked to, and converts both splits."""
    text = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=text)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--fetch", action="store_true", help=f"download {HUB} first")
    source.add_argument("--from", dest="folder", type=Path, help="with train.json and test.json")
    parser.add_argument("--to", type=Path, default=ROOT / "data" / "hpdv2")
    parser.add_argument("--share", type=float, default=SHARE, help="of the training rows (0.16)")
    given = parser.parse_args()
    folder = fetch(given.to) if given.fetch else given.folder
    given.to.mkdir(parents=True, exist_ok=True)
    for split, convert in (("train", train_pairs), ("test", test_pairs)):
        file = folder / f"{split}.json"
        if not file.is_file():
            sys.exit(f"{file}: no such file; it is in the hub's {HUB}")
        rows, left = pair_rows.read_rows(file), Counter[str]()
        rows = rows if split == "test" else [r for i, r in enumerate(rows) if taken(i, given.share)]
        pairs = [json.dumps(pair, ensure_ascii=False) for pair in convert(rows, left)]
        (given.to / f"{split}.jsonl").write_text("".join(f"{p}\n" for p in pairs), encoding="utf-8")
        out = "".join(f", left out {number} {why}" for why, number in left.items())
        print(f"{given.to / f'{split}.jsonl'}: {len(pairs)} pairs{out}")
    print(f"pictures are looked for in {given.to}: put the unpacked folders there")


def taken(number: int, share: float) -> bool:
    """Whether a training row is in the share: the same rows for the same share everywhere."""
    digest = hashlib.sha256(f"hpdv2 {number}".encode()).digest()
    return int.from_bytes(digest[:4], "big") < share * 2**32


def train_pairs(rows: Sequence[Mapping[str, Any]], left: Counter[str]) -> Iterator[Row]:
    """Rows of train.json as rows of ImageReward's form, and so as pairs; ties are counted."""
    named = []
    for number, row in enumerate(rows):
        files = row.get("file_path") or row.get("image_path")
        values = pair_rows.need(dict(row), number, "prompt", "human_preference")
        if files is None:
            sys.exit(f"row {number}: no column file_path or image_path; there are {', '.join(row)}")
        liked = values["human_preference"]
        ranks = [1 - int(value) for value in liked]  # 1 is preferred: rank 0 is the best
        named.append(_row(values["prompt"], files, ranks))
    return pair_rows.imagereward(named, left)


def test_pairs(rows: Sequence[Mapping[str, Any]], left: Counter[str]) -> Iterator[Row]:
    """All pairs of the pictures of a prompt that people ranked apart (1 is the best)."""
    named = []
    for number, row in enumerate(rows):
        values = pair_rows.need(dict(row), number, "prompt", "image_path", "rank")
        named.append(_row(values["prompt"], values["image_path"], values["rank"]))
    return pair_rows.imagereward(named, left)


def _row(prompt: str, files: Sequence[str], ranks: Sequence[float]) -> Row:
    name = hashlib.sha256("\n".join([prompt, *files]).encode()).hexdigest()[:16]
    return {"id": name, "prompt": prompt, "generations": list(files), "ranking": list(ranks)}


def fetch(folder: Path) -> Path:
    """Downloads the data set and returns its folder; ends in words where the hub is not reached."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(HUB, repo_type="dataset", local_dir=folder / "hub"))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        sys.exit(
            f"the hub's {HUB} cannot be reached ({type(error).__name__}: {error}). Download it "
            f"elsewhere (hf download --repo-type dataset {HUB}), unpack its pictures, and run "
            "this with --from FOLDER"
        )


if __name__ == "__main__":
    main()
