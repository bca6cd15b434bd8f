"""What answers and reference draw, as an SVG that lies over a picture of a report.

Coordinates are fractions of the picture; they come from a file and are written as numbers only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmrl.tasks.overlay import Overlay

MOST_ANSWERS = 8
"""Rollouts of a group whose marks are drawn, the best first."""


def marks_svg(rows: Sequence[Mapping[str, Any]], medium: int) -> str:
    """Marks of the rollouts (in their order, the first strongest) and of the reference; or ""."""
    shapes = []
    for place, row in reversed(list(enumerate(rows[:MOST_ANSWERS]))):
        css = "answer" if place else "answer first"
        shapes += _shapes(row.get("overlay"), medium, css)
    if rows:
        shapes += _shapes(rows[0].get("gold_overlay"), medium, "gold")
    if not shapes:
        return ""
    return f'<svg viewBox="0 0 1 1" preserveAspectRatio="none">{"".join(shapes)}</svg>'


def _shapes(drawn: Any, medium: int, css: str) -> list[str]:
    if drawn is None:
        return []
    overlay = Overlay.from_json(drawn)
    lines: list[Sequence[tuple[float, float]]] = []
    for box in overlay.boxes:
        if box.medium == medium:
            x1, y1, x2, y2 = box.box
            lines.append([(x1, y1), (x2, y1), (x2, y2), (x1, y2), (x1, y1)])
    lines += [route.line for route in overlay.routes if route.medium == medium]
    out = [f'<polyline class="{css}" points="{_points(line)}"/>' for line in lines]
    for mark in overlay.points:
        if mark.medium == medium:
            out.append(f'<polyline class="{css} dot" points="{_points([mark.point] * 2)}"/>')
    return out


def _points(line: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.4f},{y:.4f}" for x, y in line)
