"""Joins questions about ChartMimic's charts with the pictures and the tables in their code.

    hf download --repo-type dataset ChartMimic/ChartMimic --local-dir ChartMimic    # Apache-2.0
    python recipes/cat/data.py --charts ChartMimic/dataset --questions questions.jsonl \\
        --to data/chartmimic_qa

The paper's 4,800 charts are ChartMimic's; its questions (written by Gemini-2.5-Flash) and its
labels (by people) are not published. `questions.jsonl` holds yours, one a line:

    {"chart": "ori_500/HR_1", "question": "…", "answer": "12", "programmable": "high"}

`chart` names CHART.png and CHART.py inside of `--charts`; `programmable` is "high" where a table of
the chart keeps what this question needs, else "low" (the paper: doubtful cases are low). The table
is read off the code's syntax tree, never run; where it cannot be read, the row has none, and the
data part does not apply to it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmrl.errors import DataError, nearest
from mmrl.parse.code_tables import table_of_plot, table_of_program
from mmrl.parse.tables import csv_of_table
from mmrl.rewards.charts import WAYS

NEEDED = ("chart", "question", "answer", "programmable")


def converted(row: Mapping[str, Any], code: str | None, where: str) -> dict[str, Any]:
    """The row that `datasets_cfg/chartmimic_qa.yaml` reads; `code` is what drew the chart."""
    missing = [name for name in NEEDED if not str(row.get(name) or "").strip()]
    if missing:
        raise DataError(f"{where}: no {', '.join(missing)}; there are {', '.join(row)}")
    label = str(row["programmable"])
    if label not in WAYS:
        raise DataError(f'{where}: programmable is "{label}".{nearest(label, WAYS)}')
    table = None
    if code is not None:
        table = table_of_program(code)
        table = table_of_plot(code) if table is None else table
    made = {
        "id": str(row.get("id") or where.rpartition(":")[2]),
        "image": f"charts/{row['chart']}.png",
        "question": str(row["question"]),
        "answer": row["answer"],
        "programmable": label,
    }
    return made if table is None else {**made, "csv_gt": csv_of_table(table)}


def inside(folder: Path, name: str, where: str) -> Path:
    """A file of the folder; a DataError where the name leads elsewhere or nowhere."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise DataError(f"{where}: chart leads out of {folder}")
    if not path.is_file():
        raise DataError(f"{where}: no picture {path}; draw it with its code or convert the .pdf")
    return path


def main() -> None:
    """Writes rows.jsonl and the pictures it names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--charts", type=Path, required=True)
    parser.add_argument("--questions", type=Path, required=True)
    parser.add_argument("--to", type=Path, required=True)
    given = parser.parse_args()
    if not given.questions.is_file() or not given.charts.is_dir():
        sys.exit(
            f"{given.questions} or {given.charts} is not there: the questions are not published, "
            "see the head of this file for what to write and where the charts come from"
        )
    lines, without = [], 0
    try:
        texts = given.questions.read_text(encoding="utf-8").splitlines()
        for number, text in enumerate(texts, start=1):
            where = f"{given.questions}:{number}"
            row = json.loads(text)
            code = given.charts / f"{row.get('chart')}.py"
            made = converted(row, code.read_text() if code.is_file() else None, where)
            picture = inside(given.charts, f"{row['chart']}.png", where)
            target = given.to / made["image"]
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(picture, target)
            lines.append(json.dumps(made, ensure_ascii=False) + "\n")
            without += "csv_gt" not in made
    except DataError as error:
        sys.exit(str(error))
    (given.to / "rows.jsonl").write_text("".join(lines), encoding="utf-8")
    print(f"{given.to / 'rows.jsonl'}: {len(lines)} rows, {without} without a table")


if __name__ == "__main__":
    main()
