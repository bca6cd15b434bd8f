"""Three decoders behind one protocol: PyAV, decord, OpenCV.

PyAV comes first: it tells when a decoder had to patch a damaged frame and finds the asked-for frame
exactly. decord returns patched frames in silence, and wrong ones when it seeks in some HEVC
streams; its colours differ from PyAV's only at more than 8 bits a channel, where Qwen's own reader
is decord: there it comes first, its frames vouched for by PyAV. OpenCV reads what the others lack.
"""

from __future__ import annotations

import bisect
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from mmrl.errors import MediaError
from mmrl.media.header import VideoHeader, open_container
from mmrl.media.source import name_of, open_bytes
from mmrl.types import MediaRef

_DECORD_BATCH = 16
"""Frames that decord hands over at once; bounds memory at the clip's own size."""


class VideoReader(Protocol):
    """Decodes chosen frames of a clip."""

    name: str

    def read(
        self, ref: MediaRef, header: VideoHeader, indices: Sequence[int], /
    ) -> Iterator[np.ndarray]:
        """Frames at ascending, distinct indices, one by one: uint8 [H, W, 3], upright RGB.

        A MediaError with reason `corrupt`, `truncated` or `missing_frames` condemns the clip;
        `no_reader` says that this reader cannot.
        """
        ...


def readers_for(header: VideoHeader) -> tuple[VideoReader, ...]:
    """The readers to try on a clip, in order."""
    exact_in_decord = header.codec == "h264" or len(header.keyframes) == 1
    if header.bits > 8 and header.codec in ("h264", "hevc", "vp9") and exact_in_decord:
        return (DecordReader(), PyAVReader(), OpenCVReader())
    return (PyAVReader(), DecordReader(), OpenCVReader())


class PyAVReader:
    """FFmpeg through PyAV: strict about damage, seeks to the keyframe before each frame."""

    name = "pyav"

    def read(
        self, ref: MediaRef, header: VideoHeader, indices: Sequence[int], /
    ) -> Iterator[np.ndarray]:
        # one for all frames: `frame.to_ndarray(format=…)` makes a converter a frame (1.7 to 3 ms)
        converter = VideoReformatter()
        for _, frame in self.frames(ref, header, indices):
            rgb = converter.reformat(frame, format="rgb24").to_ndarray()
            yield upright(rgb, header.rotation)

    def vouch(self, ref: MediaRef, header: VideoHeader, indices: Sequence[int]) -> None:
        """Decodes the frames without converting them: raises where one of them is damaged."""
        for _ in self.frames(ref, header, indices):
            pass

    def frames(
        self, ref: MediaRef, header: VideoHeader, indices: Sequence[int]
    ) -> Iterator[tuple[int, Any]]:
        """(index, decoded frame) for ascending indices.

        A jump that fails (leading frames of an open group of pictures) is repeated from the
        start of the clip; only decoding from the start condemns a clip.
        """
        done = 0
        for jump in (True, False):
            try:
                for index, frame in _decode(ref, header, indices[done:], jump):
                    yield index, frame
                    done += 1
                return
            except MediaError as error:
                if not jump or error.reason != "corrupt":
                    raise


def _decode(
    ref: MediaRef, header: VideoHeader, indices: Sequence[int], jump: bool
) -> Iterator[tuple[int, Any]]:
    with open_bytes(ref) as file:
        container = open_container(ref, file)
        try:
            stream = container.streams[header.stream]
            stream.thread_type = "AUTO"
            stream.codec_context.options = {"err_detect": "explode"}
            jump = jump and header.has_pts
            shown = _sequence(container, stream, header, 0)
            position = -1
            for index in indices:
                key = header.keyframes[bisect.bisect_right(header.keyframes, index) - 1]
                if jump and key > position + 1:
                    container.seek(header.pts_of(index), stream=stream)
                    shown = _sequence(container, stream, header, None)
                for position, frame in shown:  # noqa: B007
                    if position >= index:
                        break
                else:
                    raise MediaError(
                        f"{name_of(ref)}: frame {index} of {header.num_frames} was promised by "
                        "the header and never came",
                        reason="corrupt" if jump else "missing_frames",
                    )
                if position != index:
                    raise MediaError(
                        f"{name_of(ref)}: wanted frame {index}, the decoder gave {position}",
                        reason="corrupt" if jump else "missing_frames",
                    )
                yield index, frame
        except av.FFmpegError as error:
            known = not isinstance(
                error, (av.error.PatchWelcomeError, av.error.DecoderNotFoundError)
            )
            raise MediaError(
                f"{name_of(ref)}: damaged inside: {error}",
                reason="corrupt" if known else "no_reader",
            ) from error
        finally:
            container.close()


