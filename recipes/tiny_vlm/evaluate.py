"""Measures a tiny VLM on held-out drawings: `python recipes/tiny_vlm/evaluate.py FOLDER`.

For each world: the measure of its task, greedy, as a mean of 4 samples at temperature 1, as the
best of 8, the share of well-formed completions, and the mean of 4 on blank pictures.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from mmrl.tasks.base import TASKS  # noqa: E402
from mmrl.train.run import evaluate  # noqa: E402

FAMILIES: dict[str, tuple[dict[str, Any], ...]] = {
    "route": (
        {"task": "transit", "options": {"questions": ["TorF1", "TorF2"]}},
        {"task": "transit", "options": {"questions": ["Counting1", "Counting2", "Counting3"]}},
        {"task": "transit", "options": {"questions": ["planning"]}},
    ),
    "chart": ({"task": "chart_brief"},),
    "grounding": (
        {"task": "digit_box"},
        {"task": "digit_box", "options": {"others": [1, 2]}},
        {"task": "letter_box"},
        {"task": "shape_box"},
        {"task": "many_box"},
        {"task": "shape_point"},
        {"task": "grounded_count"},
        {"task": "gui_point"},
        {"task": "gui_box"},
        {"task": "digit_span"},
    ),
    "choice": (
        {"task": "picture_choice"},
        {"task": "tinted_choice"},
        {"task": "which_picture"},
        {"task": "clip_order"},
        {"task": "clip_choices"},
    ),
    "preference": ({"task": "picture_pair"}, {"task": "answer_pair"}),
    "text": ({"task": "plain_text"},),
}


def easiest(entry: dict[str, Any]) -> dict[str, Any]:
    """The entry with the options of its world's first level."""
    level = next(iter(TASKS.get(entry["task"]).levels.values()))
    return {**entry, "options": {**level, **entry.get("options", {})}}


def label(entry: dict[str, Any]) -> str:
    """The task, and the options that the entry adds."""
    added = [
        ", ".join(v) if isinstance(v[0], str) else f"{k} {v[0]}-{v[1]}"
        for k, v in entry.get("options", {}).items()
    ]
    return entry["task"] + (f" ({'; '.join(added)})" if added else "")


def measure(
    model: str | Path, entry: dict[str, Any], *, limit: int, seed: int = 1
) -> dict[str, float]:
    """greedy, mean4, best8, format and blank of one entry over the first `limit` test samples."""
    name = TASKS.get(entry["task"]).score_name
    settings = {"rollout.max_new_tokens": 72, "eval.batch_prompts": 50, "media.workers": 0}
    seen, blind = (
        evaluate(
            model, [{**easiest(entry), "blank": hidden}], limit=limit, seed=seed, overrides=settings
        ).estimates
        for hidden in (False, True)
    )
    return {
        "greedy": seen[f"{name}_greedy"].mean,
        "mean4": seen[name].mean,
        "best8": seen[f"{name}_best8"].mean,
        "format": seen["format"].mean,
        "blank": blind[name].mean,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--limit", type=int, default=300)
    parser.add_argument("--only", nargs="*", help="tasks")
    args = parser.parse_args()
    print("| family | world | greedy | mean of 4 | best of 8 | format | blank picture |")
    print("|---|---|---|---|---|---|---|")
    for family, entries in FAMILIES.items():
        for entry in entries:
            if args.only and entry["task"] not in args.only:
                continue
            found = measure(args.model, entry, limit=args.limit)
            cells = " | ".join(f"{value:.3f}" for value in found.values())
            print(f"| {family} | {label(entry)} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
