"""What a clip's header says, read without decoding it: frames, rate, times, size, rotation."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np

from mmrl.errors import MediaError
from mmrl.media.container import missing_bytes, mp4_rotation
from mmrl.media.source import check, name_of, open_bytes
from mmrl.types import MediaRef

MAX_FRAME_PIXELS = 8192 * 8192
"""Largest frame that is decoded [pixels]; a header that claims more is refused."""
MAX_FRAMES = 10_000_000
"""Most frames of a clip (46 h at 60 fps); a header that claims more is refused."""
_VARIABLE_SHARE = 0.5
"""A clip has a variable rate when some frame lies more than this share of a frame interval away
from where a constant rate puts it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoHeader:
    """Facts of a clip's best video stream; nothing of it was decoded.

    `size` is (width, height) in pixels of the upright picture. `fps` is the average rate,
    `duration` in seconds. `timestamps` (seconds from the first frame) is None at constant rate.
    """

    num_frames: int
    fps: float
    duration: float
    size: tuple[int, int]
    rotation: int = 0
    """Degrees clockwise that readers turn the stored picture by."""
    timestamps: tuple[float, ...] | None = None
    codec: str = ""
    bits: int = 8
    """Bits a channel as stored."""
    stream: int = 0
    start_pts: int = 0
    time_base: Fraction = Fraction(1, 1000)
    keyframes: tuple[int, ...] = (0,)
    """Positions in decoding order from which decoding can start."""
    has_pts: bool = True
    container: str = ""

    def time_of(self, index: int) -> float:
        """Seconds from the first frame to frame `index`."""
        return self.timestamps[index] if self.timestamps is not None else index / self.fps

    def index_of(self, pts: int) -> int:
        """The frame shown at a presentation time in units of `time_base`."""
        seconds = float((pts - self.start_pts) * self.time_base)
        if self.timestamps is None:
            return round(seconds * self.fps)
        at = bisect.bisect_left(self.timestamps, seconds)
        near = [i for i in (at - 1, at) if 0 <= i < len(self.timestamps)]
        return min(near, key=lambda i: abs(self.timestamps[i] - seconds))  # type: ignore[index]

    def pts_of(self, index: int) -> int:
        return self.start_pts + round(self.time_of(index) / float(self.time_base))


def read_video_header(ref: MediaRef) -> VideoHeader:
    """The header of a clip's best video stream, or a MediaError with its reason."""
    with open_bytes(ref) as file:
        missing = missing_bytes(file)
        if missing:
            raise MediaError(
                f"{name_of(ref)}: the file ends {missing:,} bytes before its own end",
                reason="truncated",
            )
        file.seek(0)
        container = open_container(ref, file)
        try:
            stream = best_stream(ref, container)
            return _read(ref, container, stream)
        except av.FFmpegError as error:
            raise MediaError(
                f"{name_of(ref)}: its packets cannot be read: {error}", reason="corrupt"
            ) from error
        finally:
            container.close()


def open_container(ref: MediaRef, file: Any) -> Any:
    """An open PyAV container over a binary file."""
    try:
        return av.open(file, mode="r")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise MediaError(
            f"{name_of(ref)}: no clip in a container that FFmpeg reads: {error}",
            reason="container",
        ) from error


def best_stream(ref: MediaRef, container: Any) -> Any:
    """The video stream that FFmpeg holds best (decord's choice too); cover pictures are none."""
    stream = container.streams.best("video")
    if stream is None or stream.disposition & stream.disposition.attached_pic:
        kinds = sorted({s.type for s in container.streams}) or ["nothing"]
        raise MediaError(
            f"{name_of(ref)}: no video stream; it holds {', '.join(kinds)}", reason="no_video"
        )
    if stream.codec_context is None:
        raise MediaError(
            f"{name_of(ref)}: FFmpeg has no decoder for its video stream", reason="no_reader"
        )
    return stream


