"""Draws the demonstrations that the tiny VLM learns from, as finished batches.

A batch is a function of (seed, step) alone, so a resumed run sees the same data. Every batch
holds pictures of one size only and rows padded on the right; nothing is read but the UCI digits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mmrl.policy.tiny import tiny_tokenizer
from mmrl.tasks import choice, grounding, temporal, text
from mmrl.tasks.clips import Pace
from mmrl.tasks.collage import EASY, Difficulty

IMAGE_ROWS, CLIP_ROWS, PAIR_ROWS, TEXT_ROWS = 48, 6, 8, 8
"""Rows a step: one picture, one clip, and (every fourth step) two pictures and text alone."""
CLIP_FRAMES = tuple(np.linspace(0, 39, 16).round().astype(int).tolist())
"""Frames of a 40-frame, 10 fps clip that are seen at 4 fps, as `qwen_vl_utils` picks them."""


@dataclass(frozen=True, kw_only=True)
class Demo:
    """One demonstration: pictures [n, H, W, 3] or frames [F, H, W, 3], prompt text, completion."""

    pixels: np.ndarray | None
    is_clip: bool
    question: str
    completion: str


def jittered(rng: np.random.Generator, box: grounding.IntBox, share: float) -> grounding.IntBox:
    """The box with each edge moved by a normal error of `share` of its side.

    Labels of a hurried annotator: they leave reinforcement learning something to sharpen.
    """
    w, h = box[2] - box[0], box[3] - box[1]
    moved = np.array(box) + rng.normal(0, share, 4) * np.array([w, h, w, h])
    x1, y1, x2, y2 = (int(v) for v in np.clip(np.rint(moved), 0, 99))
    return (x1, y1, max(x1 + 1, x2), max(y1 + 1, y2))


def jittered_span(rng: np.random.Generator, span: temporal.Span, share: float) -> temporal.Span:
    """The span with both ends moved by a normal error of `share` of its length, in tenths."""
    length = span[1] - span[0]
    start, end = np.clip(np.array(span) + rng.normal(0, share, 2) * length, 0.0, 4.0)
    start, end = round(float(start), 1), round(float(end), 1)
    return start, max(round(start + 0.1, 1), end)


def ramp(step: int, start: int, end: int) -> float:
    """0 up to `start`, 1 from `end` on, straight between."""
    return max(0.0, min(1.0, (step - start) / (end - start)))


def image_demo(rng: np.random.Generator, index: int, seed: int, step: int, jitter: float) -> Demo:
    """One picture with a choice or a box question; one thing alone at first, others later."""
    if rng.random() < 0.3 - 0.15 * ramp(step, 400, 800):
        picture, question, answer, name = choice.draw_choice(index, "train", seed, difficulty=EASY)
        return Demo(
            pixels=picture[None],
            is_clip=False,
            question=question,
            completion=choice.choice_answer(name, answer),
        )
    part = rng.random()
    kind = "digit" if part < 0.74 else "shape" if part < 0.87 else "letter"
    difficulty = EASY
    if rng.random() < 0.9 * ramp(step, 150, 500):
        difficulty = Difficulty(others=(1, 2)) if rng.random() < 0.15 else Difficulty()
    picture, name, box = grounding.draw_box_question(kind, index, "train", seed, difficulty)
    return Demo(
        pixels=picture[None],
        is_clip=False,
        question=grounding.box_question(name),
        completion=grounding.box_answer(jittered(rng, box, jitter)),
    )


def clip_demo(rng: np.random.Generator, index: int, seed: int, step: int, jitter: float) -> Demo:
    """A clip with a digit to time; alone at first, among others later."""
    hard = rng.random() < ramp(step, 200, 1000)
    pace = Pace() if hard else Pace(others=(0, 0))
    clip, digit, span = temporal.draw_span_question(
        index, "train", seed, pace=pace, frames=CLIP_FRAMES
    )
    return Demo(
        pixels=clip,
        is_clip=True,
        question=temporal.span_question(digit),
        completion=temporal.span_answer(jittered_span(rng, span, jitter)),
    )


def pair_demo(index: int, seed: int) -> Demo:
    pictures, question, answer, name = choice.draw_which(index, "train", seed, count=2)
    return Demo(
        pixels=np.stack(pictures),
        is_clip=False,
        question=question,
        completion=choice.choice_answer(name, answer),
    )


def text_demo(index: int, seed: int) -> Demo:
    question, reason, answer = text.draw_text(index, "train", seed)
    return Demo(
        pixels=None, is_clip=False, question=question, completion=text.text_answer(reason, answer)
    )


class Batches(torch.utils.data.Dataset):
    """Item `step`: the list of sub-batches (dicts of tensors) of that step."""

    def __init__(self, *, seed: int, steps: int, jitter: float) -> None:
        self.seed, self.steps, self.jitter = seed, steps, jitter
        self.encoder = Encoder()

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> list[dict[str, Any]]:
        rng = np.random.default_rng([self.seed, step])
        base = step * 1000
        images = [
            image_demo(rng, base + i, self.seed, step, self.jitter) for i in range(IMAGE_ROWS)
        ]
        clips = [clip_demo(rng, base + i, self.seed, step, self.jitter) for i in range(CLIP_ROWS)]
        parts = [images, clips]
        if step % 4 == 0:
            parts.append([pair_demo(base + i, self.seed) for i in range(PAIR_ROWS)])
            parts.append([text_demo(base + i, self.seed) for i in range(TEXT_ROWS)])
        return [self.encoder(part, step) for part in parts]


class Encoder:
    """Demonstrations of one form to tensors: ids, labels, M-RoPE positions, 8-bit patches."""

    def __init__(self, tokenizer: Any | None = None) -> None:
        self.tokenizer = tokenizer or tiny_tokenizer()
        one = self.tokenizer.convert_tokens_to_ids
        self.image_id, self.video_id = one("<|image_pad|>"), one("<|video_pad|>")
        self.vision = (one("<|vision_start|>"), one("<|vision_end|>"))
        self.end, self.pad = one("<|im_end|>"), one("<|endoftext|>")
        self.digits = set(self._ids("0123456789"))
        self.point, self.close = self._ids(".")[0], one("</think>")
        self.head = self._ids("<|im_start|>user\n")
        self.tail = self._ids("<|im_end|>\n<|im_start|>assistant\n")

    def weights(self, answer: list[int], step: int) -> np.ndarray:
        """Loss weight of each answer token: names and coarse places first, fine digits late.

        A digit right behind a digit or a point is fine; the digits and the first word of the
        reasoning are coarse. Predicting digits that nothing tells yet is noise.
        """
        coarse = 5.0 - 3.0 * ramp(step, 600, 1100)
        middle = 0.3 + 0.7 * ramp(step, 300, 700)
        fine = 0.1 + 0.9 * ramp(step, 500, 1000)
        weight = np.ones(len(answer), np.float32)
        thinking = True
        for t, token in enumerate(answer):
            thinking = thinking and token != self.close
            if thinking and (token in self.digits or t == 1):
                weight[t] = coarse
            elif token in self.digits:
                behind = answer[t - 1] in self.digits | {self.point}
                weight[t] = fine if behind else middle
        return weight

    def _ids(self, words: str) -> list[int]:
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
        rest = self._ids(demo.question) + self.tail
        places.append(np.tile(np.arange(len(rest)) + here, (3, 1)))
        return ids + rest, np.concatenate(places, axis=1)

    def __call__(self, demos: list[Demo], step: int = 0) -> dict[str, Any]:
        rows = []
        for demo in demos:
            ids, places = self.prompt(demo)
            answer = [*self._ids(demo.completion), self.end]
            more = np.arange(1, len(answer) + 1) + places[0, -1]
            rows.append((ids, answer, np.concatenate([places, np.tile(more, (3, 1))], axis=1)))
        longest = max(len(p) + len(a) for p, a, _ in rows)
        ids = np.full((len(rows), longest), self.pad)
        labels = np.full((len(rows), longest), -100)
        weights = np.zeros((len(rows), longest), np.float32)
        positions = np.zeros((3, len(rows), longest), np.int64)
        for r, (prompt, answer, places) in enumerate(rows):
            end = len(prompt) + len(answer)
            ids[r, : len(prompt)], ids[r, len(prompt) : end] = prompt, answer
            labels[r, len(prompt) : end] = answer
            weights[r, len(prompt) : end] = self.weights(answer, step)
            positions[:, r, :end] = places
        return {
            "ids": torch.from_numpy(ids),
            "labels": torch.from_numpy(labels),
            "weights": torch.from_numpy(weights),
            "positions": torch.from_numpy(positions),
            "pixels": self.pixels(demos),
            "is_clip": demos[0].is_clip,
        }

    def pixels(self, demos: list[Demo]) -> torch.Tensor | None:
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
