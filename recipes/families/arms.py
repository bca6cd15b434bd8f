"""Each family with its pictures and with blank ones: `python recipes/families/arms.py [FAMILY …]`.

Claim, written down before the first run: plain GRPO raises the family's held-out measure (mean of 4
samples at temperature 1, shown pictures), the 95 % interval of the difference over the held-out
samples clear of 0; the same recipe trained on blank pictures, measured on the same shown ones, does
not. Runs lie in `runs/families`; finished ones are not made again, interrupted ones go on.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import mmrl  # noqa: E402
from mmrl.config.load import load_recipe  # noqa: E402
from mmrl.tasks.base import TASKS  # noqa: E402

FAMILIES = ("route", "chart", "box", "choice", "preference")


def arm(family: str, blank: bool, seed: int) -> dict[str, Any]:
    """The summary of one finished run."""
    recipe = Path(__file__).with_name(f"{family}.yaml")
    name = f"{family}_{'blank' if blank else 'shown'}_{seed}"
    folder = ROOT / "runs" / "families" / name
    summary = folder / "summary.json"
    if not summary.exists():
        data = [entry.given() | {"blank": blank} for entry in load_recipe(recipe).run.data]
        settings = {"name": name, "run_dir": str(folder), "seed": seed, "data": data}
        mmrl.train(recipe, {**settings, "log.console": "quiet"})
    return dict(json.loads(summary.read_text()))


def row(family: str, blank: bool, seed: int) -> str:
    """One line of the table."""
    found = arm(family, blank, seed)
    task = load_recipe(Path(__file__).with_name(f"{family}.yaml")).run.data[0].task
    name = TASKS.get(str(task)).score_name
    known, low, high = found["eval"], *found["eval"]["diff_ci95"]
    cells = [
        family,
        f"{task}, {name}",
        "blank" if blank else "shown",
        f"{known['before'][name]:.3f}",
        f"{known['after'][name]:.3f}",
        f"{known['diff']:+.3f} [{low:.3f}, {high:.3f}]",
        f"{known['greedy']['diff']:+.3f}",
        f"{found['seconds_total'] / 60:.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("families", nargs="*", default=FAMILIES)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    print("| family | measure | pictures | before | after | difference | greedy | minutes |")
    print("|---|---|---|---|---|---|---|---|")
    for family in args.families:
        for blank in (False, True):
            print(row(family, blank, args.seed), flush=True)


if __name__ == "__main__":
    main()
