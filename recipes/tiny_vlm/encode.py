"""Demonstrations to tensors: ids, labels, M-RoPE positions, loss weights and 8-bit patches."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from worlds import Demo

from mmrl.policy.tiny import tiny_tokenizer

THINK, FIRST_DIGIT, NEXT_DIGIT, VERDICT = 2.0, 0.7, 0.3, 5.0
"""Loss weight of a token of the reasoning, of the first digit of a number in the answer, of those
behind it, and of an answer of at most three tokens (a letter, yes, a count): names, coarse places
and verdicts are a hundredth of the loss otherwise."""


class Encoder:
    """Demonstrations of one kind to a batch of rows, filled up on the right."""

    def __init__(self, tokenizer: Any | None = None) -> None:
        self.tokenizer = tokenizer or tiny_tokenizer()
        one = self.tokenizer.convert_tokens_to_ids
        self.image_id, self.video_id = one("<|image_pad|>"), one("<|video_pad|>")
        self.vision = (one("<|vision_start|>"), one("<|vision_end|>"))
        self.end, self.pad = one("<|im_end|>"), one("<|endoftext|>")
        self.digits = set(self.ids("0123456789"))
        self.point, self.close = self.ids(".")[0], one("</think>")
        self.head = self.ids("<|im_start|>user\n")
        self.tail = self.ids("<|im_end|>\n<|im_start|>assistant\n")

    def weights(self, demo: Demo, answer: list[int]) -> np.ndarray:
        """Loss weight of each token of a demonstration's completion, the end token included."""
        weight = np.ones(len(answer), np.float32)
        close = answer.index(self.close) if self.close in answer else 0
        weight[:close] = 0.0 if demo.is_blind else THINK
        said = range(close + 2, len(answer) - 2)  # between the tags, the end token behind them
        if close and len(said) <= 3:
            weight[said.start : said.stop] = VERDICT
            return weight
        for t in range(close, len(answer)):
            if close and answer[t] in self.digits:
                behind = answer[t - 1] in self.digits | {self.point}
                weight[t] = NEXT_DIGIT if behind else FIRST_DIGIT
        return weight

    def ids(self, words: str) -> list[int]:
        return self.tokenizer(words).input_ids

    def prompt(self, demo: Demo) -> tuple[list[int], np.ndarray]:
        """Token ids and M-RoPE positions [3, length] of a demonstration's prompt."""
        ids = list(self.head)
        places = [np.tile(np.arange(len(ids)), (3, 1))]
        here = len(ids)
        if demo.pixels is not None:
            side = demo.pixels.shape[1] // 28
            grids = [len(demo.pixels) // 2] if demo.is_clip else [1] * len(demo.pixels)
            for depth in grids:
                t, y, x = np.meshgrid(range(depth), range(side), range(side), indexing="ij")
                inside = np.stack([t * 2, y, x]).reshape(3, -1)
                count = inside.shape[1]
                ids += [self.vision[0]] + [self.video_id if demo.is_clip else self.image_id] * count
                ids.append(self.vision[1])
                places += [np.full((3, 1), here), inside + here + 1]
                here += 1 + side
                places.append(np.full((3, 1), here))
                here += 1
        rest = self.ids(demo.question) + self.tail
        places.append(np.tile(np.arange(len(rest)) + here, (3, 1)))
        return ids + rest, np.concatenate(places, axis=1)

    def __call__(self, demos: list[Demo], length: int | None = None) -> dict[str, Any]:
        rows = []
        for demo in demos:
            ids, places = self.prompt(demo)
            answer = [*self.ids(demo.completion), self.end]
            more = np.arange(1, len(answer) + 1) + places.max()  # as sampling counts on
            rows.append((ids, answer, np.concatenate([places, np.tile(more, (3, 1))], axis=1)))
        longest = max(len(p) + len(a) for p, a, _ in rows)
        if length is not None and longest > length:
            raise ValueError(f"a row of {longest} tokens does not fit {length}")
        longest = length or longest
        ids = np.full((len(rows), longest), self.pad)
        labels = np.full((len(rows), longest), -100)
        weights = np.zeros((len(rows), longest), np.float32)
        positions = np.zeros((3, len(rows), longest), np.int64)
        for r, (demo, (prompt, answer, places)) in enumerate(zip(demos, rows, strict=True)):
            end = len(prompt) + len(answer)
            ids[r, : len(prompt)], ids[r, len(prompt) : end] = prompt, answer
            labels[r, len(prompt) : end] = answer
            weights[r, len(prompt) : end] = self.weights(demo, answer)
            positions[:, r, :end] = places
        return {
            "ids": torch.from_numpy(ids),
            "labels": torch.from_numpy(labels),
            "weights": torch.from_numpy(weights),
            "positions": torch.from_numpy(positions),
            "pixels": pixels_of(demos),
            "is_clip": demos[0].is_clip,
        }


def pixels_of(demos: list[Demo]) -> torch.Tensor | None:
    """The 8-bit patches of all demonstrations, None for text alone."""
    if demos[0].pixels is None:
        return None
    return torch.from_numpy(np.concatenate([patches(d) for d in demos]))


def patches(demo: Demo) -> np.ndarray:
    """8-bit patches in the order of the Qwen processors: [grids, patches of one grid, 3*T*14*14].

    T is 1 for pictures (both frames of a grid are the same picture) and 2 for clips.
    """
    assert demo.pixels is not None
    depth = 2 if demo.is_clip else 1
    count, side = len(demo.pixels) // depth, demo.pixels.shape[1]
    half = side // 28
    split = demo.pixels.reshape(count, depth, half, 2, 14, half, 2, 14, 3)
    ordered = split.transpose(0, 2, 5, 3, 6, 8, 1, 4, 7)
    return np.ascontiguousarray(ordered).reshape(count, half * half * 4, 3 * depth * 196)
