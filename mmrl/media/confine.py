"""Which media files a run's records may name: pictures and clips of the run, or of its data roots.

A run folder may come from anywhere, so what its records say is not believed: a relative name is
`media/…` of plain letters, an absolute one lies under a data root once all links are followed, and
either must begin as a picture or clip does.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from mmrl.errors import MediaError
from mmrl.media.beginnings import HEAD_BYTES, form_of
from mmrl.media.source import stat_file

MAX_NAME = 1024
"""Characters of a path; no file system of ours has longer ones that a data set would use."""
_RELATIVE = re.compile(r"media(?:/[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}){1,8}")


def confined_media(name: str, rollouts: Path, roots: Sequence[Path]) -> Path:
    """The resolved path of a record's media file, or a MediaError.

    Reasons: `confined`, `not_media`, and those of `mmrl.media.source`.

    `rollouts` is the folder of the records, its run folder resolved; `roots` are the resolved
    folders that absolute names may lie in.
    """
    shown = ascii(name[:80]) + ("…" if len(name) > 80 else "")
    if len(name) > MAX_NAME or "\0" in name:
        raise _refused(f"{shown}: wanted the name of a media file; {len(name)} characters came")
    if name.startswith("/"):
        if not any(_inside(Path(name), root) for root in roots):
            known = ", ".join(map(str, roots)) or "none"
            raise _refused(
                f"{shown}: lies in none of the run's data roots ({known}); "
                "name its folder with --data-root if you trust it"
            )
        path = Path(name)
    elif _RELATIVE.fullmatch(name):
        path = rollouts / name
        if not _inside(path, rollouts / "media"):
            raise _refused(f"{shown}: leads out of {rollouts / 'media'}")
    else:
        raise _refused(f"{shown}: wanted media/NAME of plain letters, or a path in a data root")
    resolved = _resolved(path)
    stat_file(resolved)
    if not _is_media(resolved):
        raise MediaError(f"{shown}: begins neither as a picture nor as a clip", reason="not_media")
    return resolved


def open_plain(path: Path) -> BinaryIO:
    """The file for reading; a link is not followed (OSError) and a pipe not waited for."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    return os.fdopen(os.open(path, flags), "rb")


def is_plain_file(path: Path) -> bool:
    """Whether a path is a regular file itself, no link, pipe or device."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except (OSError, ValueError):
        return False


def _inside(path: Path, root: Path) -> bool:
    """Whether a path lies in a folder once every link on the way is followed.

    The folder itself is not followed: were it a link, what lies behind it is elsewhere.
    """
    return _resolved(path).is_relative_to(root)


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a name that is too long
        raise _refused(f"{ascii(str(path))[:90]}: {error}") from None


def _is_media(path: Path) -> bool:
    try:
        with open_plain(path) as file:
            return form_of(file.read(HEAD_BYTES)) is not None
    except OSError as error:
        raise _refused(f"{path}: {error.strerror}") from None


def _refused(message: str) -> MediaError:
    return MediaError(message, reason="confined")
