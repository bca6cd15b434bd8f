"""Second stage: the language layers alone learn to look things up in a text.

Lists of letters with digits, words or coloured shapes, then questions about them, dozens a row:
what stands behind this letter, which letter stands before that thing. What was learned on words
holds for pictures: the vision tower makes what a cell shows and the word for it neighbours.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from encode import Encoder
from fast import Fast

ROWS, LENGTH = 64, 96
BF16 = True
REPEATING = 600
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
COLOURS = ("red", "green", "blue", "yellow", "purple", "white", "black", "orange")
SHAPES = ("circle", "square", "triangle", "cross", "ring")
THINGS = (*"0123456789", *COLOURS, *SHAPES, "menu", "home", "back", "next", "play", "stop")
FORMS = ("value", "key", "pair", "fits")


def row(rng: np.random.Generator, form: str) -> tuple[list[str], list[str], list[bool]]:
    """Words of the prompt, words of the answer, and which of these can be known."""
    if form == "fits":  # two described things and wishes: which has both?
        prompt, answer, known = [], [], []
        pairs = _pairs(rng, 4)
        for letter, (colour, shape) in zip("ABCD", pairs, strict=True):
            prompt += [letter, colour, shape]
        for i in rng.integers(4, size=6):
            answer += [*pairs[i], "ABCD"[i]]
            known += [False, False, True]
        return prompt, answer, known
    num = int(rng.integers(3, 9))
    letters = [LETTERS[i] for i in rng.permutation(26)[:num]]
    if form == "pair":
        num = 4
        letters = letters[:3] + [next(x for x in LETTERS if x not in letters[:3])]
        pairs = _pairs(rng, 4)
        prompt = [w for a, (c, s) in zip(letters, pairs, strict=True) for w in (a, c, s)]
        answer, known = [], []
        for i in rng.integers(4, size=7):
            answer += [letters[i], *pairs[i]]
            known += [False, True, True]
        return prompt, answer, known
    things = [THINGS[i] for i in rng.permutation(len(THINGS))[:num]]
    prompt = [w for pair in zip(letters, things, strict=True) for w in pair]
    answer, known = [], []
    for i in rng.integers(num, size=12):
        answer += [letters[i], things[i]] if form == "value" else [things[i], letters[i]]
        known += [False, True]
    return prompt, answer, known


def repeated(rng: np.random.Generator, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ids and labels [rows, 2 n]: words in any order, and the same once more."""
    num = int(rng.integers(8, 28))
    once = np.stack([words[rng.permutation(len(words))[:num]] for _ in range(ROWS)])
    ids = np.concatenate([once, once], 1)
    labels = np.full_like(ids, -100)
    labels[:, num + 1 :] = ids[:, num + 1 :]
    return ids, labels


def _pairs(rng: np.random.Generator, num: int) -> list[tuple[str, str]]:
    """Different pairs of two colours and two shapes, in any order."""
    a, b = rng.choice(COLOURS, 2, replace=False)
    c, d = rng.choice(SHAPES, 2, replace=False)
    pairs = [(str(x), str(y)) for x in (a, b) for y in (c, d)]
    return [pairs[i] for i in rng.permutation(4)[:num]]


def batch(encoder: Encoder, seed: int, step: int) -> dict[str, Any]:
    rng = np.random.default_rng([seed, 4, step])
    word = encoder.tokenizer.convert_tokens_to_ids
    if step <= REPEATING:
        ids, labels = repeated(rng, np.array(word([*LETTERS, *THINGS])))
        return {
            "ids": torch.from_numpy(ids), "labels": torch.from_numpy(labels),
            "forms": torch.zeros(ids.shape, dtype=torch.long),
            "positions": torch.arange(ids.shape[1]).expand(3, ROWS, -1), "pixels": None, "is_clip": False,
        }
    space = encoder._ids(" ")
    ids = np.full((ROWS, LENGTH), encoder.pad)
    labels = np.full((ROWS, LENGTH), -100)
    forms = np.full((ROWS, LENGTH), -1)
    for r in range(ROWS):
        form = int(rng.integers(len(FORMS)))
        prompt, answer, known = row(rng, FORMS[form])
        spaced = rng.random() < 0.5
        head: list[int] = list(encoder.head)
        for w in prompt:
            head += [word(w), *(space if spaced else [])]
        head += encoder.tail
        for w, sure in zip(answer, known, strict=True):
            if len(head) + 2 > LENGTH:
                break
            if sure:
                labels[r, len(head)] = word(w)
                forms[r, len(head)] = form
            head.append(word(w))
        ids[r, : len(head)] = head
    positions = np.tile(np.arange(LENGTH), (3, ROWS, 1))
    return {
        "ids": torch.from_numpy(ids),
        "labels": torch.from_numpy(labels),
        "forms": torch.from_numpy(forms),
        "positions": torch.from_numpy(positions),
        "pixels": None,
        "is_clip": False,
    }


def learn_words(
    model: Any, *, steps: int, seed: int, compiled: bool, lr: float = 2e-3, threads: int = 2
) -> None:
    encoder, fast = Encoder(), Fast(model, compiled=compiled)
    parameters = [p for n, p in model.named_parameters() if "visual" not in n and "embed" not in n and "lm_head" not in n]
    optimizer = torch.optim.AdamW(parameters, lr=lr, betas=(0.9, 0.98), weight_decay=0, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, lr, total_steps=steps, pct_start=0.05, cycle_momentum=False
    )
    began = time.monotonic()
    for step in range(1, steps + 1):
        b = batch(encoder, seed, step)
        with torch.autocast("cpu", torch.bfloat16, enabled=BF16):
            keep = b["labels"][:, 1:] != -100
            keep[:, :] = (b["labels"][:, 1:] != -100)
            states = fast.hidden(b)[:, :-1][keep]
            scores = model.lm_head(states).float()
            goal = b["labels"][:, 1:][keep]
            loss = F.cross_entropy(scores, goal)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        if step % 25 == 0:
            right = scores.argmax(-1) == goal
            form = b["forms"][:, 1:][keep]
            told = " ".join(
                f"{name} {float(right[form == i].float().mean()):.2f}" for i, name in enumerate(FORMS)
            )
            rate = (time.monotonic() - began) / step
            print(f"words {step}/{steps} loss {float(loss):.3f} {told} {rate:.2f} s/step", flush=True)


if __name__ == "__main__":
    import sys
    sys.path[:0] = [sys.argv[1], sys.argv[1] + "/recipes/tiny_vlm"]
    from safetensors.torch import load_file, save_file
    from train import SIZES
    from mmrl.policy.tiny import tiny_model, tiny_processor
    torch.set_num_threads(int(sys.argv[3]))
    import mmrl.policy.tiny as tiny
    theta, fresh, std, forms = float(sys.argv[6]), sys.argv[7] == "fresh", float(sys.argv[8]), sys.argv[9]
    tiny.ROPE_THETA = theta; tiny.INIT_STD = std
    if forms != "all": FORMS = tuple(forms.split(","))
    processor = tiny_processor()
    model = tiny_model(processor.tokenizer, seed=0, **SIZES["tiny"]).train()
    if not fresh: model.load_state_dict(load_file(sys.argv[2]), strict=False)
    learn_words(model, steps=int(sys.argv[4]), seed=0, compiled=False, lr=float(sys.argv[5]))
    save_file({n: p.detach() for n, p in model.named_parameters()}, "/tmp/words.safetensors")
