"""Which frames of a clip are seen: arithmetic on counts, rates and times, nothing is decoded.

Counts and indices follow qwen_vl_utils 0.0.14 (`smart_nframes`, `calculate_video_frame_range`,
`torch.linspace(...).round()`). Departures: where it raises because a clip or span is shorter than
asked for, fewer frames are taken (a clip shorter than one temporal patch repeats its last frame).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from mmrl.errors import MediaError


def round_by(number: float, factor: int) -> int:
    """The multiple of `factor` nearest to `number` (ties to even)."""
    return round(number / factor) * factor


def ceil_by(number: float, factor: int) -> int:
    return math.ceil(number / factor) * factor


def floor_by(number: float, factor: int) -> int:
    return math.floor(number / factor) * factor


def frame_count(
    available: int,
    source_fps: float,
    *,
    fps: float,
    num_frames: int | None,
    min_frames: int,
    max_frames: int,
    frame_factor: int,
) -> int:
    """How many frames are taken of `available` ones: a multiple of `frame_factor`, at least one.

    With `num_frames` that many, else `available / source_fps * fps` held between `min_frames` and
    `max_frames`; never more than there are, except that one temporal patch is always filled.
    """
    if num_frames is not None:
        wanted: float = round_by(num_frames, frame_factor)
    else:
        low, high = ceil_by(min_frames, frame_factor), floor_by(max_frames, frame_factor)
        wanted = min(max(available / source_fps * fps, low), high)
    return max(frame_factor, floor_by(min(wanted, available), frame_factor))


def span_to_frames(span: tuple[float, float] | None, total: int, fps: float) -> tuple[int, int]:
    """First and last frame inside a span of seconds, of a clip with constant rate.

    start = ceil(t0 * fps), last = floor(t1 * fps), both inside the clip; an infinite end is the
    clip's. Reason `empty_span` when no frame lies inside.
    """
    if span is None:
        return 0, total - 1
    duration = total / fps
    start = math.ceil(max(0.0, min(span[0], duration)) * fps)
    last = min(math.floor(max(0.0, min(span[1], duration)) * fps), total - 1)
    if not start <= last:
        raise _empty(span, duration)
    return start, last


def span_to_frames_by_time(
    span: tuple[float, float] | None, seconds: Sequence[float]
) -> tuple[int, int]:
    """First and last frame whose own time lies inside the span (variable frame rate)."""
    if span is None:
        return 0, len(seconds) - 1
    times = np.asarray(seconds)
    start = int(np.searchsorted(times, span[0] - 1e-9, side="left"))
    last = int(np.searchsorted(times, span[1] + 1e-9, side="right")) - 1
    if not start <= last:
        raise _empty(span, float(times[-1]))
    return start, last


def _empty(span: tuple[float, float], duration: float) -> MediaError:
    return MediaError(
        f"no frame lies in the span {span[0]:g} to {span[1]:g} s of a clip of {duration:.2f} s",
        reason="empty_span",
    )


def spread(start: int, last: int, count: int) -> tuple[int, ...]:
    """`count` indices from `start` to `last`, evenly by index, as `torch.linspace().round()`.

    torch computes in float32 from both ends towards the middle; doing the same gives the same
    index also where a step falls on a half.
    """
    if count == 1:
        return (start,)
    one = np.float32
    step = one(last - start) / one(count - 1)
    head = count // 2
    # torch's kernel rounds once (fused multiply-add): exact in float64, then to float32
    values = [
        one(float(start) + float(step) * i)
        if i < head
        else one(float(last) - float(step) * (count - 1 - i))
        for i in range(count)
    ]
    return tuple(int(np.rint(v)) for v in values)


def spread_in_time(seconds: Sequence[float], start: int, last: int, count: int) -> tuple[int, ...]:
    """`count` indices in [start, last] whose times are nearest to evenly spaced times."""
    times = np.asarray(seconds, dtype=np.float64)[start : last + 1]
    goals = np.linspace(times[0], times[-1], count)
    right = np.clip(np.searchsorted(times, goals), 1, max(1, len(times) - 1))
    if len(times) == 1:
        return (start,) * count
    nearer_left = goals - times[right - 1] <= times[right] - goals
    return tuple(int(start + i) for i in np.where(nearer_left, right - 1, right))


def spread_around(
    inside: tuple[int, int], total: int, count: int, frame_factor: int
) -> tuple[int, ...]:
    """Half of `count` inside the span, the rest over the clip outside it, in order of time.

    Whole multiples of `frame_factor` go to each side of the span; a side with fewer frames than
    its share leaves them to the span.
    """
    first, last = inside
    before, after = first, total - 1 - last
    outer = floor_by(min(count - max(frame_factor, count // 2), before + after), frame_factor)
    ahead = round_by(outer * before / max(1, before + after), frame_factor)
    ahead = min(ahead, floor_by(before, frame_factor))
    behind = min(outer - ahead, floor_by(after, frame_factor))
    within = count - ahead - behind
    indices: tuple[int, ...] = ()
    if ahead:
        indices += _middles(0, first - 1, ahead)
    indices += spread(first, last, within)
    if behind:
        indices += _middles(last + 1, total - 1, behind)
    return indices


def spread_over_scenes(cuts: Sequence[int], start: int, last: int, count: int) -> tuple[int, ...]:
    """`count` indices shared among scenes, each scene's spread over its inside.

    `cuts` are indices of first frames of new scenes. Every scene gets one frame while there are
    enough (else the longest ones), further ones go where frames are sparsest.
    """
    borders = [start, *sorted({c for c in cuts if start < c <= last}), last + 1]
    scenes = [(a, b - 1) for a, b in itertools.pairwise(borders)]
    if len(scenes) > count:
        scenes = sorted(sorted(scenes, key=lambda s: (s[0] - s[1], s[0]))[:count])
    shares = [1] * len(scenes)
    for _ in range(count - len(scenes)):
        sparsest = max(
            range(len(scenes)), key=lambda s: ((scenes[s][1] - scenes[s][0] + 1) / shares[s], -s)
        )
        shares[sparsest] += 1
    return tuple(i for (a, b), n in zip(scenes, shares, strict=True) for i in _middles(a, b, n))


def _middles(start: int, last: int, count: int) -> tuple[int, ...]:
    """The middles of `count` equal stretches of [start, last]."""
    length = last - start + 1
    return tuple(min(last, start + int((i + 0.5) * length / count)) for i in range(count))


def shuffled(indices: Sequence[int], seed: int) -> tuple[int, ...]:
    """A fixed permutation of the indices, never the order they came in where another exists."""
    if len(set(indices)) < 2:
        return tuple(indices)
    generator = np.random.default_rng([seed, len(indices), *(int(i) for i in indices)])
    while True:
        mixed = tuple(int(i) for i in generator.permutation(np.asarray(indices)))
        if mixed != tuple(indices):
            return mixed
