"""Spans: when is it? The drawn world `digit_span`, and `temporal` for the rows of a data set.

The world asks "when is the 7 seen" of a clip of four seconds and is answered in seconds with one
decimal. The clip has 10 frames a second and is seen at 4, so the last tenth is a guess.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmrl.media.write import write_video
from mmrl.rewards.builtin import SPAN_IOU
from mmrl.rewards.gold import gold_span
from mmrl.rewards.iou import span_iou_reward
from mmrl.tasks.base import SMALL_FORMAT, Task, register_task
from mmrl.tasks.clips import FPS, SIDE, Pace, draw_clip
from mmrl.tasks.drawing import generator, number_text
from mmrl.types import MediaRef, Sample

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


def _span_task(name: str, template: str, world: Any = None) -> Task:
    return Task(
        name=name,
        template=template,
        rewards=(SPAN_IOU, SMALL_FORMAT),
        score=span_iou_reward,
        score_name="iou",
        gold=lambda sample: span_answer(gold_span(sample)),
        threshold=0.5,
        world=world,
    )


DIGIT_SPAN = register_task(_span_task("digit_span", "{question}", digit_span_world))
TEMPORAL = register_task(
    _span_task(
        "temporal",
        "{question}\nThink first inside <think> </think>, then give the start and the end in "
        "seconds inside <answer> </answer> as [start, end].",
    )
)
