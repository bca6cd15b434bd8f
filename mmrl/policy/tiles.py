"""Families that cut a picture into square tiles: InternVL, LLaVA-OneVision, SmolVLM.

Their own image processors cut the original picture; the readers here say beforehand how many tiles
and tokens that gives, and merge what the tower makes of them row by row.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from mmrl.media.plan import MediaBudget
from mmrl.policy.vision import Features, Frames, Kind, Layout, Medium


class TileReader:
    """What the three share: no positions of their own, no pixel budget of their own."""

    def __init__(self, processor: Any) -> None:
        self.processor = processor

    def positions(self, core: Any, ids: torch.Tensor, media: Sequence[Medium]) -> None:
        """None: positions count tokens."""

    def budgets(self) -> tuple[MediaBudget, MediaBudget]:
        return MediaBudget(), MediaBudget()

    def _picture(self, images: list[Any], **more: Any) -> Any:
        return self.processor.image_processor(
            images=images, input_data_format="channels_last", return_tensors="pt", **more
        )

    def _clip(self, pixels: np.ndarray) -> Any:
        return self.processor.video_processor(
            videos=[torch.from_numpy(pixels).permute(0, 3, 1, 2)],
            do_sample_frames=False,
            return_tensors="pt",
        )


class InternVLReader(TileReader):
    """InternVL: up to `max_patches` tiles of the nearest aspect and a thumbnail; a frame is one."""

    def image_layout(self, size: tuple[int, int], alone: bool) -> Layout:
        width, height = size
        tiles = self.processor.image_processor.get_number_of_image_patches(
            height, width, {"crop_to_patches": True}
        )
        return Layout(num_tokens=tiles * self._each, text=self._tile_text(tiles))

    def video_layout(self, frames: Frames) -> Layout:
        count = len(frames.seconds)
        lines = [f"Frame{i + 1}: {self._tile_text(1)}" for i in range(count)]
        return Layout(num_tokens=count * self._each, text="\n".join(lines))

    def image_tensors(self, pixels: np.ndarray, alone: bool) -> dict[str, torch.Tensor]:
        out = self._picture([pixels], crop_to_patches=True)
        return {"pixels": out["pixel_values"]}

    def video_tensors(self, pixels: np.ndarray, frames: Frames) -> dict[str, torch.Tensor]:
        return {"pixels": self._clip(pixels)["pixel_values_videos"][0]}

    def count(self, kind: Kind, tensors: Mapping[str, torch.Tensor], alone: bool) -> int:
        return len(tensors["pixels"]) * self._each

    def features(self, core: Any, media: Sequence[Medium]) -> list[Features]:
        tiles = [len(m.tensors["pixels"]) for m in media]
        pixels = torch.cat([m.tensors["pixels"] for m in media]).to(core.device)
        out = core.model.get_image_features(pixel_values=pixels, return_dict=True)
        return [Features(flat=part.flatten(0, 1)) for part in out.pooler_output.split(tiles)]

    def encoder_outputs(
        self, features: Sequence[tuple[Medium, Features]]
    ) -> dict[str, SimpleNamespace]:
        flat = torch.cat([f.flat for _, f in features])
        return {"image": SimpleNamespace(pooler_output=flat.unsqueeze(0))}

    @property
    def _each(self) -> int:
        return self.processor.image_seq_length

    def _tile_text(self, tiles: int) -> str:
        start, end = self.processor.start_image_token, self.processor.end_image_token
        return f"{start}{self.processor.image_token * (tiles * self._each)}{end}"


class LlavaOneVisionReader(TileReader):
    """LLaVA-OneVision: a message's only picture is cut by aspect (anyres), several are one tile
    each, clip frames are pooled to a quarter."""

    def image_layout(self, size: tuple[int, int], alone: bool) -> Layout:
        width, height = size
        count = self._tokens(height, width, alone)
        return Layout(num_tokens=count, text=self.processor.image_token * count)

    def video_layout(self, frames: Frames) -> Layout:
        count = self._video_tokens(len(frames.seconds))
        return Layout(num_tokens=count, text=self.processor.video_token * count)

    def image_tensors(self, pixels: np.ndarray, alone: bool) -> dict[str, torch.Tensor]:
        # a second picture of one pixel tells the processor that this one is not alone
        images = [pixels] if alone else [pixels, pixels[:1, :1]]
        out = self._picture([images])
        return {
            "pixels": out["pixel_values"][0],
            "size": out["image_sizes"][0],
            "alone": torch.tensor(alone),
        }

    def video_tensors(self, pixels: np.ndarray, frames: Frames) -> dict[str, torch.Tensor]:
        return {"pixels": self._clip(pixels)["pixel_values_videos"][0]}

    def count(self, kind: Kind, tensors: Mapping[str, torch.Tensor], alone: bool) -> int:
        if kind == "video":
            return self._video_tokens(len(tensors["pixels"]))
        height, width = tensors["size"].tolist()
        return self._tokens(height, width, alone)

    def features(self, core: Any, media: Sequence[Medium]) -> list[Features]:
        """Pictures that are alone, pictures that are not, and clips by their number of frames."""
        calls: dict[tuple[Kind, int], list[int]] = {}
        for i, medium in enumerate(media):
            tensors = medium.tensors
            key = int(tensors["alone"]) if medium.kind == "image" else len(tensors["pixels"])
            calls.setdefault((medium.kind, key), []).append(i)
        found: dict[int, Features] = {}
        for (kind, key), at in calls.items():
            pixels = [media[i].tensors["pixels"] for i in at]
            if kind == "video":
                embedded = self._clips(core, pixels)
            else:
                sizes = torch.stack([media[i].tensors["size"] for i in at])
                embedded = self._pictures(core, pixels, sizes, alone=bool(key))
            found.update((i, Features(flat=flat)) for i, flat in zip(at, embedded, strict=True))
        return [found[i] for i in range(len(media))]

    def encoder_outputs(
        self, features: Sequence[tuple[Medium, Features]]
    ) -> dict[str, SimpleNamespace]:
        out = {}
        images = [f.flat for m, f in features if m.kind == "image"]
        clips = [f.flat for m, f in features if m.kind == "video"]
        if images:
            out["image"] = SimpleNamespace(pooler_output=images)
        if clips:
            out["video"] = SimpleNamespace(pooler_output=torch.cat(clips).unsqueeze(0))
        return out

    def _pictures(
        self, core: Any, pixels: list[torch.Tensor], sizes: torch.Tensor, *, alone: bool
    ) -> Sequence[torch.Tensor]:
        most = max(len(p) for p in pixels)
        padded = [torch.nn.functional.pad(p, (0,) * 7 + (most - len(p),)) for p in pixels]
        out = core.model.get_image_features(
            torch.stack(padded).to(core.device),
            sizes.to(core.device),
            batch_num_images=None if alone else [len(pixels)],
            return_dict=True,
        )
        return out.pooler_output

    def _clips(self, core: Any, pixels: list[torch.Tensor]) -> Sequence[torch.Tensor]:
        out = core.model.get_video_features(torch.stack(pixels).to(core.device), return_dict=True)
        return list(out.pooler_output)

    def _tokens(self, height: int, width: int, alone: bool) -> int:
        if alone:
            planned = self.processor._get_num_multimodal_tokens(image_sizes=[(height, width)])
            return planned["num_image_tokens"][0]
        newline = 1
        cls = int(self.processor.vision_feature_select_strategy == "default")
        return self.processor.num_image_tokens + newline - cls

    def _video_tokens(self, num_frames: int) -> int:
        side = math.ceil(int(math.sqrt(self.processor.num_image_tokens)) / 2)
        return num_frames * side * side + 1


class SmolVLMReader(TileReader):
    """SmolVLM: rows x columns of tiles named by place, then the whole picture; a frame is one."""

    _LARGEST = 4096
    """Longest side that the image processor goes up to [pixels]."""

    def image_layout(self, size: tuple[int, int], alone: bool) -> Layout:
        rows, columns = self._grid(size)
        tiles = rows * columns + 1
        text = "".join(
            "".join(f"{self._around}<row_{r}_col_{c}>{self._tile}" for c in range(1, columns + 1))
            + "\n"
            for r in range(1, rows + 1)
        )
        text += ("\n" if rows else "") + self._whole
        return Layout(num_tokens=tiles * self._each, text=text)

    def video_layout(self, frames: Frames) -> Layout:
        from num2words import num2words

        count = len(frames.seconds)
        length = timedelta(seconds=int(frames.duration))
        text = (
            f"You are provided the following series of {num2words(count)} frames from a "
            f"{length} [H:MM:SS] video.\n"
        )
        for second in frames.seconds:
            minutes, rest = int(second // 60), int(second % 60)
            text += f"\nFrame from {minutes:02d}:{rest:02d}:{self._whole}"
        return Layout(num_tokens=count * self._each, text=text + "\n\n")

    def image_tensors(self, pixels: np.ndarray, alone: bool) -> dict[str, torch.Tensor]:
        out = self._picture([[pixels]])
        return {"pixels": out["pixel_values"][0], "mask": out["pixel_attention_mask"][0]}

    def video_tensors(self, pixels: np.ndarray, frames: Frames) -> dict[str, torch.Tensor]:
        out = self._clip(pixels)
        return {"pixels": out["pixel_values"][0], "mask": out["pixel_attention_mask"][0]}

    def count(self, kind: Kind, tensors: Mapping[str, torch.Tensor], alone: bool) -> int:
        return len(tensors["pixels"]) * self._each

    def features(self, core: Any, media: Sequence[Medium]) -> list[Features]:
        tiles = [len(m.tensors["pixels"]) for m in media]
        pixels = torch.cat([m.tensors["pixels"] for m in media]).to(core.device)
        mask = torch.cat([m.tensors["mask"] for m in media]).to(core.device)
        out = core.model.get_image_features(
            pixels.unsqueeze(0), mask.unsqueeze(0), return_dict=True
        )
        return [Features(flat=part.flatten(0, 1)) for part in out.pooler_output.split(tiles)]

    def encoder_outputs(
        self, features: Sequence[tuple[Medium, Features]]
    ) -> dict[str, SimpleNamespace]:
        flat = torch.cat([f.flat for _, f in features])
        return {"image": SimpleNamespace(pooler_output=flat.unflatten(0, (-1, self._each)))}

    @property
    def _each(self) -> int:
        return self.processor.image_seq_len

    @property
    def _around(self) -> str:
        return self.processor.fake_image_token

    @property
    def _tile(self) -> str:
        return self.processor.image_token * self._each

    @property
    def _whole(self) -> str:
        return f"{self._around}{self.processor.global_image_token}{self._tile}{self._around}"

    def _grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """Rows and columns of tiles, (0, 0) when the picture is not cut.

        The processor's own count (`get_number_of_image_patches`) forgets that the second side is
        recomputed; this follows what it does to the pixels.
        """
        images = self.processor.image_processor
        if not images.do_image_splitting:
            return 0, 0
        width, height = size
        if images.do_resize:
            height, width = _longest_side(height, width, images.size["longest_edge"], even=True)
            if max(height, width) > self._LARGEST:
                height, width = _longest_side(height, width, self._LARGEST, even=False)
        tile = images.max_image_size["longest_edge"]
        aspect = width / height
        if width >= height:
            width = math.ceil(width / tile) * tile
            height = math.ceil(int(width / aspect) / tile) * tile
        else:
            height = math.ceil(height / tile) * tile
            width = math.ceil(int(height * aspect) / tile) * tile
        if height <= tile and width <= tile:
            return 0, 0
        return math.ceil(height / tile), math.ceil(width / tile)


def _longest_side(height: int, width: int, longest: int, *, even: bool) -> tuple[int, int]:
    """(height, width) with the longer side at `longest`, the other rounded down (up to even)."""
    aspect = width / height
    if width >= height:
        other = int(longest / aspect)
        return max(1, other + (other % 2 if even else 0)), longest
    other = int(longest * aspect)
    return longest, max(1, other + (other % 2 if even else 0))
