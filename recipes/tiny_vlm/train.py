"""Trains the tiny VLM from scratch on drawn demonstrations: `python recipes/tiny_vlm/train.py`.

First the vision tower alone (`eyes.py`), then the language layers alone (`words.py`), then the
whole model on questions and answers (`worlds.py`). The same command continues an interrupted run
from its last state. Weights are written to `<out>/step-NNNNN` every `--save-every` steps and to
`--to` at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

from encode import Encoder  # noqa: E402
from eyes import open_eyes, place_loss, rms  # noqa: E402
from fast import Fast  # noqa: E402
from words import LOOKUPS, REPEATS, Lists, learn_words  # noqa: E402
from worlds import KINDS, draw, kinds_of  # noqa: E402

from mmrl.policy.tiny import save_tiny, tiny_model, tiny_processor  # noqa: E402

EYES, STEPS, STOP = 800, 3600, 2500
"""The run stops before its learning rate is down: the model looks, but is unsure."""
PLACE = 0.15
"""Weight of the loss that asks every cell for its row and column, as `eyes.py` did. Without it the
tower forgets where its cells lie (a linear probe of the row: 0.90 after the eyes, 0.65 after 1,000
steps), and no named thing is found."""
SIZES: dict[str, dict[str, int]] = {
    "tiny": {"hidden": 128, "layers": 4, "text_layers": 6},
    "small": {"hidden": 256, "layers": 6, "text_layers": 8},
}
"""Millions of parameters: about 2.5 (shipped) and 13 (for those with a GPU)."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "tiny_vlm")
    parser.add_argument("--to", type=Path, default=None, help="folder for the finished model")
    parser.add_argument("--size", choices=SIZES, default="tiny")
    parser.add_argument("--eye-steps", type=int, default=EYES, help="vision tower alone")
    parser.add_argument("--steps", type=int, default=STEPS, help="length of the schedule")
    parser.add_argument("--stop", type=int, default=STOP, help="stop after this step")
    parser.add_argument("--lr", type=float, default=1e-3, help="peak of the one-cycle schedule")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--save-every", type=int, default=250)
    parser.add_argument("--eager", action="store_true", help="without torch.compile (no compiler)")
    return parser.parse_args()


class Batches(torch.utils.data.Dataset):
    """Item `step`: the batches of that step by kind; a function of (seed, step) alone."""

    def __init__(self, *, seed: int, steps: int) -> None:
        self.seed, self.steps = seed, steps
        self.encoder, self.lists = Encoder(), Lists(seed=seed, rows=24)

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> dict[str, dict[str, Any]]:
        rng = np.random.default_rng([self.seed, 2, step])
        parts = {}
        for name in kinds_of(step):
            if name == "lists":
                parts[name] = self.lists(REPEATS + LOOKUPS + step)
                continue
            kind = KINDS[name]
            demos = [
                draw(rng, kind, step * 1000 + row, seed=self.seed, marks=False)
                for row in range(kind.rows)
            ]
            parts[name] = self.encoder(demos, kind.length)
        return parts


def save_state(path: Path, model: Any, optimizer: torch.optim.Optimizer, step: int) -> None:
    """Weights and both Adam moments in one safetensors file, written aside and renamed."""
    tensors = {f"model.{n}": p.detach() for n, p in model.named_parameters()}
    for n, p in model.named_parameters():
        for key in ("exp_avg", "exp_avg_sq", "step"):
            tensors[f"{key}.{n}"] = optimizer.state[p][key]
    aside = path.with_suffix(".tmp")
    save_file(tensors, aside, metadata={"step": str(step)})
    os.replace(aside, path)


def load_state(path: Path, model: Any, optimizer: torch.optim.Optimizer) -> int:
    """Puts a saved state back; returns the number of steps done."""
    tensors = load_file(path)
    for n, p in model.named_parameters():
        p.data.copy_(tensors[f"model.{n}"])
        optimizer.state[p] = {
            key: tensors[f"{key}.{n}"].clone() for key in ("exp_avg", "exp_avg_sq", "step")
        }
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return int(file.metadata()["step"])


