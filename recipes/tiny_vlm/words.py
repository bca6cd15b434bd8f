"""Second stage: the language layers alone learn to look things up in a text.

First lists said twice: the second time every word can be copied from behind its first place, which
is how attention that looks things up begins. Then lists of letters with what they stand for, and
questions about them, a dozen a row: what stands behind this letter, which letter stands before that
thing, which one has both wishes. The embeddings stay as the eyes left them: there a word and a cell
that shows it are neighbours, so that what is learned on words holds for pictures. Through questions
about pictures alone, looking up was not learned in 1,500 steps; here it takes minutes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from encode import Encoder
from eyes import NAMED
from fast import Fast

ROWS, LENGTH = 64, 96
REPEATS, LOOKUPS = 900, 300
"""Steps on lists said twice, and on questions about lists."""
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
COLOURS, SHAPES = NAMED["colour"], NAMED["shape"]
THINGS = (*"0123456789", *COLOURS, *SHAPES, "menu", "home", "back", "next", "play", "stop")
FORMS = ("value", "key", "pair", "fits", "place")
"""A letter's thing; a thing's letter; a letter's colour and shape; the letter that has both; a
line's letter. Answers are written as the worlds write theirs, with the tags between a thing and its
letter: what stands in between has to be learned too."""
TURN = "</think><answer>"


@dataclass(frozen=True, kw_only=True)
class Lookup:
    """Pieces of a prompt and of the answers about it; `known[i]`: answer piece i can be known."""

    prompt: tuple[str, ...]
    answer: tuple[str, ...]
    known: tuple[bool, ...]


def lookup(rng: np.random.Generator, form: str) -> Lookup:
    """A list and questions of one of the `FORMS` about it."""
    if form in ("pair", "fits"):
        return _lookup_pair(rng, form)
    num = int(rng.integers(3, 9))
    letters = [LETTERS[i] for i in rng.permutation(26)[:num]]
    if form == "key":
        letters = list(LETTERS[:num])
    things = [THINGS[i] for i in rng.permutation(len(THINGS))[:num]]
    mark, end = (": ", ". ") if form == "place" else (" ", " ") if rng.random() < 0.7 else ("", "")
    pieces: list[tuple[str, bool]] = []
    for i in rng.integers(num, size=9):
        letter, thing = letters[i], things[i]
        if form == "value":
            pieces += [(letter, False), (mark, False), (thing, True), (end, False)]
        elif form == "key":
            pieces += [(thing, False), (TURN, False), (letter, True), ("</answer>", False)]
        else:
            pieces += [(thing, False), (": ", False), (letter, True), ("; ", False)]
    prompt = [w for a, b in zip(letters, things, strict=True) for w in (a, mark, b, end)]
    return _lookup(prompt, pieces)


def _lookup_pair(rng: np.random.Generator, form: str) -> Lookup:
    """Four letters with the four pairs of two colours and two shapes."""
    letters = "ABCD" if form == "fits" else [LETTERS[i] for i in rng.permutation(26)[:4]]
    colours, shapes = rng.choice(COLOURS, 2, replace=False), rng.choice(SHAPES, 2, replace=False)
    every = [(str(c), str(s)) for c in colours for s in shapes]
    pairs = [every[i] for i in rng.permutation(4)]
    mark, end = (" ", " ") if rng.random() < 0.5 else (": ", ". ")
    pieces: list[tuple[str, bool]] = []
    for i in rng.integers(4, size=6):
        colour, shape = pairs[i]
        if form == "fits":
            pieces += [(colour, False), (" ", False), (shape, False), (TURN, False)]
            pieces += [(letters[i], True), ("</answer>", False)]
        else:
            pieces += [(letters[i], False), (": ", False), (colour, True), (" ", False)]
            pieces += [(shape, True), (". ", False)]
    prompt = [
        w for a, (c, s) in zip(letters, pairs, strict=True) for w in (a, mark, c, " ", s, end)
    ]
    return _lookup(prompt, pieces)


def _lookup(prompt: list[str], pieces: list[tuple[str, bool]]) -> Lookup:
    """Without the empty pieces."""
    kept = [(text, known) for text, known in pieces if text]
    return Lookup(
        prompt=tuple(w for w in prompt if w),
        answer=tuple(text for text, _ in kept),
        known=tuple(known for _, known in kept),
    )


def repeated(
    rng: np.random.Generator, words: np.ndarray, rows: int
) -> tuple[np.ndarray, np.ndarray]:
    """Ids and labels [rows, 2 n]: n of the words in any order, and the same once more."""
    num = int(rng.integers(8, 28))
    once = np.stack([words[rng.permutation(len(words))[:num]] for _ in range(rows)])
    ids = np.concatenate([once, once], 1)
    labels = np.full_like(ids, -100)
    labels[:, num + 1 :] = ids[:, num + 1 :]
    return ids, labels


class Lists:
    """`Lists(...)(step)`: the ids, labels [rows, tokens] and positions of a step's rows."""

    def __init__(self, *, seed: int, rows: int = ROWS) -> None:
        self.seed, self.rows, self.encoder = seed, rows, Encoder()

    def __call__(self, step: int) -> dict[str, Any]:
        rng = np.random.default_rng([self.seed, 4, step])
        if step <= REPEATS:
            words = self.encoder.tokenizer.convert_tokens_to_ids([*LETTERS, *THINGS])
            ids, labels = repeated(rng, np.array(words), self.rows)
        else:
            ids = np.full((self.rows, LENGTH), self.encoder.pad)
            labels = np.full((self.rows, LENGTH), -100)
            for r in range(self.rows):
                self._fill(ids[r], labels[r], lookup(rng, FORMS[rng.integers(len(FORMS))]))
        return {
            "ids": torch.from_numpy(ids),
            "labels": torch.from_numpy(labels),
            "weights": torch.from_numpy((labels != -100).astype(np.float32)),
            "positions": torch.arange(ids.shape[1]).expand(3, self.rows, -1),
            "pixels": None,
            "is_clip": False,
        }

    def _fill(self, ids: np.ndarray, labels: np.ndarray, said: Lookup) -> None:
        """Writes one lookup into a row, in the chat form."""
        pieces = self.encoder.ids
        row = [*self.encoder.head, *(i for w in said.prompt for i in pieces(w)), *self.encoder.tail]
        for text, known in zip(said.answer, said.known, strict=True):
            said_ids = pieces(text)
            if len(row) + len(said_ids) > LENGTH:
                break
            if known:
                labels[len(row)] = said_ids[0]
            row += said_ids
        ids[: len(row)] = row


