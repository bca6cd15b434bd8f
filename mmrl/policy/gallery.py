"""Opens media for prompts: headers and plans for everyone, pixels through the media store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from mmrl.media.header import read_video_header
from mmrl.media.image import open_image, read_image_header, resize_image
from mmrl.media.plan import ImagePlan, MediaBudget, VideoPlan, plan_image, plan_video, smart_resize
from mmrl.media.video import read_frames
from mmrl.torchvision_shim import ensure_torchvision
from mmrl.types import MediaRef


class Gallery:
    """Plans and pixels of media under a policy's budgets.

    `factor` is the side of a visual token in pixels, 1 for families that cut pictures themselves:
    those get the picture at its own size unless a budget of pixels is set.
    """

    def __init__(
        self,
        *,
        factor: int,
        frame_factor: int,
        image_budget: MediaBudget,
        video_budget: MediaBudget,
        store: Any = None,
    ) -> None:
        self.factor = factor
        self.frame_factor = frame_factor
        self.image_budget = image_budget
        self.video_budget = video_budget
        self.store = store

    def budget_of(self, ref: MediaRef) -> MediaBudget:
        base = self.image_budget if ref.kind == "image" else self.video_budget
        return base.override(ref.options)

    def plan_image(self, ref: MediaRef) -> ImagePlan:
        header, budget = read_image_header(ref), self.budget_of(ref)
        if self.factor > 1:
            return plan_image(header, budget, self.factor)
        return ImagePlan(original_size=header.size, processed_size=_bounded(header.size, budget))

    def plan_video(self, ref: MediaRef, num_frames: int | None = None) -> VideoPlan:
        """The plan of a clip; `num_frames` replaces the budget's own number or rate."""
        header, budget = read_video_header(ref), self.budget_of(ref)
        if num_frames is not None:
            budget = replace(budget, num_frames=num_frames)
        if self.factor == 1:
            width, height = _bounded(header.size, budget)
            area = width * height
            budget = replace(
                budget, min_pixels=area, max_pixels=area, total_pixels=float("inf")
            )
        return plan_video(header, budget, self.factor, self.frame_factor, span=ref.span)

    def image(self, ref: MediaRef, plan: ImagePlan) -> np.ndarray:
        """Pixels [height, width, 3] as planned, uint8."""
        return np.array(resize_image(open_image(ref), plan.processed_size))

    def video(self, ref: MediaRef, plan: VideoPlan) -> np.ndarray:
        """Frames [F, height, width, 3] as planned, uint8.

        Without a store the clip is decoded in this process, with no time limit.
        """
        if self.store is not None:
            return self.store.video(ref, plan).frames
        return _resized(read_frames(ref, plan).frames, plan.processed_size)


def _resized(frames: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Frames at (width, height), bicubic with antialiasing on bytes, as qwen_vl_utils resizes."""
    width, height = size
    if frames.shape[1:3] == (height, width):
        return frames
    ensure_torchvision()
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.functional import resize

    frames_FCHW = torch.from_numpy(frames).permute(0, 3, 1, 2)
    small = resize(frames_FCHW, [height, width], InterpolationMode.BICUBIC, antialias=True)
    return small.permute(0, 2, 3, 1).contiguous().numpy()


def _bounded(size: tuple[int, int], budget: MediaBudget) -> tuple[int, int]:
    """The size shrunk or enlarged into the budget's pixels, where it names any."""
    if budget.min_pixels is None and budget.max_pixels is None:
        return size
    width, height = size
    area = width * height
    low, high = budget.min_pixels or 1, budget.max_pixels or max(area, budget.min_pixels or 1)
    tall, wide = smart_resize(height, width, 1, low, high)
    return wide, tall


def merged(base: MediaBudget, changes: Mapping[str, Any]) -> MediaBudget:
    """The budget with every change that is not None."""
    return base.override({k: v for k, v in changes.items() if v is not None})