def _read(ref: MediaRef, container: Any, stream: Any) -> VideoHeader:
    width, height = stream.codec_context.width, stream.codec_context.height
    if width <= 0 or height <= 0:
        raise MediaError(f"{name_of(ref)}: frames of {width}x{height} pixels", reason="no_frames")
    if width * height > MAX_FRAME_PIXELS:
        raise MediaError(
            f"{name_of(ref)}: frames of {width}x{height} pixels; at most {MAX_FRAME_PIXELS:,} "
            "are decoded",
            reason="too_large",
        )
    if stream.frames > MAX_FRAMES:
        raise MediaError(
            f"{name_of(ref)}: claims {stream.frames:,} frames; at most {MAX_FRAMES:,} are read",
            reason="too_large",
        )
    average = float(stream.average_rate or 0)
    time_base = stream.time_base
    times = _from_index(ref, stream)
    if times is None:
        times = _from_packets(container, stream)
    ticks, keyframes, start, has_pts, num_packets = times
    if not len(ticks):
        raise MediaError(
            f"{name_of(ref)}: a video stream without a single packet"
            + (f" (its header claims {stream.frames})" if stream.frames else ""),
            reason="no_frames",
        )
    if len(stream.index_entries) == stream.frames > num_packets:
        raise MediaError(
            f"{name_of(ref)}: its header claims {stream.frames} frames, "
            f"the file holds {num_packets}",
            reason="truncated",
        )
    seconds = (ticks - ticks[0]) * float(time_base)
    if average <= 0:
        average = (len(seconds) - 1) / seconds[-1] if len(seconds) > 1 and seconds[-1] > 0 else 1.0
    steady = np.arange(len(seconds)) / average
    variable = bool(np.abs(seconds - steady).max() * average > _VARIABLE_SHARE)
    context, codec = stream.codec_context, stream.codec_context.codec.name
    component = context.format.components[0].bits if context.format is not None else 8
    turn = _rotation(ref, container, stream)
    return VideoHeader(
        num_frames=len(seconds),
        fps=average,
        duration=float(seconds[-1] + 1 / average) if variable else len(seconds) / average,
        size=(height, width) if turn % 180 else (width, height),
        rotation=turn,
        timestamps=tuple(float(s) for s in seconds) if variable else None,
        codec=codec,
        bits=component,
        stream=stream.index,
        start_pts=start,
        time_base=time_base,
        keyframes=keyframes,
        has_pts=has_pts,
        container=container.format.name,
    )


_Times = tuple[np.ndarray, tuple[int, ...], int, bool, int]
"""Display times in ticks, keyframes, time of the first frame, whether display times are known, and
the number of packets (more than frames where an edit list cuts some off)."""


def _from_index(ref: MediaRef, stream: Any) -> _Times | None:
    """Frame times from the sample table of an mp4 alone, where they are certain; else None.

    The table holds decoding times; at a constant step, display times have the same step.
    """
    end = check(ref)
    table = [
        (e.timestamp, e.is_keyframe, e.is_discard, e.pos + e.size) for e in stream.index_entries
    ]
    beyond = sum(stop > end for *_, stop in table)
    if beyond:
        raise MediaError(
            f"{name_of(ref)}: {beyond} of {len(table)} frames lie beyond the end of the file",
            reason="truncated",
        )
    if not stream.frames or len(table) != stream.frames or stream.start_time is None:
        return None
    ticks = np.array([t for t, *_ in table], dtype=np.int64)
    steps = np.diff(ticks)
    if any(discard for _, _, discard, _ in table) or (len(steps) and np.ptp(steps) > 0):
        return None
    keys = tuple(i for i, (_, key, _, _) in enumerate(table) if key) or (0,)
    return ticks, keys, int(stream.start_time), True, len(table)


def _from_packets(container: Any, stream: Any) -> _Times:
    """Frame times from every packet's header; reads the file once, decodes nothing."""
    found: list[tuple[int | None, bool]] = []
    num_packets = 0
    for packet in container.demux(stream):
        num_packets += bool(packet.size)
        if packet.size and not packet.is_discard:
            found.append((packet.pts, packet.is_keyframe))
    keys = tuple(i for i, (_, key) in enumerate(found) if key)
    if keys[:1] != (0,):
        keys = (0, *keys)  # an edit list may begin between keyframes
    shown = [pts for pts, _ in found if pts is not None]
    if len(shown) == len(found):
        ticks = np.array(sorted(shown), dtype=np.int64)
        return ticks, keys, int(ticks[0]) if len(ticks) else 0, True, num_packets
    # no display times (old avi, raw streams): evenly, in the order of decoding
    step = round(1 / (float(stream.average_rate or 25) * float(stream.time_base)))
    ticks = np.arange(len(found), dtype=np.int64) * max(1, step)
    return ticks, keys, 0, False, num_packets


def _rotation(ref: MediaRef, container: Any, stream: Any) -> int:
    """Clockwise degrees; from the track header of an mp4, elsewhere from the first frame."""
    if "mp4" in container.format.name:
        with open_bytes(ref) as file:  # the container reads its own at its own position
            return mp4_rotation(file, stream.id) or 0
    if "matroska" not in container.format.name:
        return 0
    container.seek(0)
    for frame in container.decode(stream):
        return int(-frame.rotation) % 360
    return 0
