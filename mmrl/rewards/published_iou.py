"""IoU as published programs count it, for comparison with their figures; rewards use neither.

`exclusive_iou` is VLM-R1's and GUI-G1's: the far edges of the intersection are drawn in by a pixel,
so that boxes of one pixel and boxes in shares never overlap. `inclusive_iou` is Seg-Zero's: every
side is a pixel longer, so that flat boxes overlap and shares count as pixels.
"""

from __future__ import annotations

from mmrl.parse.boxes import Box


def exclusive_iou(a: Box, b: Box) -> float:
    """Intersection of [x1, x2 - 1] with a pixel added back, areas w · h; 0 for no area."""
    x1, y1 = max(a[0], b[0]), max(a[1], b[1])
    x2, y2 = min(a[2] - 1, b[2] - 1), min(a[3] - 1, b[3] - 1)
    inter = (x2 - x1 + 1) * (y2 - y1 + 1) if x1 < x2 and y1 < y2 else 0.0
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter
    return float(inter / union) if union else 0.0


def inclusive_iou(a: Box, b: Box) -> float:
    """Every width and height a pixel longer."""
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]) + 1)
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]) + 1)
    inter = width * height
    union = _inclusive_area(a) + _inclusive_area(b) - inter
    return float(inter / union) if union else 0.0


def _inclusive_area(box: Box) -> float:
    return (box[2] - box[0] + 1) * (box[3] - box[1] + 1)
