"""What will be seen of a medium, from its header and a budget alone: sizes, frames, seconds.

The engine, the learner and the data check all ask here, so that token and feature counts cannot
disagree. Sizes follow qwen_vl_utils 0.0.14 (`smart_resize`, `fetch_image`, `fetch_video`).
Departures: the total pixel budget of a clip holds always (there it yields to the minimum a
frame): frames are dropped first, then pixels; a side never becomes 0.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from mmrl.errors import ConfigError, MediaError, nearest
from mmrl.media import frames
from mmrl.media.frames import ceil_by, floor_by, round_by

if TYPE_CHECKING:
    from mmrl.media.image import ImageHeader
    from mmrl.media.video import VideoHeader

Strategy = Literal["fps", "uniform", "span-aware", "shuffled", "scenes"]
Spacing = Literal["frames", "seconds"]

MAX_ASPECT = 200
"""Longer side over shorter; beyond it nothing of the picture is left after resizing (Qwen)."""
IMAGE_TOKENS = (4, 16384)
"""Visual tokens of a picture when the budget names no pixels (Qwen); a token is factor² pixels."""
FRAME_TOKENS = (128, 768)
"""The same for one frame of a clip (Qwen)."""
TOTAL_TOKENS = 128000 * 0.9
"""Visual tokens of a whole clip when the budget names no total (Qwen: 0.9 of a 128k context)."""


@dataclass(frozen=True, kw_only=True)
class MediaBudget:
    """How much of a medium is seen. None means the Qwen default, which grows with the patch."""

    min_pixels: int | None = None
    """Smallest picture or frame [pixels]; smaller ones are enlarged so that patches see detail."""
    max_pixels: int | None = None
    """Largest picture or frame [pixels]; larger ones are shrunk, which bounds tokens."""
    total_pixels: float | None = None
    """Pixels of a whole clip after temporal merging (frames / frame_factor * width * height);
    bounds the tokens of a clip however long it is."""
    fps: float = 2.0
    """Frames a second taken of a clip (Qwen); enough for actions, half a token per frame less."""
    num_frames: int | None = None
    """Frames taken of a clip whatever its length; replaces `fps`."""
    min_frames: int = 4
    """Fewest frames under `fps` (Qwen): a very short clip still shows motion."""
    max_frames: int = 768
    """Most frames under `fps` (Qwen): an hour does not become 7,200 frames."""
    strategy: Strategy = "fps"
    """Where the frames lie: `fps` and `uniform` evenly (`uniform` takes `num_frames`, or
    `max_frames`), `span-aware` half inside the reference's span and half around it, `scenes` over
    detected scenes, `shuffled` evenly in an order that is not theirs (T-GRPO's contrast; told
    seconds stay in order). Under all but `span-aware` a span cuts the clip."""
    spacing: Spacing = "frames"
    """Evenly by `frames` (index, as Qwen) or by `seconds` (timestamps). They differ only on clips
    of variable rate; told seconds are always the true ones."""
    seed: int = 0
    """Of `shuffled`."""
    resized_height: int | None = None
    """With `resized_width` [pixels]: this size (rounded to patches) instead of the clip's own."""
    resized_width: int | None = None

    def __post_init__(self) -> None:
        for name in ("min_pixels", "max_pixels", "total_pixels", "fps", "num_frames"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"media budget: {name} = {value!r}, wanted a number above 0")
        if not 1 <= self.min_frames <= self.max_frames:
            raise ConfigError(
                f"media budget: min_frames = {self.min_frames}, max_frames = {self.max_frames}; "
                "wanted 1 <= min_frames <= max_frames"
            )
        if self.min_pixels and self.max_pixels and self.min_pixels > self.max_pixels:
            raise ConfigError(
                f"media budget: min_pixels = {self.min_pixels} exceeds "
                f"max_pixels = {self.max_pixels}"
            )
        for name, value, known in (
            ("strategy", self.strategy, get_args(Strategy)),
            ("spacing", self.spacing, get_args(Spacing)),
        ):
            if value not in known:
                raise ConfigError(
                    f'media budget: {name} = "{value}" is not known.{nearest(str(value), known)}'
                )
        if (self.resized_height is None) != (self.resized_width is None):
            raise ConfigError("media budget: resized_height and resized_width go together")

    def override(self, options: Mapping[str, Any]) -> MediaBudget:
        """This budget with some fields replaced, as `MediaRef.options` asks; `fps` clears
        `num_frames`."""
        known = {f.name for f in dataclasses.fields(self)}
        for key in options:
            if key not in known:
                raise ConfigError(f'media option "{key}" is not known.{nearest(key, known)}')
        if options.get("fps") is not None and options.get("num_frames") is not None:
            raise ConfigError('media options "fps" and "num_frames" exclude each other')
        changes = dict(options)
        if "fps" in changes:
            changes.setdefault("num_frames", None)
        return dataclasses.replace(self, **changes) if changes else self


