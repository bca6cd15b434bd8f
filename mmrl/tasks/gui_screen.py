"""Whole screens: the world `gui_screen` asks for the place of one element, by its text or icon.

Half of the screens are invented windows, half are drawn from real layouts; the answer is a point in
the coordinates in which the model writes (`coord_space` abs_original: pixels of the picture).
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

from mmrl.errors import ConfigError, nearest
from mmrl.parse.boxes import CoordSpace
from mmrl.rewards.builtin import HIT
from mmrl.rewards.points import hit_reward, near_reward
from mmrl.tasks.base import SMALL_FORMAT, Task, register_task
from mmrl.tasks.drawing import generator, png_bytes
from mmrl.tasks.grounding_rows import gold_place
from mmrl.tasks.gui_draw import askable, draw_layout, pixels
from mmrl.tasks.gui_layout import drawn_layout, real_layouts
from mmrl.tasks.gui_rows import GUI
from mmrl.tasks.overlay_kinds import PLACE_MARKS
from mmrl.types import MediaRef, Sample

LAYOUTS = ("drawn", "real")


def gui_screen_world(
    index: int,
    /,
    *,
    split: str,
    seed: int,
    layouts: Sequence[str] = LAYOUTS,
    size: Sequence[int] = (280, 504),
    marks: bool = False,
) -> Sample:
    """A screen of `size` (width, height) pixels, of one of `layouts`, and one element to click."""
    unknown = [name for name in layouts if name not in LAYOUTS]
    if unknown or not layouts:
        name = unknown[0] if unknown else ""
        raise ConfigError(f'gui_screen: no layouts "{name}".{nearest(name, LAYOUTS)}')
    rng = generator("gui_screen", split, seed, index)
    source = layouts[int(rng.integers(len(layouts)))]
    width, height = size[0], size[1]
    while True:
        if source == "real":
            known = real_layouts(split)
            layout = known[rng.integers(len(known))]
        else:
            layout = drawn_layout(rng, split)
        named = askable(layout, width, height)
        if named:
            break
    name, wanted = named[rng.integers(len(named))]
    picture = draw_layout(rng, layout, width, height)
    meta: dict[str, Any] = {
        "coord_space": CoordSpace.ABS_ORIGINAL.value,
        "name": name,
        "element": wanted.kind,
        "layout": source,
        "split": split,
    }
    if marks:
        meta["marks"] = [
            mark
            for text, element in named
            for box in [pixels(element, width, height)]
            for x, y in [((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)]
            for mark in (
                ["element", element.kind.lower(), x, y],
                ["text", text.split('"')[1], x, y],
            )
        ]
    return Sample(
        id=f"gui_screen-{split}-{seed}-{index}",
        task="gui_screen",
        question=f"Click the {name}.",
        media=(MediaRef(kind="image", data=png_bytes(picture)),),
        target=pixels(wanted, width, height),
        meta=meta,
    )


GUI_SCREEN = register_task(
    Task(
        name="gui_screen",
        template=GUI.template,
        rewards=(HIT, SMALL_FORMAT),
        score=hit_reward,
        score_name="hit",
        gold=gold_place,
        overlay=PLACE_MARKS,
        world=gui_screen_world,
        measures=MappingProxyType({"near": near_reward}),
        levels=MappingProxyType({name: MappingProxyType({"layouts": (name,)}) for name in LAYOUTS}),
    )
)
