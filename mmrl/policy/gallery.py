"""What a policy sees of media: the budgets of its family over the media store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from mmrl.media.plan import ImagePlan, MediaBudget, VideoPlan, smart_resize
from mmrl.media.store import MediaStore
from mmrl.types import MediaRef

_PIXEL_OPTIONS = ("min_pixels", "max_pixels", "total_pixels", "resized_height", "resized_width")


class Gallery:
    """Plans and pixels of media under a policy's budgets.

    `factor` is the side of a visual token in pixels, 1 for families that cut pictures themselves:
    those get the picture at its own size unless a bound on its pixels is set.
    """

    def __init__(
        self,
        *,
        factor: int,
        frame_factor: int,
        image_budget: MediaBudget,
        video_budget: MediaBudget,
        store: MediaStore | None = None,
    ) -> None:
        self.factor = factor
        self.frame_factor = frame_factor
        self.image_budget = image_budget
        self.video_budget = video_budget
        self.store = store if store is not None else MediaStore()

    def plan_image(self, ref: MediaRef) -> ImagePlan:
        if self.factor == 1:
            size = self.store.header(ref).size
            fitted = _bounded(size, self.image_budget.override(ref.options))
            return ImagePlan(original_size=size, processed_size=fitted)
        plan = self.store.plan(ref, self.image_budget, self.factor)
        assert isinstance(plan, ImagePlan)
        return plan

    def plan_video(self, ref: MediaRef, num_frames: int | None = None) -> VideoPlan:
        """The plan of a clip; `num_frames` replaces the budget's own number or rate."""
        budget = self.video_budget
        if num_frames is not None:
            kept = {k: v for k, v in ref.options.items() if k != "fps"}
            ref = replace(ref, options={**kept, "num_frames": num_frames})
        if self.factor == 1:
            width, height = _bounded(self.store.header(ref).size, budget.override(ref.options))
            area = width * height
            budget = replace(budget, min_pixels=area, max_pixels=area, total_pixels=float("inf"))
            kept = {k: v for k, v in ref.options.items() if k not in _PIXEL_OPTIONS}
            ref = replace(ref, options=kept)
        plan = self.store.plan(ref, budget, self.factor, self.frame_factor)
        assert isinstance(plan, VideoPlan)
        return plan

    def pixels(self, ref: MediaRef, plan: ImagePlan | VideoPlan) -> np.ndarray:
        """A writable copy of [height, width, 3] or [F, height, width, 3] as planned, uint8."""
        if isinstance(plan, VideoPlan):
            return self.store.video(ref, plan).copy()
        return self.store.image(ref, plan).copy()


def merged(base: MediaBudget, changes: Mapping[str, Any]) -> MediaBudget:
    """The budget with every change that is not None."""
    return base.override({k: v for k, v in changes.items() if v is not None})


def _bounded(size: tuple[int, int], budget: MediaBudget) -> tuple[int, int]:
    """The size shrunk or enlarged into the budget's pixels, where it names any."""
    width, height = size
    if budget.resized_height is not None and budget.resized_width is not None:
        return budget.resized_width, budget.resized_height
    if budget.min_pixels is None and budget.max_pixels is None:
        return size
    low = budget.min_pixels or 1
    high = budget.max_pixels or max(width * height, low)
    tall, wide = smart_resize(height, width, 1, low, high)
    return wide, tall