@dataclass(frozen=True, kw_only=True, slots=True)
class ImagePlan:
    """Sizes of a picture, (width, height) in pixels, upright."""

    original_size: tuple[int, int]
    processed_size: tuple[int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoPlan:
    """Which frames of a clip are seen, when they are, and how large.

    `indices` are in the order shown and may repeat; `seconds[i]` is the time told of frame i.
    """

    original_size: tuple[int, int]
    processed_size: tuple[int, int]
    indices: tuple[int, ...]
    seconds: tuple[float, ...]
    sample_fps: float
    """Frames taken a second of the clip (or of its span), what Qwen2.5-VL's positions need."""
    source_fps: float
    num_source_frames: int
    frame_factor: int = 1


def smart_resize(
    height: int,
    width: int,
    factor: int,
    min_pixels: float | None = None,
    max_pixels: float | None = None,
) -> tuple[int, int]:
    """(height, width): multiples of `factor` near the given shape with area inside the bounds.

    Equal to qwen_vl_utils' wherever that returns sides above 0, so an enlarged picture, rounded up
    to whole patches, may pass a `max_pixels` that is close to `min_pixels`. A thin picture whose
    short side is one `factor` gives up shape to stay under `max_pixels`.
    """
    max_pixels = IMAGE_TOKENS[1] * factor**2 if max_pixels is None else max_pixels
    min_pixels = IMAGE_TOKENS[0] * factor**2 if min_pixels is None else min_pixels
    if max_pixels < min_pixels:
        raise ConfigError(f"max_pixels = {max_pixels} lies below min_pixels = {min_pixels}")
    if max(height, width) > MAX_ASPECT * min(height, width):
        raise MediaError(
            f"{width}x{height} pixels: one side is more than {MAX_ASPECT} times the other",
            reason="aspect_ratio",
        )
    high, wide = max(factor, round_by(height, factor)), max(factor, round_by(width, factor))
    if high * wide > max_pixels:
        high, wide = _largest_inside(height, width, factor, max_pixels)
    elif high * wide < min_pixels:
        grow = math.sqrt(min_pixels / (height * width))
        high, wide = ceil_by(height * grow, factor), ceil_by(width * grow, factor)
    return high, wide


def _largest_inside(height: int, width: int, factor: int, area: float) -> tuple[int, int]:
    """(height, width) of the shape scaled to at most `area` pixels, in whole patches, rounded
    down."""
    scale = math.sqrt((height * width) / area)
    high = max(factor, floor_by(height / scale, factor))
    wide = max(factor, floor_by(width / scale, factor))
    if high * wide > area:
        longest = max(factor, floor_by(area / factor, factor))
        high, wide = min(high, longest), min(wide, longest)
    return high, wide


def plan_image(header: ImageHeader, budget: MediaBudget, factor: int = 28) -> ImagePlan:
    """Processed size of a picture; `factor` is the side of one visual token in pixels."""
    width, height = header.size
    if budget.resized_height is not None and budget.resized_width is not None:
        high, wide = smart_resize(budget.resized_height, budget.resized_width, factor)
    else:
        high, wide = smart_resize(height, width, factor, budget.min_pixels, budget.max_pixels)
    return ImagePlan(original_size=header.size, processed_size=(wide, high))


def plan_video(
    header: VideoHeader,
    budget: MediaBudget,
    factor: int = 28,
    frame_factor: int = 2,
    *,
    span: tuple[float, float] | None = None,
    cuts: Sequence[int] | None = None,
) -> VideoPlan:
    """Frames, seconds and processed size of a clip.

    `frame_factor` is the temporal patch (frames a token), `span` in seconds. `cuts` are the first
    frames of new scenes; strategy `scenes` needs them (`mmrl.media.scenes.find_cuts`), but sizes
    and counts do not depend on them.
    """
    times = header.timestamps
    by_time = budget.spacing == "seconds" and times is not None
    if by_time and times is not None:
        inside = frames.span_to_frames_by_time(span, times)
    else:
        inside = frames.span_to_frames(span, header.num_frames, header.fps)
    whole = (0, header.num_frames - 1)
    first, last = whole if budget.strategy == "span-aware" else inside
    available = last - first + 1
    rate = header.fps
    if by_time and times is not None and available > 1:
        rate = (available - 1) / max(1e-6, times[last] - times[first])
    num_frames = budget.num_frames
    if num_frames is None and budget.strategy == "uniform":
        num_frames = budget.max_frames
    count = frames.frame_count(
        available,
        rate,
        fps=budget.fps,
        num_frames=num_frames,
        min_frames=budget.min_frames,
        max_frames=budget.max_frames,
        frame_factor=frame_factor,
    )
    count, size = _fit(header.size, count, budget, factor, frame_factor)
    if count > available:
        indices = tuple(min(last, first + i) for i in range(count))
    elif budget.strategy == "span-aware" and span is not None:
        indices = frames.spread_around(inside, header.num_frames, count, frame_factor)
    elif budget.strategy == "scenes":
        if cuts is None:
            raise ConfigError(
                'strategy "scenes" needs the cuts of the clip: ask MediaStore.plan, which finds '
                "them, or pass cuts="
            )
        indices = frames.spread_over_scenes(cuts, first, last, count)
    elif by_time and times is not None:
        indices = frames.spread_in_time(times, first, last, count)
    else:
        indices = frames.spread(first, last, count)
    seconds = tuple(header.time_of(i) for i in indices)
    if budget.strategy == "shuffled":
        indices = frames.shuffled(indices, budget.seed)
    return VideoPlan(
        original_size=header.size,
        processed_size=size,
        indices=indices,
        seconds=seconds,
        sample_fps=count / available * rate,
        source_fps=header.fps,
        num_source_frames=header.num_frames,
        frame_factor=frame_factor,
    )


def _fit(
    size: tuple[int, int], count: int, budget: MediaBudget, factor: int, frame_factor: int
) -> tuple[int, tuple[int, int]]:
    """Number of frames and (width, height) whose total stays inside the budget."""
    width, height = size
    total = TOTAL_TOKENS * factor**2 if budget.total_pixels is None else budget.total_pixels
    low: float = FRAME_TOKENS[0] * factor**2 if budget.min_pixels is None else budget.min_pixels

    def at(num: int) -> tuple[int, int]:
        if budget.resized_height is not None and budget.resized_width is not None:
            return smart_resize(budget.resized_height, budget.resized_width, factor)
        limit = max(min(FRAME_TOKENS[1] * factor**2, total / num * frame_factor), int(low * 1.05))
        if budget.max_pixels is not None:
            limit = min(limit, budget.max_pixels)
        return smart_resize(height, width, factor, min(low, limit), limit)

    high, wide = at(count)
    while count > frame_factor and count / frame_factor * high * wide > total:
        patches = min(count // frame_factor - 1, int(total / (high * wide)))
        count = max(1, patches) * frame_factor
        high, wide = at(count)
    if count / frame_factor * high * wide > total:
        if total < factor**2:
            raise ConfigError(
                f"total_pixels = {total:g} is less than one visual token of {factor}x{factor}"
            )
        high, wide = _largest_inside(height, width, factor, total / count * frame_factor)
    return count, (wide, high)
