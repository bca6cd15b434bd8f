"""Makes rows that mmrl reads out of chart data sets as they are published.

    python datasets_cfg/chart_rows.py chartqa --from "ChartQA Dataset/test" --to data/chartqa/test
    python datasets_cfg/chart_rows.py plotqa  --from THERE/test --to data/plotqa/test --limit 20000

Each writes `rows.jsonl` with one question a line, the chart's table as CSV where there is one, and
says how many it left out, and why. Pictures stay where they are (`media` becomes a link to their
folder). Nothing is downloaded: the YAML of a data set says where its files are.

ChartQA's answers are short texts, its rows carry no label of programmability. PlotQA asks by
templates, which give one: "structural" questions are about the look of a plot (low), the others
about its numbers (high); that reading is ours. Both papers accept numbers within 5 %.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

Row = dict[str, Any]
Skips = Counter[str]
TOLERANCE = 0.05


def main() -> None:
    """Converts one split of one data set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set", choices=sorted(SETS))
    parser.add_argument("--from", dest="source", type=Path, required=True)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--limit", type=int, help="only the first so many rows")
    given = parser.parse_args()
    if not given.source.is_dir():
        sys.exit(f"{given.source}: no such folder")
    given.to.mkdir(parents=True, exist_ok=True)
    skips: Skips = Counter()
    rows = islice(SETS[given.set](given.source, skips), given.limit)
    beside = f"{given.to.resolve().name}/media"  # the YAML's folder is that of all splits
    placed = ({**row, "image": f"{beside}/{row['image']}"} for row in rows)
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in placed]
    if not lines:
        sys.exit(f"{given.source}: no rows; is this the folder of a split?")
    (given.to / "rows.jsonl").write_text("".join(lines))
    media = given.to / "media"
    if not media.exists():
        media.symlink_to((given.source / "png").resolve(), target_is_directory=True)
    left = "; ".join(f"{number} {why}" for why, number in skips.items())
    print(f"{given.to / 'rows.jsonl'}: {len(lines)} rows" + (f" ({left})" if left else ""))


def chartqa(source: Path, skips: Skips) -> Iterator[Row]:
    """`*_human.json` and `*_augmented.json` beside `png` and `tables`."""
    files = sorted(source.glob("*_human.json")) + sorted(source.glob("*_augmented.json"))
    if not files:
        sys.exit(f"{source}: no *_human.json or *_augmented.json")
    for path in files:
        who = path.stem.rpartition("_")[2]
        for i, row in enumerate(json.loads(path.read_text())):
            name, question, answer = need(row, f"{path}: row {i}", "imgname", "query", "label")
            if not (source / "png" / name).is_file():
                skips["left out, without their picture"] += 1
                continue
            made = {
                "id": f"{who}-{i}", "image": name, "question": question,
                "answer": answer, "tolerance": TOLERANCE, "asked_by": who,
            }  # fmt: skip
            file = source / "tables" / f"{Path(name).stem}.csv"
            text = checked_csv(file.read_text()) if file.is_file() else None
            if text is None:
                skips["without a table"] += 1
            yield made if text is None else {**made, "csv_gt": text}


def plotqa(source: Path, skips: Skips) -> Iterator[Row]:
    """`qa_pairs_V2.json` (or V1) and `annotations.json` beside `png`."""
    found = [p for p in (source / f"qa_pairs_V{n}.json" for n in (2, 1)) if p.is_file()]
    if not found:
        sys.exit(f"{source}: no qa_pairs_V2.json or qa_pairs_V1.json")
    notes = json.loads((source / "annotations.json").read_text())
    tables = {note["image_index"]: plot_table(note) for note in notes}
    for i, row in enumerate(json.loads(found[0].read_text())["qa_pairs"]):
        image, question, answer, template = need(
            row, f"{found[0]}: row {i}", "image_index", "question_string", "answer", "template"
        )
        if not (source / "png" / f"{image}.png").is_file():
            skips["left out, without their picture"] += 1
            continue
        made = {
            "id": str(row.get("question_id", i)), "image": f"{image}.png",
            "question": question, "answer": answer, "tolerance": TOLERANCE,
            "programmable": "low" if template == "structural" else "high",
        }  # fmt: skip
        text = tables.get(image)
        if text is None:
            skips["without a table"] += 1
        yield made if text is None else {**made, "csv_gt": text}


def plot_table(note: Mapping[str, Any]) -> str | None:
    """The CSV of a plot: a column of places and one a series; None where they do not line up."""
    models, lying = note["models"], str(note.get("type", "")).startswith("hbar")
    places, values = ("y", "x") if lying else ("x", "y")
    if not models or any(model[places] != models[0][places] for model in models):
        return None
    axes = note.get("general_figure_info", {})
    key = axes.get(f"{places}_axis", {}).get("label", {}).get("text") or places
    columns = [models[0][places], *(model[values] for model in models)]
    if len({len(column) for column in columns}) != 1:
        return None
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([key, *(model["name"] for model in models)])
    writer.writerows(zip(*columns, strict=True))
    return checked_csv(out.getvalue())


def checked_csv(text: str) -> str | None:
    """The text where it is a table as mmrl wants them: even rows, a name of its own a column."""
    lines = [line for line in csv.reader(io.StringIO(text.strip())) if line]
    names = [name.strip() for name in lines[0]] if lines else []
    even = len({len(line) for line in lines}) == 1 and len(lines) > 1
    return text.strip() if even and len(set(names)) == len(names) <= 64 else None


def need(row: Mapping[str, Any], where: str, *names: str) -> tuple[Any, ...]:
    """Those columns of a row; ends with the row's place when one is missing."""
    missing = [name for name in names if name not in row]
    if missing:
        sys.exit(f'{where}: no "{missing[0]}"; there are {", ".join(sorted(row))}')
    return tuple(row[name] for name in names)


SETS: Mapping[str, Callable[[Path, Skips], Iterator[Row]]] = {"chartqa": chartqa, "plotqa": plotqa}

if __name__ == "__main__":
    main()
