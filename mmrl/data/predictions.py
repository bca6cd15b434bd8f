"""Evaluation predictions in the forms that lmms-eval and VLMEvalKit read.

A prediction row holds `id`, `question`, `target` and `prediction`, perhaps `task`, `options` and
`values` (measure -> number).
"""

from __future__ import annotations

import csv
import hashlib
import json
import string
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmrl.errors import DataError

Prediction = Mapping[str, Any]
_NEEDED = ("id", "question", "target", "prediction")


def write_predictions(rows: Iterable[Prediction], folder: str | Path) -> tuple[Path, ...]:
    """Writes both forms of every task's predictions into `folder`; returns the files."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    by_task: dict[str, list[Prediction]] = {}
    for row in rows:
        by_task.setdefault(str(row.get("task", "task")), []).append(row)
    files = []
    for task, own in by_task.items():
        name = "".join(c if c.isalnum() or c in "-_." else "_" for c in task)
        files.append(write_lmms_eval(own, folder / f"samples_{name}.jsonl"))
        files.append(write_vlmevalkit(own, folder / f"{name}.tsv"))
    return tuple(files)


def write_lmms_eval(rows: Iterable[Prediction], path: str | Path) -> Path:
    """One JSON object a line, as lmms-eval's `--log_samples` writes them.

    `doc_id` counts from 0; `doc` holds the id and the question; the completion is the only entry
    of `resps` and `filtered_resps`; measures stand beside them under their names.
    """
    path = Path(path)
    with path.open("w", encoding="utf-8") as file:
        for number, row in enumerate(rows):
            _check(row, number)
            doc = {"id": row["id"], "question": row["question"], "answer": row["target"]}
            said = str(row["prediction"])
            line = {
                "doc_id": number,
                "doc": doc,
                "input": row["question"],
                "target": _flat(row["target"]),
                "arguments": [[row["question"]]],
                "resps": [[said]],
                "filtered_resps": [said],
                "doc_hash": _digest(doc),
                "prompt_hash": _digest(row["question"]),
                "target_hash": _digest(row["target"]),
                **dict(row.get("values") or {}),
            }
            file.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")
    return path


def write_vlmevalkit(rows: Iterable[Prediction], path: str | Path) -> Path:
    """A tab-separated table: index, question, A, B, … where there are options, answer, prediction.

    VLMEvalKit's `load` reads it by its ending `.tsv`; rows of one table have one set of columns.
    """
    path, held = Path(path), list(rows)
    most = max((len(_options(row)) for row in held), default=0)
    letters = string.ascii_uppercase[:most]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(["index", "question", *letters, "answer", "prediction", "id"])
        for number, row in enumerate(held):
            _check(row, number)
            options = [*_options(row), *[""] * most][:most]
            answer, said = _flat(row["target"]), str(row["prediction"])
            writer.writerow([number, row["question"], *options, answer, said, row["id"]])
    return path


def _options(row: Prediction) -> Sequence[str]:
    return [str(option) for option in row.get("options") or ()]


def _check(row: Prediction, number: int) -> None:
    missing = [key for key in _NEEDED if key not in row]
    if missing:
        raise DataError(f"prediction {number} has no {', '.join(missing)}; it has {', '.join(row)}")


def _flat(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _digest(value: Any) -> str:
    return hashlib.sha256(_flat(value).encode()).hexdigest()
