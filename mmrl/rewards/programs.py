"""The frames that programs in completions make, found by running them in the sandbox.

One sandbox a process and setting, opened by the first program and closed with the run
(`close_sandboxes`), or at the process's end. Under several ranks each has its own.
"""

from __future__ import annotations

from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass, field

from mmrl.errors import SandboxError
from mmrl.parse.code_tables import FRAME_NAME, programs_of
from mmrl.parse.tables import MAX_CELLS, Table, table_of_rows
from mmrl.sandbox.python import PythonSandbox
from mmrl.sandbox.result import Limits, Result
from mmrl.sandbox.walls import require

PRELUDE = "import numpy as np\nimport pandas as pd\nfrom pandas import DataFrame\n"
"""Goes before every program: a reader of the text knows these names as well."""
MAX_REMEMBERED = 256
"""Frames that are kept for equal completions to come; at most `MAX_CELLS` each."""


@dataclass(frozen=True, kw_only=True)
class RunPrograms:
    """How the programs of completions are run."""

    limits: Limits = field(default_factory=Limits)
    """What one program may use."""
    workers: int = 2
    """Programs at a time, in each rank."""
    without: tuple[str, ...] = ()
    """Walls of the jail (seccomp, landlock, namespaces) that are not put up: say it where the
    system lacks them (`mmrl doctor`) and the programs are trusted as far as that."""

    def check(self) -> None:
        """SandboxError with the reasons where a wall that is wanted cannot stand here."""
        if self.workers < 1:
            raise SandboxError(f"sandbox: wanted workers >= 1; got {self.workers}")
        require(self.without)

    def start(self, text: str) -> None:
        """Begins to run the program of a completion, so that `frame` waits less."""
        _opened(self).start("\n".join(programs_of(text)))

    def frame(self, text: str) -> Table | None:
        """The frame `chart_data` that the completion's blocks make, run as one program.

        None where there is no program or no such frame when it ended, however it ended. An index
        that is not 0, 1, … comes as the first column. SandboxError where none can be run.
        """
        return _opened(self).frame("\n".join(programs_of(text)))


def close_sandboxes() -> None:
    """Ends every sandbox with what runs in it; the next program opens a new one."""
    while _OPEN:
        _OPEN.popitem()[1].sandbox.close()


class _Open:
    """A sandbox and what its last programs came to: equal ones run once."""

    def __init__(self, settings: RunPrograms) -> None:
        self.sandbox = PythonSandbox(settings.workers, settings.limits, without=settings.without)
        self._running: dict[str, Future[Result]] = {}
        self._frames: OrderedDict[str, Table | None] = OrderedDict()

    def start(self, program: str) -> None:
        if program and program not in self._frames and program not in self._running:
            self._running[program] = self.sandbox.submit(PRELUDE + program, (FRAME_NAME,))

    def frame(self, program: str) -> Table | None:
        if not program:
            return None
        self.start(program)
        if program in self._running:
            self._frames[program] = _frame_of(self._running.pop(program).result())
        self._frames.move_to_end(program)
        while len(self._frames) > MAX_REMEMBERED:
            self._frames.popitem(last=False)
        return self._frames[program]


def _frame_of(result: Result) -> Table | None:
    found = result.tables.get(FRAME_NAME)
    if found is None or len(found.columns) * len(found.rows) > MAX_CELLS:
        return None
    return table_of_rows(found.columns, found.rows)


_OPEN: dict[RunPrograms, _Open] = {}


def _opened(settings: RunPrograms) -> _Open:
    if settings not in _OPEN:
        _OPEN[settings] = _Open(settings)
    return _OPEN[settings]
