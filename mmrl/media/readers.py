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

from mmrl.errors import MediaError
from mmrl.media.header import VideoHeader, open_container
from mmrl.media.source import name_of, open_bytes
from mmrl.types import MediaRef


class VideoReader(Protocol):
    """Decodes chosen frames of a clip."""

    name: str

    def read(self, ref: MediaRef, header: VideoHeader, indices: Sequence[int], /) -> np.ndarray:
        """Frames at ascending, distinct indices: uint8 [F, H, W, 3], upright RGB.

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

    def read(self, ref: MediaRef, header: VideoHeader, indices: Sequence[int], /) -> np.ndarray:
        frames: np.ndarray | None = None
        for at, (_, frame) in enumerate(self.frames(ref, header, indices)):
            picture = upright(frame.to_ndarray(format="rgb24"), header.rotation)
            if frames is None:
                frames = np.empty((len(indices), *picture.shape), dtype=np.uint8)
            if picture.shape != frames.shape[1:]:
                raise MediaError(
                    f"{name_of(ref)}: the frame size changes inside the clip",
                    reason="no_reader",
                )
            frames[at] = picture
        assert frames is not None
        return frames

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
                for position, frame in shown:
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

    def read(self, ref: MediaRef, header: VideoHeader, indices: Sequence[int], /) -> np.ndarray:
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
                frames: np.ndarray = clip.get_batch(list(indices)).asnumpy()
            except (decord.DECORDError, RuntimeError, IndexError) as error:
                raise MediaError(
                    f"{name_of(ref)}: decord cannot read it: {str(error).splitlines()[0]}",
                    reason="no_reader",
                ) from error
        width, height = header.size
        if frames.shape[1:3] == (width, height) and header.rotation % 180:
            frames = np.stack([upright(f, header.rotation) for f in frames])
        return frames


class OpenCVReader:
    """OpenCV, frame by frame from the start: slow and last."""

    name = "opencv"

    def read(self, ref: MediaRef, header: VideoHeader, indices: Sequence[int], /) -> np.ndarray:
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
                frames, position = [], -1
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
                    frames.append(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
            finally:
                clip.release()
        return np.stack(frames)


def upright(picture: np.ndarray, clockwise: int) -> np.ndarray:
    """The picture [H, W, 3] turned clockwise by a multiple of 90 degrees."""
    return np.rot90(picture, k=-clockwise // 90 % 4)


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
