"""The media table of a prompt, and how the Qwen families read and embed it.

A prompt's vision is a ragged table with one entry a medium, in reading order: nothing is guessed
from concatenated tensors. A `Reader` writes entries (layout, tensors) and turns them into features;
features of a prompt are computed once a batch and shared, with gradient, by all rows that continue
it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Literal, Protocol

import numpy as np
import torch

from mmrl.media.plan import FRAME_TOKENS, MediaBudget

Kind = Literal["image", "video"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Medium:
    """One picture or clip as the model takes it; `num_tokens` are its placeholder tokens."""

    kind: Kind
    num_tokens: int
    tensors: Mapping[str, torch.Tensor]


@dataclass(frozen=True, kw_only=True, eq=False)
class Vision:
    """What `Prompt.vision` holds: its media in reading order, and positions [3, P] under M-RoPE."""

    media: tuple[Medium, ...] = ()
    positions: torch.Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How one medium stands in the prompt: `text` replaces the template's placeholder."""

    num_tokens: int
    text: str


@dataclass(frozen=True, kw_only=True)
class Frames:
    """What a layout needs to know of a clip, from its header and the plan.

    `size` is (width, height) as processed, `seconds` the time of every frame, `sampled_fps` the
    frames taken a second of the span read, `duration` the seconds of the span read.
    """

    size: tuple[int, int]
    seconds: tuple[float, ...]
    sampled_fps: float
    duration: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Features:
    """Embedded medium [tokens, hidden]; `deep` are further inputs of early layers (Qwen3-VL)."""

    flat: torch.Tensor
    deep: tuple[torch.Tensor, ...] = ()


class Reader(Protocol):
    """A family's own way with media; `alone` says that a picture is its message's only one."""

    def image_layout(self, size: tuple[int, int], alone: bool) -> Layout: ...

    def video_layout(self, frames: Frames) -> Layout: ...

    def image_tensors(self, pixels: np.ndarray, alone: bool) -> dict[str, torch.Tensor]: ...

    def video_tensors(self, pixels: np.ndarray, frames: Frames) -> dict[str, torch.Tensor]: ...

    def features(self, core: Any, media: Sequence[Medium]) -> list[Features]: ...

    def encoder_outputs(
        self, features: Sequence[tuple[Medium, Features]]
    ) -> dict[str, SimpleNamespace]: ...

    def positions(self, core: Any, ids: torch.Tensor, media: Sequence[Medium]) -> Any: ...

    def count(self, kind: Kind, tensors: Mapping[str, torch.Tensor], alone: bool) -> int:
        """Visual tokens that these tensors give."""

    def budgets(self) -> tuple[MediaBudget, MediaBudget]:
        """The checkpoint's own budgets of pictures and of clips."""


