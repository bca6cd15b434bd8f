"""Fetches Video-R1's two files of rows and keeps the rows that an answer of their kind can judge.

    python recipes/t_grpo/data.py --to data/video_r1
    python recipes/t_grpo/data.py --from FOLDER --to data/video_r1   # files that lie there

Video-R1-260k.json and Video-R1-COT-165k.json come from huggingface.co/datasets/Video-R1/
Video-R1-data, newest revision (none is named; rows Apache-2.0, pictures and clips under the terms
of their data sets). Its archives of pictures and clips (hundreds of GB) are not fetched: unpack
them into `--to`, so that the rows' paths ("./CLEVRER/…") start there:

    hf download --repo-type dataset Video-R1/Video-R1-data --local-dir data/video_r1
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
from mmrl.parse.completion import parse_completion
from mmrl.rewards.answer_kinds import gold_of_kind
from mmrl.types import Sample, Verdict

HUB = "Video-R1/Video-R1-data"
RL, COLD = "Video-R1-260k.json", "Video-R1-COT-165k.json"
Row = dict[str, Any]


def judged(items: Iterable[Mapping[str, Any]]) -> tuple[list[Row], Counter[str]]:
    """The rows that `datasets_cfg/video_r1.yaml` reads, and why others were left out.

    Left out are kinds of answers that are not known and answers that are none of their kind (a
    number that is no number, a letter that is no letter).
    """
    rows, left_out = [], Counter[str]()
    for item in items:
        kind = str(item.get("problem_type"))
        target = parse_completion(f"<think>x</think>{item.get('solution')}").answer
        sample = Sample(
            id=str(item.get("problem_id")),
            task="answer_kinds",
            question=str(item.get("problem")),
            target=target,
            meta={"problem_type": kind},
        )
        try:
            gold_of_kind(sample)
        except DataError:
            left_out[f"{kind}: the answer is none"] += 1
            continue
        rows.append(dict(item))
    return rows, left_out


def completed(items: Iterable[Mapping[str, Any]]) -> tuple[list[Row], Counter[str]]:
    """The rows that `datasets_cfg/video_r1_cot.yaml` reads: `completion` is what sft trains on.

    Published: `process` (<think>…</think>) and `solution` (<answer>…</answer>). Left out are rows
    whose two together are not one block of reasoning and one answer.
    """
    rows, left_out = [], Counter[str]()
    for item in items:
        text = f"{str(item.get('process') or '').strip()}{str(item.get('solution') or '').strip()}"
        verdict = parse_completion(text).verdict
        if verdict is Verdict.OK:
            rows.append({**item, "completion": text})
        else:
            left_out[verdict.value] += 1
    return rows, left_out


def fetched(name: str, to: Path) -> Path:
    """A file of the hub, in `to`/published."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return Path(hf_hub_download(HUB, name, repo_type="dataset", local_dir=to / "published"))
    except (HfHubHTTPError, OSError) as error:
        sys.exit(
            f"cannot fetch {name} of https://huggingface.co/datasets/{HUB} "
            f"({type(error).__name__}: {error}); without a network put {RL} and {COLD} into a "
            "folder and name it: --from FOLDER"
        )


def main() -> None:
    """Writes both files, and counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--from", dest="source", type=Path)
    parser.add_argument("--to", type=Path, required=True)
    given = parser.parse_args()
    for name, make in ((RL, judged), (COLD, completed)):
        path = given.source / name if given.source else fetched(name, given.to)
        if not path.is_file():
            sys.exit(f"{path}: no such file; without --from it is fetched from {HUB}")
        rows, left_out = make(json.loads(path.read_text(encoding="utf-8")))
        target = given.to / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
        print(f"{target}: {len(rows)} rows; left out: {dict(left_out) or 'none'}")


if __name__ == "__main__":
    main()