def _sequence(
    container: Any, stream: Any, header: VideoHeader, first: int | None
) -> Iterator[tuple[int, Any]]:
    """(index, frame) in display order from where the container stands.

    With `first` the frames are counted from there, else placed by their display time.
    """
    count = first
    for frame in container.decode(stream):
        if frame.is_corrupt:
            raise av.error.InvalidDataError(0, "a frame that the decoder had to patch up")
        if count is None:
            if frame.pts is None:
                raise av.error.InvalidDataError(0, "a frame without a display time")
            yield header.index_of(frame.pts), frame
        else:
            yield count, frame
            count += 1


class DecordReader:
    """decord: silent about damage, so PyAV decodes the same frames as a check."""

    name = "decord"

    def read(
        self, ref: MediaRef, header: VideoHeader, indices: Sequence[int], /
    ) -> Iterator[np.ndarray]:
        try:
            import decord
        except ImportError as error:
            raise MediaError(f"decord cannot be imported: {error}", reason="no_reader") from error
        PyAVReader().vouch(ref, header, indices)
        with open_bytes(ref) as file:
            try:
                clip = decord.VideoReader(file, num_threads=2)
                if len(clip) != header.num_frames:
                    raise MediaError(
                        f"{name_of(ref)}: decord counts {len(clip)} frames, "
                        f"the header {header.num_frames}",
                        reason="no_reader",
                    )
                for at in range(0, len(indices), _DECORD_BATCH):
                    batch = clip.get_batch(list(indices[at : at + _DECORD_BATCH])).asnumpy()
                    for picture in batch:
                        yield _as_shown(picture, header)
            except (decord.DECORDError, RuntimeError, IndexError) as error:
                raise MediaError(
                    f"{name_of(ref)}: decord cannot read it: {str(error).splitlines()[0]}",
                    reason="no_reader",
                ) from error


class OpenCVReader:
    """OpenCV, frame by frame from the start: slow and last."""

    name = "opencv"

    def read(
        self, ref: MediaRef, header: VideoHeader, indices: Sequence[int], /
    ) -> Iterator[np.ndarray]:
        import cv2

        with _as_path(ref) as path:
            clip = cv2.VideoCapture(path)
            try:
                if not clip.isOpened():
                    raise MediaError(f"{name_of(ref)}: OpenCV cannot open it", reason="no_reader")
                counted = int(clip.get(cv2.CAP_PROP_FRAME_COUNT))
                if counted > 0 and abs(counted - header.num_frames) > 1:
                    raise MediaError(
                        f"{name_of(ref)}: OpenCV counts {counted} frames, "
                        f"the header {header.num_frames}",
                        reason="no_reader",
                    )
                position = -1
                for index in indices:
                    while position < index:
                        if not clip.grab():
                            raise MediaError(
                                f"{name_of(ref)}: OpenCV stops at frame {position + 1} "
                                f"of {header.num_frames}",
                                reason="no_reader",
                            )
                        position += 1
                    _, picture = clip.retrieve()
                    yield _as_shown(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), header)
            finally:
                clip.release()


def upright(picture: np.ndarray, clockwise: int) -> np.ndarray:
    """The picture [H, W, 3] turned clockwise by a multiple of 90 degrees."""
    return np.rot90(picture, k=-clockwise // 90 % 4)


def _as_shown(picture: np.ndarray, header: VideoHeader) -> np.ndarray:
    """A picture of a reader that turns by itself; turned here where it did not (quarter turns)."""
    width, height = header.size
    if header.rotation % 180 and width != height and picture.shape[:2] == (width, height):
        return upright(picture, header.rotation)
    return picture


@contextmanager
def _as_path(ref: MediaRef) -> Iterator[str]:
    """A path of the medium, a temporary one for bytes in memory."""
    if ref.path is not None:
        yield str(ref.path)
        return
    handle, path = tempfile.mkstemp(suffix=".clip")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(ref.data or b"")
        yield path
    finally:
        os.unlink(path)
