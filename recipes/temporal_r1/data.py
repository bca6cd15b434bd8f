"""Fetches Temporal-R1's rows for grounding in time and makes them what mmrl reads.

    python recipes/temporal_r1/data.py --to data/temporal_r1
    python recipes/temporal_r1/data.py --from FILE.json --split train --to data/temporal_r1

The first line takes all annotation files (JSON) of the data set appletea2333/temporal_r1 of
huggingface.co, newest revision (none is named; licence not known to us, the code's is Apache-2.0),
and names them; the second converts one, into train.json or test.json. Clips go to
data/temporal_r1/videos under the names that the rows have. The paper's further rows
(Temporal-RLT-32k: options, and options with spans) are not among them: give them a file in
datasets_cfg with `task: choice`, and the span in a column "span" (see README).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mmrl.errors import DataError

HUB = "appletea2333/temporal_r1"
NEEDED = ("video", "problem", "solution", "video_length")


def converted(
    items: Iterable[Mapping[str, Any]], where: str = "rows"
) -> tuple[list[dict[str, Any]], Counter[str]]:
    """The rows that `datasets_cfg/temporal_r1.yaml` reads, and why others were left out.

    Published: video, problem, solution (two shares of the clip), video_length (seconds), dataset.
    Left out are spans that do not last, that leave the clip, and clips without a length.
    """
    rows, left_out = [], Counter[str]()
    for number, item in enumerate(items):
        missing = [name for name in NEEDED if item.get(name) is None]
        if missing:
            raise DataError(
                f"{where}:{number}: no {', '.join(missing)}; there are {', '.join(item)}"
            )
        try:
            start, end = (float(value) for value in item["solution"])
            length = float(item["video_length"])
        except (TypeError, ValueError):
            raise DataError(
                f"{where}:{number}: solution {item['solution']!r:.60} of "
                f"{item['video_length']!r:.20} should be two shares and a length in seconds"
            ) from None
        if not length > 0.0:
            left_out["no length"] += 1
        elif not 0.0 <= start < end:
            left_out["the span does not last"] += 1
        elif end > 1.0:
            left_out["the span leaves the clip"] += 1
        else:
            problem = str(item["problem"]).replace("<video>", "").strip()
            kept = {"id": f"{Path(str(item['video'])).stem}-{number}", "video": item["video"]}
            source = {"dataset": item["dataset"]} if "dataset" in item else {}
            spans = {"problem": problem, "solution": [start, end], "video_length": length}
            rows.append({**kept, **spans, **source})
    return rows, left_out


def fetched(to: Path) -> list[Path]:
    """The annotation files of the hub, in `to`/annotations."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    folder = to / "annotations"
    try:
        snapshot_download(HUB, repo_type="dataset", allow_patterns="*.json", local_dir=folder)
    except (HfHubHTTPError, OSError) as error:
        sys.exit(
            f"cannot fetch https://huggingface.co/datasets/{HUB} "
            f"({type(error).__name__}: {error}); without a network put a file of its rows "
            "somewhere and name it: --from FILE.json"
        )
    return sorted(folder.rglob("*.json"))


def main() -> None:
    """Fetches, or converts one file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--from", dest="source", type=Path)
    parser.add_argument("--split", choices=("train", "test"), default="train")
    parser.add_argument("--to", type=Path, required=True)
    given = parser.parse_args()
    if given.source is None:
        for path in fetched(given.to):
            print(f"{path}: convert it by --from {path} --split train (or test)")
        return
    if not given.source.is_file():
        sys.exit(f"{given.source}: no such file; without --from the rows are fetched from {HUB}")
    try:
        items = json.loads(given.source.read_text(encoding="utf-8"))
        if not isinstance(items, list):
            raise DataError(f"{given.source}: expected a JSON list of rows")
        rows, left_out = converted(items, str(given.source))
    except (DataError, json.JSONDecodeError) as error:
        sys.exit(str(error))
    given.to.mkdir(parents=True, exist_ok=True)
    target = given.to / f"{given.split}.json"
    target.write_text(json.dumps(rows, ensure_ascii=False, indent=0), encoding="utf-8")
    print(f"{target}: {len(rows)} rows; left out: {dict(left_out) or 'none'}")


if __name__ == "__main__":
    main()
