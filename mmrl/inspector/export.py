"""A group as a file to keep: its records as JSON, or one picture that shows it all."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmrl.errors import DataError
from mmrl.inspector.links import Where
from mmrl.inspector.looking import group_of, media_of_run
from mmrl.inspector.page import Page
from mmrl.inspector.poster import poster
from mmrl.inspector.rows import Stored


def export_group(page: Page, where: Where, form: str) -> Path:
    """Writes the chosen group as `form` ("png" or "json") into the page's scratch folder.

    DataError where no group is chosen or it is gone.
    """
    if where.step is None or not where.draw:
        raise DataError("no group is chosen: click one in the list")
    group = group_of(page, where.run, where.step, where.draw)
    folder = page.scratch / "exports" / secrets.token_hex(8)
    folder.mkdir(parents=True)
    path = folder / f"{file_stem(where)}.{'png' if form == 'png' else 'json'}"
    if form == "png":
        media = media_of_run(page, where.run, group[0].record)
        poster([s.record for s in group], media, run=where.run).save(path, "PNG")
    else:
        path.write_text(group_json(group, where.run), encoding="utf-8")
    return path


def group_json(group: Sequence[Stored], run: str) -> str:
    """The records of a group, as they stand in the run folder, with the name of the run."""
    document: dict[str, Any] = {"run": run, "rollouts": [dict(s.record) for s in group]}
    return json.dumps(document, indent=1, default=str) + "\n"


def file_stem(where: Where) -> str:
    """A file name of plain letters for a group."""
    plain = re.sub(r"[^A-Za-z0-9]+", "-", f"{where.run}-step-{where.step}-draw-{where.draw}")
    return plain.strip("-")[:100] or "group"
