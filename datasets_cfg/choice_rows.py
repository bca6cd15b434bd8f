"""Makes rows that mmrl reads out of choice data sets as they are published.

    python datasets_cfg/choice_rows.py geometry3k    --from THERE/train --to data/geometry3k
    python datasets_cfg/choice_rows.py k12           --from THERE/k12.json --to data/k12
    python datasets_cfg/choice_rows.py math_vision   --from THERE --to data/math_vision
    python datasets_cfg/choice_rows.py mmmu_pro      --from "THERE/standard (10 options)" --to …
    python datasets_cfg/choice_rows.py seed_bench_r1 --from THERE/annotations/x.jsonl --to …

Each writes `rows.jsonl` (named otherwise by --name) with one question a line and says how many it
left out, and why. Pictures and clips get to `media` beside it (as hard links where that can be).
Nothing is downloaded: the YAML of a data set says where its files are.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

Row = dict[str, Any]
Skips = Counter[str]
LETTERS = "ABCDEFGHIJ"
_PLAIN = re.compile(r"[-+]?(?:\d+(?:,\d{3})*(?:\.\d+)?|\.\d+)")
_TEX = re.compile(r"\\number\s*|\\(?:,|;|!| )|\\left|\\right|\\[()]|[${}°]|\\circ|\^")
_MARK = re.compile(r"<image ?(\d*)>")


def main() -> None:
    """Converts one data set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set", choices=sorted(SETS))
    parser.add_argument("--from", dest="source", type=Path, required=True)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--name", default="rows.jsonl")
    given = parser.parse_args()
    if not given.source.exists():
        sys.exit(f"{given.source}: no such file or folder")
    given.to.mkdir(parents=True, exist_ok=True)
    skips: Skips = Counter()
    lines = [
        json.dumps(row, ensure_ascii=False)
        for row in SETS[given.set](given.source, given.to, skips)
    ]
    (given.to / given.name).write_text("".join(line + "\n" for line in lines))
    left = "; ".join(f"{number} without {why}" for why, number in skips.items())
    print(f"{given.to / given.name}: {len(lines)} rows" + (f", left out: {left}" if left else ""))
    if not lines:
        sys.exit(f"{given.source}: no rows; is this the folder or file that is asked for?")


def geometry3k(source: Path, to: Path, skips: Skips) -> Iterator[Row]:
    """InterGPS's folders N/data.json with N/img_diagram.png: four options, a letter."""
    for path in sorted(source.glob("*/data.json"), key=lambda p: (len(p.parent.name), p)):
        row = json.loads(path.read_text())
        values = need(row, path, "id", "annotat_text", "choices", "answer")
        picture = path.parent / "img_diagram.png"
        if not picture.is_file():
            skips["a diagram"] += 1
            continue
        yield {
            "id": str(values["id"]),
            "question": values["annotat_text"],
            "options": values["choices"],
            "answer": values["answer"],
            "image": placed(picture, to, f"{values['id']}.png"),
        }


def k12(source: Path, to: Path, skips: Skips) -> Iterator[Row]:
    """MM-EUREKA's json: problems whose answer is one number (the rest is LaTeX of all kinds)."""
    for i, row in enumerate(json.loads(source.read_text())):
        where = f"{source}: row {i}"
        values = need(row, where, "id", "question", "answer", "image_path")
        number = plain_number(values["answer"])
        if number is None:
            skips["one number as answer"] += 1
            continue
        picture = source.parent / values["image_path"]
        if not picture.is_file():
            skips["their picture"] += 1
            continue
        yield {
            "id": values["id"],
            "question": values["question"],
            "answer": number,
            "image": placed(picture, to, picture.name),
        }


def math_vision(source: Path, to: Path, skips: Skips) -> Iterator[Row]:
    """MATH-Vision's jsonl beside images/: options and a letter, or one number."""
    files = sorted(source.glob("*.jsonl"))
    if not files:
        sys.exit(f"{source}: no .jsonl here; wanted the folder of MATH-Vision's rows")
    for line, text in enumerate(files[0].read_text().splitlines(), 1):
        where = f"{files[0]}:{line}"
        values = need(json.loads(text), where, "id", "question", "options", "answer", "image")
        number = plain_number(values["answer"])
        if not values["options"] and number is None:
            skips["options or one number"] += 1
            continue
        picture = source / values["image"]
        if not picture.is_file():
            skips["their picture"] += 1
            continue
        yield {
            "id": str(values["id"]),
            "question": unmarked(values["question"]),
            "options": values["options"],
            "answer": values["answer"] if values["options"] else number,
            "problem_type": "multiple choice" if values["options"] else "numerical",
            "level": values.get("level"),
            "image": placed(picture, to, picture.name),
        }


def mmmu_pro(source: Path, to: Path, skips: Skips) -> Iterator[Row]:
    """MMMU-Pro's parquet files: up to ten options as a printed list, up to seven pictures."""
    import pyarrow.parquet as pq

    pictures = to / "media"
    pictures.mkdir(exist_ok=True)
    files = sorted(source.glob("*.parquet"))
    if not files:
        sys.exit(f"{source}: no .parquet here; wanted the folder of one configuration")
    for path in files:
        for batch in pq.ParquetFile(path).iter_batches(64):
            for row in batch.to_pylist():
                made = mmmu_row(row, path)
                if made is None:
                    skips["a letter among the options"] += 1
                    continue
                made["images"] = [
                    _saved(held, pictures / f"{made['id']}_{n}")
                    for n in range(1, 8)
                    if (held := row.get(f"image_{n}")) is not None
                ]
                yield made


