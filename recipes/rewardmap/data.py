"""Fetches ReasonMap and ReasonMap-Plus and parts the training questions by RewardMap's stages.

    git clone https://github.com/fscdc/ReasonMap
    python recipes/rewardmap/data.py --stations ReasonMap/stations --to data/reasonmap

The rows come from huggingface.co (FSCCS/ReasonMap-Train, FSCCS/ReasonMap, FSCCS/ReasonMap-Plus;
the package `datasets`; licence not stated, the maps are their operators') by
`datasets_cfg/reasonmap.py`, whose settings this takes too: `--rows FILE --split train` reads a file
in their place. Beside its files stand plus_train_judge.jsonl, plus_train_count.jsonl and
plus_train_between.jsonl then, which `datasets_cfg/reasonmap_stages.yaml` reads; the steps that one
pass over each of them takes are printed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mmrl.errors import DataError, MmrlError, nearest
from mmrl.rewards.functions import load_user_function

STAGES: Mapping[str, tuple[str, ...]] = {
    "judge": ("TorF1", "TorF2"),
    "count": ("Counting2", "Counting3"),
    "between": ("Counting1",),
}
"""Stage -> types of ReasonMap-Plus; planning, the last stage, is a file of its own already."""
PROMPTS_PER_STEP = 16
CONVERTER = Path(__file__).resolve().parents[2] / "datasets_cfg" / "reasonmap.py"


def by_stage(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """The rows of each stage in their order; a row of another type is a DataError."""
    stage_of = {kind: stage for stage, kinds in STAGES.items() for kind in kinds}
    parted: dict[str, list[Mapping[str, Any]]] = {stage: [] for stage in STAGES}
    for row in rows:
        kind = str(row.get("type"))
        if kind not in stage_of:
            raise DataError(
                f'row "{row.get("id")}": no stage takes questions of type "{kind}".'
                f"{nearest(kind, stage_of)}"
            )
        parted[stage_of[kind]].append(row)
    return parted


def main(argv: list[str]) -> None:
    """Runs the converter and writes the files of the stages."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--to", type=Path)
    folder = parser.parse_known_args(argv)[0].to
    try:
        load_user_function(f"{CONVERTER}:main")(argv)
    except ModuleNotFoundError as error:
        sys.exit(f"{error}; `pip install datasets` reads huggingface.co, or give --rows FILE")
    except MmrlError as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(
            f"the rows could not be fetched ({type(error).__name__}: {error}); without a network "
            "give --rows FILE, --split and --maps with what was downloaded elsewhere"
        )
    source = folder / "plus_train.jsonl"
    if not source.is_file():
        print(f"{source}: not written (no training rows), so there is nothing to part")
        return
    rows = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    for stage, found in by_stage(rows).items():
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in found]
        (folder / f"plus_train_{stage}.jsonl").write_text("".join(lines), encoding="utf-8")
        steps = len(found) // PROMPTS_PER_STEP
        print(f"{folder}/plus_train_{stage}.jsonl: {len(found)} rows, {steps} steps a pass")
    routes = folder / "planning_train.jsonl"
    if routes.is_file():
        number = len(routes.read_text(encoding="utf-8").splitlines())
        print(f"{routes}: {number} rows, {number // PROMPTS_PER_STEP} steps a pass")


if __name__ == "__main__":
    main(sys.argv[1:])
