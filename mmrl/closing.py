"""Things that hold processes, files or memory until they are closed, as context managers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self


class Closing(ABC):
    """`with` closes it at the end, whatever happened; a subclass says how."""

    @abstractmethod
    def close(self) -> None:
        """Gives up what is held; a second call does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
