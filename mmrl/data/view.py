"""Samples by number: what every source of data looks like, and what one sample holds."""

from __future__ import annotations

from typing import Protocol

from mmrl.errors import DataError
from mmrl.media.image import ImageHeader
from mmrl.media.store import MediaStore
from mmrl.tasks.base import Task
from mmrl.types import MediaInfo, MediaRef, Sample


class SampleView(Protocol):
    """Samples by number, the same for the same number; `size` None means there is no end."""

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> int | None: ...

    def __getitem__(self, index: int, /) -> Sample: ...

    def where(self, index: int, /) -> str:
        """Where sample `index` comes from, for messages."""


def gold_answer(task: Task, sample: Sample) -> str:
    """The reference answer in the demanded form; a DataError for any target that gives none."""
    try:
        return task.gold(sample)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        text = f"no gold answer can be made of {sample.target!r:.60}: {type(error).__name__}"
        raise DataError(f"{text}: {error}") from error


def media_info(ref: MediaRef, store: MediaStore) -> MediaInfo:
    """Kind, digest and size of a medium as its header says, before any prompt was planned."""
    size = (header := store.header(ref)).size
    return MediaInfo(
        kind="image" if isinstance(header, ImageHeader) else "video",
        digest=store.digest(ref),
        original_size=size,
        processed_size=size,
        num_tokens=0,
    )