def mmmu_row(row: Mapping[str, Any], where: Any) -> Row | None:
    """A row of MMMU-Pro but for its pictures; None where the answer is no option's letter."""
    values = need(row, where, "id", "question", "options", "answer")
    options = values["options"]
    if isinstance(options, str):
        options = ast.literal_eval(options)  # a Python list of texts, as it is printed
    letter = str(values["answer"]).strip()
    if letter not in LETTERS[: len(options)] or not letter:
        return None
    return {
        "id": values["id"],
        "question": unmarked(values["question"], numbered=True),
        "options": [unmarked(str(option), numbered=True) for option in options],
        "answer": letter,
        "subject": row.get("subject"),
    }


def seed_bench_r1(source: Path, to: Path, skips: Skips) -> Iterator[Row]:
    """SEED-Bench-R1's jsonl: the answer among three of its negatives, or four given choices.

    Negatives are drawn and options shuffled once, by the row's id. Media are found by their file
    name under the folder above the annotations.
    """
    found = (p for p in source.parent.parent.rglob("*") if p.suffix in _MEDIA)
    media = {p.name: p for p in found if not p.is_relative_to(to)}
    for line, text in enumerate(source.read_text().splitlines(), 1):
        row = json.loads(text)
        made = seed_row(row, f"{source}:{line}")
        if made is None:
            skips["four options"] += 1
            continue
        picture = media.get(row["current_observation_basename"])
        clip = media.get(row["video_basename"]) if row.get("task_progress_metadata") else None
        if picture is None or (row.get("task_progress_metadata") and clip is None):
            skips["their picture or clip"] += 1
            continue
        made["image"] = placed(picture, to, picture.name)
        if clip is not None:
            made["video"] = placed(clip, to, clip.name)
        yield made


_MEDIA = (".png", ".jpg", ".jpeg", ".mp4", ".webm", ".mkv")


def seed_row(row: Mapping[str, Any], where: Any) -> Row | None:
    """A row of SEED-Bench-R1 but for its media; None where there are not four options."""
    values = need(row, where, "sample_id", "question")
    if "golden_choice_idx" in row:
        options = [row.get(f"choice_{letter}") for letter in "abcd"]
        letter = str(row["golden_choice_idx"]).strip().upper()
    else:
        need(row, where, "answer", "negative_answers")
        wrong = [text for text in dict.fromkeys(row["negative_answers"]) if text != row["answer"]]
        if len(wrong) < 3:
            return None
        rng = random.Random(str(values["sample_id"]))
        options = [row["answer"], *rng.sample(wrong, 3)]
        rng.shuffle(options)
        letter = LETTERS[options.index(row["answer"])]
    if not all(options) or letter not in ("A", "B", "C", "D"):
        return None
    question = values["question"]
    return {
        "id": str(values["sample_id"]),
        "question": question,
        "options": options,
        "answer": letter,
    }


def need(row: Mapping[str, Any], where: Any, *columns: str) -> Mapping[str, Any]:
    """The row, where it has the columns; else the end, with those that it has."""
    missing = [column for column in columns if column not in row]
    if missing:
        sys.exit(f"{where}: no column {missing[0]!r}; there are {', '.join(row)}")
    return row


def plain_number(answer: str) -> str | None:
    """The answer as a number without LaTeX around it ("$$50$$", "30°", "12."), or None."""
    bare = _TEX.sub("", answer).strip().rstrip(".").strip()
    return bare.replace(",", "") if _PLAIN.fullmatch(bare) else None


def unmarked(text: str, *, numbered: bool = False) -> str:
    """The text without `<image1>`; with `numbered` it says "image 1" instead."""
    return _MARK.sub(lambda m: f"image {m[1]}".strip() if numbered else "", text).strip()


def placed(path: Path, to: Path, name: str) -> str:
    """Where a picture or clip lies from now on, from `to`: a hard link, or a copy."""
    goal = to / "media" / name
    goal.parent.mkdir(exist_ok=True)
    goal.unlink(missing_ok=True)
    try:
        os.link(path.resolve(), goal)
    except OSError:  # another disk
        shutil.copyfile(path, goal)
    return f"media/{name}"


def _saved(held: Mapping[str, Any], stem: Path) -> str:
    """A picture of a parquet row as a file beside the rows."""
    data: bytes = held["bytes"]
    path = stem.with_suffix(".png" if data[:4] == b"\x89PNG" else ".jpg")
    path.write_bytes(data)
    return f"media/{path.name}"


SETS: Mapping[str, Callable[[Path, Path, Skips], Iterator[Row]]] = {
    "geometry3k": geometry3k,
    "k12": k12,
    "math_vision": math_vision,
    "mmmu_pro": mmmu_pro,
    "seed_bench_r1": seed_bench_r1,
}

if __name__ == "__main__":
    main()
