"""Ctrl-C and SIGTERM during a run. First: finish the step, save, leave. Second: leave at once."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any


class BrokenOff(Exception):
    """An evaluation was stopped by Ctrl-C; it is done again after resuming."""


class Signals:
    """Inside, a signal sets `arrived`; a second one raises KeyboardInterrupt.

    It comes to each process by itself: what to do of it is for all ranks to decide together.
    """

    def __init__(self) -> None:
        self.arrived = False
        self.before: dict[int, Any] = {}

    def __enter__(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self.before[number] = signal.signal(number, self._on_signal)
            except ValueError:  # not the main thread: the host program keeps its handlers
                return

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.arrived:
            raise KeyboardInterrupt
        self.arrived = True
