"""What the tiny VLM learns from: the worlds, how often each is drawn, and how long its rows are."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from mmrl.media.plan import MediaBudget, plan_video
from mmrl.media.video import read_frames, read_video_header
from mmrl.tasks.base import TASKS
from mmrl.types import MediaRef, Sample

CELL = 28
"""Side of a visual token, in pixels."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One world's place among the rows of its kind."""

    task: str
    share: float
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Beside those of the world's first, easiest level."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """Rows of one shape, which go through the model together."""

    rows: int
    """A step."""
    length: int
    """Tokens that each row is filled up to; longer rows are an error."""
    parts: tuple[Part, ...]
    different: int = 0
    """So many different samples, each drawn once and kept in memory; 0: always new ones. Clips are
    encoded and decoded for 30 ms each."""
    is_blind: bool = False
    """Leaves the pictures out and trains only what follows from the reasoning."""
    locates: int = 0
    """Asks where so many things of the picture are, in place of the world's own question."""


_GRID = (
    Part(task="transit", share=5),
    Part(task="gui_point", share=1.5),
    Part(task="gui_box", share=1),
    Part(task="chart_brief", share=4),
)
_PICTURE = (
    Part(task="digit_box", share=2),
    Part(task="digit_box", share=2, options={"others": (0, 2), "shapes": (0, 1)}),
    Part(task="letter_box", share=0.7),
    Part(task="shape_box", share=0.7),
    Part(task="many_box", share=1),
    Part(task="shape_point", share=0.7),
    Part(task="grounded_count", share=0.7),
    Part(task="picture_choice", share=2),
    Part(task="tinted_choice", share=1.5),
    Part(task="answer_pair", share=1.5),
)
KINDS: Mapping[str, Kind] = {
    "grid": Kind(rows=32, length=112, parts=_GRID),
    "picture": Kind(rows=32, length=88, parts=_PICTURE),
    "locate_grid": Kind(rows=32, length=128, parts=_GRID, locates=6),
    "locate_picture": Kind(rows=32, length=96, parts=_PICTURE, locates=4),
    "blind": Kind(
        rows=48,
        length=64,
        is_blind=True,
        parts=(
            Part(task="transit", share=4, options={"transfers": (0, 1)}),
            Part(task="picture_choice", share=1),
            Part(task="tinted_choice", share=2),
            Part(task="picture_pair", share=2),
            Part(task="answer_pair", share=1),
        ),
    ),
    "pair": Kind(
        rows=16,
        length=80,
        parts=(
            Part(task="picture_pair", share=3),
            Part(task="which_picture", share=1),
        ),
    ),
    "clip": Kind(
        rows=12,
        length=80,
        different=2400,
        parts=(
            Part(task="digit_span", share=2),
            Part(task="clip_order", share=2),
            Part(task="clip_choices", share=1),
        ),
    ),
    "text": Kind(rows=16, length=48, parts=(Part(task="plain_text", share=1),)),
}
LOCATING = 400
"""Steps that ask only where the things of a picture are; later every fourth does."""


def kinds_of(step: int) -> tuple[str, ...]:
    """The kinds that a step draws; "lists" are those of `words.py`, not to be forgotten."""
    if step < LOCATING or step % 4 == 0:
        return "locate_grid", "locate_picture", "lists"
    more = ("pair", "clip") if step % 4 == 1 else ("text",) if step % 8 == 3 else ("lists",)
    return "grid", "picture", "blind", *more


@dataclass(frozen=True, kw_only=True)
class Demo:
    """One demonstration: pictures [n, H, W, 3] or frames [F, H, W, 3], prompt text, completion."""

    pixels: np.ndarray | None
    is_clip: bool
    question: str
    completion: str
    is_blind: bool = False
    """Without its picture: the reasoning is given, only what follows from it is learned."""
    marks: tuple[tuple[str, str, float, float], ...] = ()
    """What stands where: kind, word, x and y in pixels."""


def draw(rng: np.random.Generator, kind: Kind, index: int, *, seed: int, marks: bool) -> Demo:
    """A training sample of one of the kind's parts, by their shares."""
    if kind.different:
        return _kept(kind.parts, int(rng.integers(kind.different)), seed)
    if kind.locates:
        return located(rng, _drawn(rng, kind.parts, index, seed, True), kind.locates)
    drawn = _drawn(rng, kind.parts, index, seed, marks)
    return replace(drawn, pixels=None, is_blind=True) if kind.is_blind else drawn


def located(rng: np.random.Generator, demo: Demo, most: int) -> Demo:
    """The picture with another question: where are these things, and of what colour?

    Every answer names a thing just before its place, so that looking a name up in the picture is
    one step and is asked for several times a row. Worlds ask for one thing, far from its name.
    """
    assert demo.pixels is not None
    side = demo.pixels.shape[1] // CELL
    things: dict[str, tuple[int, int]] = {}
    colours: dict[tuple[int, int], list[str]] = {}
    names = [word for kind, word, _, _ in demo.marks if kind in ("text", "shape")]
    for kind, word, x, y in demo.marks:
        cell = (min(side - 1, int(y // CELL)), min(side - 1, int(x // CELL)))
        if kind in ("text", "shape") and names.count(word) == 1:
            things[word] = cell
        if kind == "colour":
            colours.setdefault(cell, []).append(word)
    picked = [list(things)[i] for i in rng.permutation(len(things))[:most]]
    told = [
        " ".join([f"{name} row {things[name][0] + 1} col {things[name][1] + 1}", *own])
        for name in picked
        for own in [sorted(set(colours.get(things[name], [])))]
    ]
    completion = f"<think>{', '.join(told)}</think><answer>{len(told)}</answer>"
    return replace(demo, question=f"picture: {' '.join(picked)}", completion=completion)


@cache
def _kept(parts: tuple[Part, ...], index: int, seed: int) -> Demo:
    return _drawn(np.random.default_rng([seed, 3, index]), parts, index, seed, False)


def _drawn(
    rng: np.random.Generator, parts: tuple[Part, ...], index: int, seed: int, marks: bool
) -> Demo:
    shares = np.array([part.share for part in parts])
    part = parts[rng.choice(len(shares), p=shares / shares.sum())]
    task = TASKS.get(part.task)
    assert task.world is not None
    options = {**next(iter(task.levels.values())), **part.options}
    if marks:
        options["marks"] = True
    return demo_of(task.world(index, split="train", seed=seed, **options))


def demo_of(sample: Sample) -> Demo:
    """The prompt, the pixels and the reference answer of a sample, as its task gives them."""
    task = TASKS.get(sample.task)
    (message,) = task.messages(sample)
    clips = [m for m in sample.media if m.kind == "video"]
    pixels = None
    if clips:
        pixels = _frames(clips[0])
    elif sample.media:
        pixels = np.stack([_picture(m) for m in sample.media])
    return Demo(
        pixels=pixels,
        is_clip=bool(clips),
        question=message["content"][-1]["text"],
        completion=task.gold(sample),
        marks=tuple((k, w, x, y) for k, w, x, y in sample.meta.get("marks", ())),
    )


def _picture(ref: MediaRef) -> np.ndarray:
    assert ref.data is not None
    return np.asarray(Image.open(io.BytesIO(ref.data)).convert("RGB"))


def _frames(ref: MediaRef) -> np.ndarray:
    header = read_video_header(ref)
    return read_frames(ref, plan_video(header, MediaBudget(**ref.options)), header=header).frames
