"""First stage: the vision tower alone learns what stands in each cell of a picture.

Every visual token (28 x 28 pixels) is asked what has its middle there: which letters, digits,
words, shapes and colours, which lines pass, what number a bar reaches, and where in the cell it
lies. Scores of what has a word are cosines with the word embeddings of the language model, so that
a cell points where the words for what it shows point, and naming a thing or finding a named one is
for the language layers the comparison that they make between words. (A learned linear map in
between, instead of the cosine, left them strangers: cells 60 times as long as words, and a named
letter not to be found in 100 steps.) Dozens of answers a picture make this a matter of minutes.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from encode import patches
from fast import Fast
from torch import Tensor, nn
from worlds import CELL, KINDS, draw

from mmrl.tasks.gui_icons import WORDS as UI_WORDS

ROWS = 48
"""Pictures of each of the two sizes a step."""
NAMED = {
    "text": (*"0123456789", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ", *UI_WORDS),
    "colour": ("red", "green", "blue", "yellow", "purple", "white", "black", "orange"),
    "shape": ("circle", "square", "triangle", "cross", "ring"),
    "line": ("red", "green", "blue", "yellow", "purple", "black", "orange"),
    "value": tuple("0123456789"),
}
"""Kinds of marks and the words (each one token) that a cell is asked about; others are left out."""
PLACED = ("text", "shape", "value")
"""Kinds whose place inside the cell is asked for."""
SPOKEN = ("text", "colour", "shape")
"""Kinds that are scored by the cosine with their word; the others by a linear map."""
RARE = 12.0
"""Weight of a mark that is there against one that is not: most cells are empty."""


class Questions(nn.Module):
    """What turns a visual token into scores of the marks; thrown away after this stage."""

    def __init__(self, tokenizer: Any, width: int) -> None:
        super().__init__()
        for kind, words in NAMED.items():
            ids = tokenizer.convert_tokens_to_ids(list(words))
            if None in ids or tokenizer.unk_token_id in ids:
                raise ValueError(f"not every word of {kind} is one token")
            self.register_buffer(f"ids_{kind}", torch.tensor(ids))
        self.score = nn.ModuleDict(
            {k: nn.Linear(width, len(w)) for k, w in NAMED.items() if k not in SPOKEN}
        )
        self.sharpness = nn.Parameter(torch.full((len(SPOKEN),), 3.0))
        self.level = nn.Parameter(torch.full((len(SPOKEN),), -5.0))
        self.place = nn.Linear(width, 2 + 6 + 6)

    def forward(self, seen: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """Scores [cells, all words of all kinds] and places [cells, 14]."""
        seen = rms(seen)
        cosine = F.normalize(seen, dim=1) @ F.normalize(words, dim=1).T
        scores = []
        for kind in NAMED:
            if kind in SPOKEN:
                k = SPOKEN.index(kind)
                ids = getattr(self, f"ids_{kind}")
                scores.append(cosine[:, ids] * self.sharpness[k].exp() + self.level[k])
            else:
                scores.append(self.score[kind](seen))
        return torch.cat(scores, 1), self.place(seen)


COLUMN = {
    (kind, word): i
    for i, (kind, word) in enumerate((k, w) for k, words in NAMED.items() for w in words)
}


def labels(marks: tuple[tuple[str, str, float, float], ...], side: int) -> tuple[Any, Any]:
    """Marks of a picture of `side` cells: which stand where [cells, words] and where in the cell.

    Offsets [cells, 2] run from 0 to 1; NaN where a cell has nothing placed.
    """
    there = np.zeros((side * side, len(COLUMN)), np.float32)
    offset = np.full((side * side, 2), np.nan, np.float32)
    for kind, word, x, y in marks:
        column = COLUMN.get((kind, str(word)))
        col, row = (min(side - 1, max(0, int(v // CELL))) for v in (x, y))
        if column is None:
            continue
        there[row * side + col, column] = 1.0
        if kind in PLACED:
            offset[row * side + col] = x / CELL - col, y / CELL - row
    return there, offset


class Pictures(torch.utils.data.Dataset):
    """Item `step`: for both sizes 8-bit patches [rows, patches, 588], marks and offsets."""

    def __init__(self, *, seed: int, steps: int) -> None:
        self.seed, self.steps = seed, steps

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> list[tuple[Tensor, Tensor, Tensor]]:
        rng = np.random.default_rng([self.seed, 1, step])
        sizes = []
        for name in ("grid", "picture"):
            demos = [
                draw(rng, KINDS[name], step * ROWS + row, seed=self.seed + 1, marks=True)
                for row in range(ROWS)
            ]
            found = [labels(d.marks, d.pixels.shape[1] // CELL) for d in demos]  # type: ignore[union-attr]
            sizes.append(
                (
                    torch.from_numpy(np.concatenate([patches(d) for d in demos])),
                    torch.from_numpy(np.stack([f[0] for f in found])),
                    torch.from_numpy(np.stack([f[1] for f in found])),
                )
            )
        return sizes


def rms(seen: Tensor) -> Tensor:
    """Visual tokens as the language layers read them."""
    return F.rms_norm(seen, seen.shape[-1:])


def place_loss(scores: Tensor, grids: int) -> Tensor:
    """Cross-entropy in nats of every cell's row and column; scores [grids * cells, 6 + 6]."""
    side = round((len(scores) // grids) ** 0.5)
    cell = torch.arange(side * side).repeat(grids)
    return F.cross_entropy(scores[:, :6], cell // side) + F.cross_entropy(
        scores[:, 6:], cell % side
    )


def eye_loss(fast: Fast, questions: Questions, part: Any, words: Tensor) -> tuple[Tensor, Any]:
    """The loss of one size, and the share of present marks that score above a half."""
    pixels, there, offset = part
    seen = fast.see(pixels).flatten(0, 1)
    scores, places = questions(seen, words)
    there, offset = there.flatten(0, 1), offset.flatten(0, 1)
    weight = 1.0 + (RARE - 1.0) * there
    marks = (F.binary_cross_entropy_with_logits(scores, there, reduction="none") * weight).sum(1)
    placed = ~offset[:, 0].isnan()
    inside = F.smooth_l1_loss(places[placed, :2], offset[placed], beta=0.1)
    where = place_loss(places[:, 2:], len(pixels))
    with torch.no_grad():
        present = there > 0
        hit = float((scores[present] > 0).float().mean())
        false = float((scores[~present] > 0).float().mean())
    return marks.mean() + inside + 0.2 * where, (float(marks.mean().detach()), hit, false)


def open_eyes(
    model: Any, tokenizer: Any, *, steps: int, seed: int, compiled: bool, lr: float = 1.5e-3
) -> None:
    """Trains the vision tower and the word embeddings in place; prints losses, rate and ETA."""
    torch.manual_seed(seed)
    fast = Fast(model, compiled=compiled)
    words = model.model.language_model.embed_tokens.weight
    questions = Questions(tokenizer, words.shape[1])
    parameters = [*model.model.visual.parameters(), *questions.parameters(), words]
    optimizer = torch.optim.AdamW(parameters, lr=lr, betas=(0.9, 0.98), weight_decay=0, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, lr, total_steps=steps, pct_start=0.1, cycle_momentum=False
    )
    loader = torch.utils.data.DataLoader(
        Pictures(seed=seed, steps=steps),
        batch_size=None,
        num_workers=1,
        prefetch_factor=8,
        multiprocessing_context="fork",
    )
    began = time.monotonic()
    for step, sizes in enumerate(loader, 1):
        shown = []
        for part in sizes:
            with torch.autocast("cpu", torch.bfloat16):
                loss, told = eye_loss(fast, questions, part, words)
            loss.backward()
            shown.append(told)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        if step % 25 == 0:
            rate = (time.monotonic() - began) / step
            both = "; ".join(
                f"{name} loss {loss:.2f} seen {hit:.3f} imagined {false:.4f}"
                for name, (loss, hit, false) in zip(("grid", "picture"), shown, strict=True)
            )
            left = rate * (steps - step) / 60
            print(f"eyes {step}/{steps} {both} {rate:.2f} s/step ETA {left:.1f} min", flush=True)
