"""Trains the tiny VLM from scratch on drawn demonstrations: `python recipes/tiny_vlm/train.py`.

First the vision tower alone (`warmup.py`), then the whole model on questions and answers
(`demos.py`). The same command continues an interrupted run from its last state. Weights are written
to `<out>/step-NNNNN` every `--save-every` steps and to `--to` at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

from demos import Batches  # noqa: E402
from fast import answer_loss  # noqa: E402
from warmup import warm_up  # noqa: E402

from mmrl.policy.tiny import save_tiny, tiny_model, tiny_processor  # noqa: E402

WARMUP, STEPS, STOP = 1500, 2000, 1000
"""The run stops half way down its learning rate on purpose: the model looks, but is unsure."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "tiny_vlm")
    parser.add_argument("--to", type=Path, default=None, help="folder for the finished model")
    parser.add_argument("--warmup-steps", type=int, default=WARMUP, help="vision tower alone")
    parser.add_argument("--steps", type=int, default=STEPS, help="length of the schedule")
    parser.add_argument("--stop", type=int, default=STOP, help="stop after this step")
    parser.add_argument("--lr", type=float, default=1e-3, help="peak of the one-cycle schedule")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jitter", type=float, default=0.08, help="label error, share of a side")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--save-every", type=int, default=250)
    return parser.parse_args()


def one_cycle(optimizer: torch.optim.Optimizer, lr: float, steps: int) -> Any:
    """Linear warm-up over 5 % of the steps, then a cosine to a hundredth of the peak."""
    return torch.optim.lr_scheduler.OneCycleLR(
        optimizer, lr, total_steps=steps, pct_start=0.05, cycle_momentum=False, final_div_factor=4
    )


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
    model = tiny_model(processor.tokenizer, seed=args.seed).train()
    decay = [p for p in model.parameters() if p.ndim > 1]
    rest = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decay, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=args.lr, betas=(0.9, 0.98), fused=True)
    schedule = one_cycle(optimizer, args.lr, args.steps)
    state, start = args.out / "state.safetensors", 0
    eyes = args.out / "warmup.safetensors"
    if eyes.exists():
        model.load_state_dict(load_file(eyes), strict=False)
    else:
        warm_up(model, processor.tokenizer, steps=args.warmup_steps, seed=args.seed)
        save_file({n: p.detach() for n, p in model.named_parameters()}, eyes)
    if state.exists():
        start = load_state(state, model, optimizer)
        for _ in range(start):
            schedule.step()
        print(f"continuing at step {start}")
    loader = torch.utils.data.DataLoader(
        Batches(seed=args.seed, steps=args.steps, jitter=args.jitter),
        batch_size=None,
        sampler=range(start, args.stop),
        num_workers=1,
        prefetch_factor=8,
        multiprocessing_context="fork",
    )
    began, log, seen = time.monotonic(), (args.out / "log.jsonl").open("a"), []
    for step, parts in enumerate(loader, start):
        total = sum(float(p["weights"].sum()) for p in parts)
        losses = []
        for part in parts:
            loss, mean = answer_loss(model, part)
            (loss / total).backward()
            losses.append(mean)
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        seen.append(losses[:2])
        done = step + 1
        if done % 25 == 0:
            rate = (time.monotonic() - began) / (done - start)
            image, clip = (sum(x) / len(seen) for x in zip(*seen, strict=True))
            eta = rate * (args.stop - done) / 60
            row = {"step": done, "image": image, "clip": clip, "norm": float(norm)}
            if len(losses) == 4:
                row |= {"pair": losses[2], "text": losses[3]}
            log.write(json.dumps(row) + "\n")
            log.flush()
            print(
                f"step {done}/{args.stop} image {image:.3f} clip {clip:.3f} "
                f"norm {norm:.2f} {rate:.2f} s/step ETA {eta:.1f} min",
                flush=True,
            )
            seen.clear()
        if done % args.save_every == 0 or done == args.stop:
            save_state(state, model, optimizer, done)
            save_tiny(args.out / f"step-{done:05d}", model, processor)
    if args.to is not None:
        save_tiny(args.to, model.eval(), processor)
        print(f"saved {args.to}")


if __name__ == "__main__":
    main()
