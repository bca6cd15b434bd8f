"""Samples by number: what every source of data looks like."""

from __future__ import annotations

from typing import Protocol

from mmrl.types import Sample


class SampleView(Protocol):
    """Samples by number, the same for the same number; `size` None means there is no end."""

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> int | None: ...

    def __getitem__(self, index: int, /) -> Sample: ...

    def where(self, index: int, /) -> str:
        """Where sample `index` comes from, for messages."""
