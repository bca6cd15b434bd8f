"""Measures a tiny VLM on held-out drawings: `python recipes/tiny_vlm/evaluate.py FOLDER`.

For each task: greedy score, mean of 4 samples at temperature 1, best of 8, share of well-formed
completions, and the mean of 4 samples when every picture is blanked (does it look at all?).
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

from demos import CLIP_FRAMES, Demo, Encoder  # noqa: E402
from sampling import complete  # noqa: E402

from mmrl.parse.boxes import box_iou, parse_box  # noqa: E402
from mmrl.parse.completion import parse_completion  # noqa: E402
from mmrl.parse.spans import parse_span, span_iou  # noqa: E402
from mmrl.tasks import choice, grounding, temporal, text  # noqa: E402
from mmrl.tasks.clips import Pace  # noqa: E402
from mmrl.tasks.collage import Difficulty  # noqa: E402
from mmrl.types import Verdict  # noqa: E402

TASK_NAMES = (
    *("digit_box", "letter_box", "shape_box", "digit_span"),
    *("picture_choice", "which_picture", "plain_text"),
)


def problem(task: str, index: int, split: str, seed: int) -> tuple[Demo, Any]:
    """Pixels and question of one held-out sample (no completion), and its target."""
    if task.endswith("_box"):
        kind = task.removesuffix("_box")
        picture, name, target = grounding.draw_box_question(kind, index, split, seed, Difficulty())
        return _demo(picture[None], grounding.box_question(name)), target
    if task == "digit_span":
        clip, digit, span = temporal.draw_span_question(
            index, split, seed, pace=Pace(), frames=CLIP_FRAMES
        )
        return replace(_demo(clip, temporal.span_question(digit)), is_clip=True), span
    if task == "picture_choice":
        picture, question, letter, _ = choice.draw_choice(index, split, seed)
        return _demo(picture[None], question), letter
    if task == "which_picture":
        pictures, question, letter, _ = choice.draw_which(index, split, seed)
        return _demo(np.stack(pictures), question), letter
    question, _, answer = text.draw_text(index, split, seed)
    return _demo(None, question), answer


def _demo(pixels: np.ndarray | None, question: str) -> Demo:
    return Demo(pixels=pixels, is_clip=False, question=question, completion="")


def score(task: str, completion: str, target: Any) -> tuple[float, float]:
    """The task's measure and 1.0 where the tags are well formed."""
    parsed = parse_completion(completion)
    said = parsed.answer or ""
    formed = float(parsed.verdict is Verdict.OK)
    if task.endswith("_box"):
        box = parse_box(said)
        return (box_iou(box, target) if box else 0.0), formed
    if task == "digit_span":
        span = parse_span(said)
        return (span_iou(span, target) if span else 0.0), formed
    return float(said == target), formed


def measure(
    model: Any, task: str, *, count: int, split: str = "test", seed: int = 1, batch: int = 64
) -> dict[str, float]:
    """Means over the first `count` samples of the split."""
    encoder, generator = Encoder(), torch.Generator().manual_seed(seed)
    rows = []
    for start in range(0, count, batch):
        pairs = [problem(task, i, split, seed) for i in range(start, min(start + batch, count))]
        demos, targets = [p[0] for p in pairs], [p[1] for p in pairs]
        ask = {"num": 1, "temperature": 0.0, "generator": generator}
        greedy = _scores(model, encoder, task, demos, targets, **ask)
        sampled = _scores(
            model, encoder, task, demos, targets, **{**ask, "num": 8, "temperature": 1.0}
        )
        blank = [replace(d, pixels=None if d.pixels is None else d.pixels * 0 + 128) for d in demos]
        blind = _scores(
            model, encoder, task, blank, targets, **{**ask, "num": 4, "temperature": 1.0}
        )
        rows.append(
            np.stack(
                [
                    greedy[:, 0, 0],
                    sampled[:, :4, 0].mean(1),
                    sampled[:, :, 0].max(1),
                    sampled[:, :, 1].mean(1),
                    blind[:, :, 0].mean(1),
                ]
            )
        )
    means = np.concatenate(rows, axis=1).mean(1)
    return dict(zip(("greedy", "mean4", "best8", "format", "blank"), means.tolist(), strict=True))


def _scores(
    model: Any, encoder: Encoder, task: str, demos: list[Demo], targets: list[Any], **ask: Any
) -> np.ndarray:
    """Score and format [samples, completions, 2]."""
    drawn = complete(model, encoder, demos, **ask)
    decode = encoder.tokenizer.decode
    return np.array(
        [
            [score(task, decode(ids, skip_special_tokens=True), target) for ids in group]
            for group, target in zip(drawn, targets, strict=True)
        ]
    )


def load(folder: Path) -> Any:
    """The saved model in float32, ready to read."""
    from transformers import AutoModelForImageTextToText

    return AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=300, help="samples a task")
    parser.add_argument("--tasks", nargs="+", default=list(TASK_NAMES), choices=TASK_NAMES)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model = load(args.folder)
    print("| task | greedy | mean of 4 | best of 8 | format | blank picture |")
    print("|---|---|---|---|---|---|")
    for task in args.tasks:
        found = measure(model, task, count=args.count)
        print(f"| {task} | " + " | ".join(f"{v:.3f}" for v in found.values()) + " |", flush=True)


if __name__ == "__main__":
    main()
