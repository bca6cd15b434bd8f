"""First stage: the vision tower alone learns what stands in each cell of a picture.

Every visual token (28 x 28 pixels) is asked for the thing that covers most of it and for that
thing's colour; its scores are dot products with the word embeddings of the language model. So
what a cell shows and the word for it become neighbours, and naming a thing or finding a named one
is for the language layers a comparison instead of a table to learn by heart. Sixteen answers a
picture make this a matter of minutes; through answers in words alone it took hours.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from demos import Demo, patches
from fast import see

from mmrl.tasks.collage import EASY, Difficulty, draw_collage
from mmrl.tasks.drawing import COLOURS, LETTERS, SHAPES, Drawn, generator

NAMES = (".", *"0123456789", *LETTERS, *SHAPES)
"""Words for a cell, each one token; the first is that of an empty cell."""
CELL = 28
ROWS = 64
"""Pictures a step."""


def cell_labels(things: list[Drawn], cells: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Class and colour of every cell [cells * cells]; -100 for the colour where there is none.

    A cell belongs to the thing whose box covers most of it, if that is at least a tenth of it.
    """
    names = np.zeros((cells, cells), np.int64)
    colours = np.full((cells, cells), -100, np.int64)
    best = np.full((cells, cells), 0.1 * CELL * CELL)
    edges = np.arange(cells) * CELL
    for thing in things:
        x1, y1, x2, y2 = thing.box
        wide = np.clip(np.minimum(x2, edges + CELL) - np.maximum(x1, edges), 0, None)
        high = np.clip(np.minimum(y2, edges + CELL) - np.maximum(y1, edges), 0, None)
        cover = high[:, None] * wide[None, :]
        mine = cover > best
        best[mine] = cover[mine]
        names[mine] = NAMES.index(thing.name)
        colours[mine] = list(COLOURS).index(thing.colour) if thing.colour else -100
    return names.ravel(), colours.ravel()


class Cells(torch.utils.data.Dataset):
    """Item `step`: 8-bit patches [rows, 64, 588], classes and colours [rows, 16]."""

    def __init__(self, *, seed: int, steps: int) -> None:
        self.seed, self.steps = seed, steps

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        pixels, names, colours = [], [], []
        for row in range(ROWS):
            rng = generator("warmup", "train", self.seed, step * ROWS + row)
            kind = ("digit", "letter", "shape")[rng.choice(3, p=[0.6, 0.2, 0.2])]
            names_of = {"digit": "0123456789", "letter": LETTERS, "shape": SHAPES}[kind]
            wanted = names_of[int(rng.integers(len(names_of)))]
            hard = rng.random() < min(1.0, 2 * step / self.steps)
            picture, thing, others = draw_collage(
                rng, "train", kind, wanted, Difficulty() if hard else EASY
            )
            demo = Demo(pixels=picture[None], is_clip=False, question="", completion="")
            pixels.append(patches(demo))
            name, colour = cell_labels([thing, *others])
            names.append(name)
            colours.append(colour)
        return (
            torch.from_numpy(np.concatenate(pixels)),
            torch.from_numpy(np.stack(names)),
            torch.from_numpy(np.stack(colours)),
        )


def warm_up(model: Any, tokenizer: Any, *, steps: int, seed: int, lr: float = 1.5e-3) -> None:
    """Trains the vision tower and the word embeddings in place; prints losses, rate and ETA."""
    visual, words = model.model.visual, model.model.language_model.embed_tokens.weight
    name_ids = torch.tensor(tokenizer.convert_tokens_to_ids(list(NAMES)))
    colour_ids = torch.tensor(tokenizer.convert_tokens_to_ids(list(COLOURS)))
    torch.manual_seed(seed)
    place = torch.nn.Linear(words.shape[1], 8)  # row and column of the cell; thrown away
    rows = torch.arange(16).div(4, rounding_mode="floor").repeat(ROWS)
    cols = torch.arange(16).remainder(4).repeat(ROWS)
    parameters = [*visual.parameters(), *place.parameters(), words]
    optimizer = torch.optim.AdamW(parameters, lr=lr, betas=(0.9, 0.98), weight_decay=0, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, lr, total_steps=steps, pct_start=0.1, cycle_momentum=False
    )
    loader = torch.utils.data.DataLoader(
        Cells(seed=seed, steps=steps),
        batch_size=None,
        num_workers=1,
        prefetch_factor=8,
        multiprocessing_context="fork",
    )
    began = time.monotonic()
    for step, (pixels, names, colours) in enumerate(loader, 1):
        seen = see(visual, pixels).flatten(0, 1)
        name_scores = seen @ words[name_ids].T
        name_loss = F.cross_entropy(name_scores, names.flatten())
        colour_loss = F.cross_entropy(seen @ words[colour_ids].T, colours.flatten())
        row_scores, col_scores = place(seen).split(4, dim=1)
        place_loss = F.cross_entropy(row_scores, rows) + F.cross_entropy(col_scores, cols)
        (name_loss + 0.3 * colour_loss + 0.3 * place_loss).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        if step % 25 == 0:
            filled = names.flatten() > 0
            right = name_scores.argmax(-1) == names.flatten()
            rate = (time.monotonic() - began) / step
            print(
                f"warm-up {step}/{steps} name {float(name_loss):.3f} "
                f"right {float(right[filled].float().mean()):.3f} "
                f"colour {float(colour_loss):.3f} place {float(place_loss):.3f} {rate:.2f} s/step "
                f"ETA {rate * (steps - step) / 60:.1f} min",
                flush=True,
            )