class QwenReader:
    """Qwen2-VL, Qwen2.5-VL and Qwen3-VL: pictures of any size inside a pixel budget.

    The grid (frames / temporal patch, height / patch, width / patch) is the whole truth about a
    medium; every merge x merge block of patches is one token.
    """

    def __init__(self, processor: Any, *, timestamps: bool = False, seconds: bool = False) -> None:
        self.processor = processor
        self.timestamps = timestamps
        self.seconds = seconds
        images = processor.image_processor
        self.patch, self.merge = images.patch_size, images.merge_size
        self.temporal = processor.video_processor.temporal_patch_size

    def image_layout(self, size: tuple[int, int], alone: bool) -> Layout:
        count = self._frame_tokens(size)
        return Layout(num_tokens=count, text=self.processor.image_token * count)

    def video_layout(self, frames: Frames) -> Layout:
        """One run of placeholders; under Qwen3-VL one a frame pair, each behind its time."""
        pairs = -(-len(frames.seconds) // self.temporal)
        each = self._frame_tokens(frames.size)
        token = self.processor.video_token
        if not self.timestamps:
            return Layout(num_tokens=pairs * each, text=token * (pairs * each))
        times = list(frames.seconds)
        times += times[-1:] * (pairs * self.temporal - len(times))
        start, end = self.processor.vision_start_token, self.processor.vision_end_token
        parts = []
        for first in range(0, len(times), self.temporal):
            middle = (times[first] + times[first + self.temporal - 1]) / 2
            parts.append(f"<{middle:.1f} seconds>{start}{token * each}{end}")
        return Layout(num_tokens=pairs * each, text="".join(parts))

    def image_tensors(self, pixels: np.ndarray, alone: bool) -> dict[str, torch.Tensor]:
        out = self.processor.image_processor(
            images=[pixels],
            do_resize=False,
            input_data_format="channels_last",
            return_tensors="pt",
        )
        return {"pixels": out["pixel_values"], "grid": out["image_grid_thw"]}

    def video_tensors(self, pixels: np.ndarray, frames: Frames) -> dict[str, torch.Tensor]:
        out = self.processor.video_processor(
            videos=[torch.from_numpy(pixels).permute(0, 3, 1, 2)],
            do_resize=False,
            do_sample_frames=False,
            cap_pixels_per_frame=False,
            return_tensors="pt",
        )
        tensors = {"pixels": out["pixel_values_videos"], "grid": out["video_grid_thw"]}
        if self.seconds:
            tensors["seconds"] = torch.tensor([self.temporal / frames.sampled_fps])
        return tensors

    def features(self, core: Any, media: Sequence[Medium]) -> list[Features]:
        """Features of each medium; pictures and clips go through the tower kind by kind."""
        found: dict[int, Features] = {}
        for kind in ("image", "video"):
            at = [i for i, m in enumerate(media) if m.kind == kind]
            if not at:
                continue
            pixels = torch.cat([media[i].tensors["pixels"] for i in at])
            grid = torch.cat([media[i].tensors["grid"] for i in at])
            embed = getattr(core.model, f"get_{kind}_features")
            device = core.model.visual.device
            out = embed(pixels.to(device), grid.to(device), return_dict=True)
            deep = getattr(out, "deepstack_features", None) or ()
            for n, i in enumerate(at):
                found[i] = Features(
                    flat=out.pooler_output[n], deep=tuple(level[n] for level in deep)
                )
        return [found[i] for i in range(len(media))]

    def encoder_outputs(
        self, features: Sequence[tuple[Medium, Features]]
    ) -> dict[str, SimpleNamespace]:
        out = {}
        for kind in ("image", "video"):
            mine = [f for m, f in features if m.kind == kind]
            if mine:
                out[kind] = SimpleNamespace(
                    pooler_output=tuple(f.flat for f in mine),
                    deepstack_features=[
                        list(level) for level in zip(*(f.deep for f in mine), strict=True)
                    ],
                )
        return out

    def positions(self, core: Any, ids: torch.Tensor, media: Sequence[Medium]) -> torch.Tensor:
        """M-RoPE positions [3, P] of a prompt's ids [P], by the model's own rule."""
        kinds = torch.zeros_like(ids)
        kinds[ids == core.config.image_token_id] = 1
        kinds[ids == core.config.video_token_id] = 2
        grids = {
            kind: torch.cat(mine)
            for kind in ("image", "video")
            if (mine := [m.tensors["grid"] for m in media if m.kind == kind])
        }
        seconds = [m.tensors["seconds"] for m in media if "seconds" in m.tensors]
        positions, _ = core.model.get_rope_index(
            ids.unsqueeze(0),
            mm_token_type_ids=kinds.unsqueeze(0),
            image_grid_thw=grids.get("image"),
            video_grid_thw=grids.get("video"),
            **({"second_per_grid_ts": torch.cat(seconds)} if seconds else {}),
        )
        return positions[:, 0]

    def count(self, kind: Kind, tensors: Mapping[str, torch.Tensor], alone: bool) -> int:
        return int(tensors["grid"].prod()) // self.merge**2

    def budgets(self) -> tuple[MediaBudget, MediaBudget]:
        """From the processor; the clip's bounds only where they are tighter than Qwen's default.

        Checkpoints keep one file for both processors, so that the pictures' bound stands in the
        clips' place, which `qwen_vl_utils` ignores. Qwen3-VL's bounds are of the whole clip.
        """
        image, video = self.processor.image_processor.size, self.processor.video_processor.size
        pictures = MediaBudget(min_pixels=image["shortest_edge"], max_pixels=image["longest_edge"])
        if self.timestamps:
            return pictures, MediaBudget(total_pixels=video["longest_edge"] / self.temporal)
        if video["longest_edge"] >= FRAME_TOKENS[1] * (self.patch * self.merge) ** 2:
            return pictures, MediaBudget()
        return pictures, MediaBudget(
            min_pixels=video["shortest_edge"], max_pixels=video["longest_edge"]
        )

    def _frame_tokens(self, size: tuple[int, int]) -> int:
        width, height = size
        return (width // self.patch) * (height // self.patch) // self.merge**2