def main() -> None:
    args = arguments()
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    processor = tiny_processor()
    model = tiny_model(processor.tokenizer, seed=args.seed, **SIZES[args.size]).train()
    state, eyes = args.out / "state.safetensors", args.out / "eyes.safetensors"
    if eyes.exists():
        model.load_state_dict(load_file(eyes), strict=False)
    else:
        open_eyes(
            model,
            processor.tokenizer,
            steps=args.eye_steps,
            seed=args.seed,
            compiled=not args.eager,
        )
        save_file({n: p.detach() for n, p in model.named_parameters()}, eyes)
    words = args.out / "words.safetensors"
    if words.exists():
        model.load_state_dict(load_file(words), strict=False)
    else:
        learn_words(model, seed=args.seed)
        save_file({n: p.detach() for n, p in model.named_parameters()}, words)
    learn(args, model, processor, state)
    if args.to is not None:
        save_tiny(args.to, model.eval(), processor)
        print(f"saved {args.to}")


def learn(args: argparse.Namespace, model: Any, processor: Any, state: Path) -> None:
    """The last stage, from its last saved state if there is one."""
    places = torch.nn.Linear(model.config.text_config.hidden_size, 12)
    both = torch.nn.ModuleDict({"vlm": model, "places": places})
    decay = [p for p in both.parameters() if p.ndim > 1]
    rest = [p for p in both.parameters() if p.ndim <= 1]
    groups = [{"params": decay, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=args.lr, betas=(0.9, 0.98), fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, args.lr, total_steps=args.steps, pct_start=0.05, cycle_momentum=False
    )
    start = load_state(state, both, optimizer) if state.exists() else 0
    for _ in range(start):
        schedule.step()
    fast = Fast(model, compiled=not args.eager)
    loader = torch.utils.data.DataLoader(
        Batches(seed=args.seed, steps=args.steps),
        batch_size=None,
        sampler=range(start, args.stop),
        num_workers=1,
        prefetch_factor=8,
        multiprocessing_context="fork",
    )
    began, log = time.monotonic(), (args.out / "log.jsonl").open("a")
    spent: dict[str, list[float]] = defaultdict(list)
    for done, parts in enumerate(loader, start + 1):
        total = sum(float(p["weights"].sum()) for p in parts.values())
        for name, part in parts.items():
            with torch.autocast("cpu", torch.bfloat16):
                seen = None if part["pixels"] is None else fast.see(part["pixels"])
                loss, rows = fast.loss(part, seen)
            loss = loss / total
            if seen is not None and not part["is_clip"]:
                place = PLACE * place_loss(places(rms(seen.flatten(0, 1))), len(seen))
                spent["place"].append(float(place.detach()) / PLACE)
                loss = loss + place
            loss.backward()
            spent[name].append(float(rows.mean()))
        norm = torch.nn.utils.clip_grad_norm_(both.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        if done % 50 == 0:
            rate = (time.monotonic() - began) / (done - start)
            means = {name: sum(x) / len(x) for name, x in spent.items() if x}
            log.write(json.dumps({"step": done, **means, "norm": float(norm)}) + "\n")
            log.flush()
            shown = " ".join(f"{name} {mean:.3f}" for name, mean in means.items())
            eta = rate * (args.stop - done) / 60
            print(
                f"step {done}/{args.stop} {shown} norm {float(norm):.2f} {rate:.2f} s/step "
                f"ETA {eta:.1f} min",
                flush=True,
            )
            for values in spent.values():
                values.clear()
        if done % args.save_every == 0 or done == args.stop:
            save_state(state, both, optimizer, done)
            save_tiny(args.out / f"step-{done:05d}", model, processor)


if __name__ == "__main__":
    main()