def learn_words(model: Any, *, seed: int, lr: float = 1e-3) -> None:
    """Trains the language layers in place, not the embeddings; prints what share they look up."""
    lists, fast = Lists(seed=seed), Fast(model, compiled=False)
    inner = model.model.language_model
    parameters = [*inner.layers.parameters(), *inner.norm.parameters()]
    steps = REPEATS + LOOKUPS
    optimizer = torch.optim.AdamW(parameters, lr=lr, betas=(0.9, 0.98), weight_decay=0, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, lr, total_steps=steps, pct_start=0.05, cycle_momentum=False
    )
    began = time.monotonic()
    for step in range(1, steps + 1):
        batch = lists(step)
        labels = batch["labels"][:, 1:]
        keep = labels != -100
        with torch.autocast("cpu", torch.bfloat16):
            scores = model.lm_head(fast.hidden(batch)[:, :-1][keep]).float()
        loss = F.cross_entropy(scores, labels[keep])
        grads = torch.autograd.grad(loss, parameters)
        for parameter, grad in zip(parameters, grads, strict=True):
            parameter.grad = grad
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            right = float((scores.argmax(-1) == labels[keep]).float().mean())
            rate = (time.monotonic() - began) / step
            left = rate * (steps - step) / 60
            print(
                f"words {step}/{steps} loss {float(loss):.3f} right {right:.2f} "
                f"{rate:.2f} s/step ETA {left:.1f} min",
                flush=True,
            )
    optimizer.zero_grad(set_to_none=True)
