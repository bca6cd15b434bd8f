"""Spans: when is it? The drawn worlds `digit_span`, `shape_span`, and `temporal` for rows.

The worlds ask "when is the 7 seen" or "when is the red circle seen" of a clip of four seconds and
are answered in seconds with one decimal. The clip has 10 frames a second and is seen at 4, so the
last tenth is a guess.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmrl.media.write import write_video
from mmrl.rewards.builtin import SPAN_IOU
from mmrl.rewards.gold import gold_span
from mmrl.rewards.iou import span_iou_reward
from mmrl.tasks.base import SMALL_FORMAT, Task, register_task
from mmrl.tasks.clips import FPS, SIDE, Pace, draw_clip, draw_shape_clip
from mmrl.tasks.drawing import COLOURS, SHAPES, generator, number_text
from mmrl.tasks.overlay_kinds import SPAN_MARKS
from mmrl.types import MediaRef, Rollout, Sample

Span = tuple[float, float]
SEEN_FPS = 4.0
"""Frames a second that the model is shown."""


def span_question(digit: int) -> str:
    """The question about that digit."""
    return f"when is the {digit} seen"


def span_answer(span: Span) -> str:
    """The completion that answers with `span`: whole seconds first, then the exact ones."""
    start, end = (number_text(v) if round(v, 1) != v else f"{v:.1f}" for v in span)
    coarse = f"sec {int(span[0])} to {int(span[1])}"
    return f"<think>{coarse}</think><answer>[{start},{end}]</answer>"


def draw_span_question(
    index: int, split: str, seed: int, *, pace: Pace, frames: Sequence[int] | None = None
) -> tuple[NDArray[np.uint8], int, Span]:
    """Frames [F, 56, 56, 3], the digit that is asked for, and when it is seen."""
    rng = generator("digit_span", split, seed, index)
    digit = int(rng.integers(10))
    clip, span = draw_clip(rng, split, digit, pace, frames)
    return clip, digit, span


def digit_span_world(
    index: int,
    /,
    *,
    split: str,
    seed: int,
    others: Sequence[int] = Pace.others,
    visible_s: Sequence[float] = Pace.visible_s,
    side: Sequence[int] = Pace.side,
    contrast: Sequence[float] = Pace.contrast,
) -> Sample:
    """A clip and its question; the options are those of `Pace`."""
    pace = Pace(
        others=(others[0], others[1]),
        visible_s=(visible_s[0], visible_s[1]),
        side=(side[0], side[1]),
        contrast=(contrast[0], contrast[1]),
    )
    clip, digit, span = draw_span_question(index, split, seed, pace=pace)
    seen = {"fps": SEEN_FPS, "min_pixels": SIDE * SIDE, "max_pixels": SIDE * SIDE}
    return Sample(
        id=f"digit_span-{split}-{seed}-{index}",
        task="digit_span",
        question=span_question(digit),
        media=(MediaRef(kind="video", data=write_video(clip, fps=FPS), options=seen),),
        target=span,
        meta={"digit": digit, "split": split},
    )


def shape_span_world(
    index: int,
    /,
    *,
    split: str,
    seed: int,
    others: Sequence[int] = Pace.others,
    visible_s: Sequence[float] = Pace.visible_s,
    side: Sequence[int] = Pace.side,
) -> Sample:
    """A clip of moving shapes and when one of them is seen, named by its colour and shape."""
    pace = Pace(
        others=(others[0], others[1]),
        visible_s=(visible_s[0], visible_s[1]),
        side=(side[0], side[1]),
    )
    rng = generator("shape_span", split, seed, index)
    colours = [c for c in COLOURS if c != "white"]
    shape, colour = SHAPES[rng.integers(len(SHAPES))], colours[rng.integers(len(colours))]
    clip, span = draw_shape_clip(rng, shape, colour, pace)
    seen = {"fps": SEEN_FPS, "min_pixels": SIDE * SIDE, "max_pixels": SIDE * SIDE}
    return Sample(
        id=f"shape_span-{split}-{seed}-{index}",
        task="shape_span",
        question=f"when is the {colour} {shape} seen",
        media=(MediaRef(kind="video", data=write_video(clip, fps=FPS), options=seen),),
        target=span,
        meta={"name": shape, "colour": colour, "split": split},
    )


def overlap_of_half(rollout: Rollout, sample: Sample) -> float:
    """1 where the overlap in time is at least 0.5, else 0 (R1@0.5)."""
    return float(span_iou_reward(rollout, sample) >= 0.5)


def overlap_of_most(rollout: Rollout, sample: Sample) -> float:
    """1 where the overlap in time is at least 0.7, else 0 (R1@0.7)."""
    return float(span_iou_reward(rollout, sample) >= 0.7)


def _span_task(name: str, template: str, world: Any = None) -> Task:
    return Task(
        name=name,
        template=template,
        rewards=(SPAN_IOU, SMALL_FORMAT),
        score=span_iou_reward,
        score_name="iou",
        gold=lambda sample: span_answer(gold_span(sample)),
        threshold=0.5,
        measures=MappingProxyType({"r1_50": overlap_of_half, "r1_70": overlap_of_most}),
        world=world,
        overlay=SPAN_MARKS,
    )


DIGIT_SPAN = register_task(_span_task("digit_span", "{question}", digit_span_world))
SHAPE_SPAN = register_task(_span_task("shape_span", "{question}", shape_span_world))
TEMPORAL = register_task(
    _span_task(
        "temporal",
        "{question}\nThink first inside <think> </think>, then give the start and the end in "
        "seconds inside <answer> </answer> as [start, end].",
    )
)
