"""`mmrl show TASK|DATASET --to FILE.png`: samples with question and gold answer on one sheet.

Pictures stand as they are (small ones enlarged by a whole factor, without smoothing), with
reference boxes outlined; clips are strips of frames with their seconds, those inside the reference
span underlined.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mmrl.data.registry import open_data
from mmrl.errors import ConfigError, DataError
from mmrl.media.plan import ImagePlan, MediaBudget, VideoPlan
from mmrl.media.store import MediaStore
from mmrl.parse.boxes import Box, CoordSpace, convert_box
from mmrl.rewards.gold import gold_boxes, gold_space, gold_span
from mmrl.tasks.base import TASKS
from mmrl.types import MediaRef, Sample

FRAMES = 8
"""Frames of a clip on its strip."""
LIGHT = 60_000
"""Bytes of a sheet that may stand beside code; many samples of noise still weigh more."""
_COLOURS = (256, 96, 64, 32)
_SMALL, _LARGE = 224, 448
"""A picture narrower than half of the first is enlarged, one wider than the second shrunk."""
_FRAME = 96
_GAP, _LINE, _TEXT = 8, 15, 12
_MOST_LINES = 12
_OUTLINE, _QUESTION, _GOLD, _GREY = (235, 0, 200), (0, 0, 0), (0, 70, 190), (110, 110, 110)


def world_sheets(folder: Path, samples: int, seed: int, split: str) -> Iterator[Path]:
    """One sheet `TASK_LEVEL.png` for every level of every world."""
    for name in TASKS:
        task = TASKS.get(name)
        for level, options in task.levels.items() if task.world is not None else ():
            entry = {"task": name, "split": split, "options": options}
            stem = name if level == "default" else f"{name}_{level}"
            yield sheet_of(entry, samples, seed, folder / f"{stem}.png")


def sheet_of(entry: Mapping[str, Any], samples: int, seed: int, to: Path) -> Path:
    """Draws the first samples of a data entry and returns the file, a PNG of few colours.

    Noise does not compress: a sheet heavier than `LIGHT` gets fewer of them.
    """
    if to.suffix != ".png":
        raise ConfigError(f"--to {to}: wanted a file name that ends in .png")
    view = open_data(entry, None, seed)
    num = samples if view.size is None else min(samples, view.size)
    with MediaStore(workers=1) as store:
        sheet = draw_sheet([view[i] for i in range(num)], store, to.stem)
    to.parent.mkdir(parents=True, exist_ok=True)
    for colours in _COLOURS:
        few = sheet.quantize(colours, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        few.save(to, "png", optimize=True)
        if to.stat().st_size <= LIGHT:
            break
    return to


def draw_sheet(samples: Sequence[Sample], store: MediaStore, title: str) -> Image.Image:
    """The samples in rows, as near to a square as goes, under a title."""
    shown = [_media(sample, store) for sample in samples]
    width = max([240, *(_width(pictures) for pictures in shown)])
    cells = [_cell(s, pictures, width) for s, pictures in zip(samples, shown, strict=True)]
    columns = max(1, min(math.ceil(math.sqrt(len(cells))), 1200 // (width + _GAP)))
    rows = [cells[i : i + columns] for i in range(0, len(cells), columns)]
    height = _GAP + _LINE + sum(_GAP + max(cell.height for cell in row) for row in rows)
    sheet = Image.new("RGB", (columns * (width + _GAP) + _GAP, height + _GAP), (255, 255, 255))
    ImageDraw.Draw(sheet).text((_GAP, 4), title, _GREY, _font())
    top = _GAP + _LINE
    for row in rows:
        for i, cell in enumerate(row):
            sheet.paste(cell, (_GAP + i * (width + _GAP), top))
        top += _GAP + max(cell.height for cell in row)
    return sheet


def _cell(sample: Sample, pictures: list[Image.Image], width: int) -> Image.Image:
    """The pictures of a sample in rows, its question and its gold answer."""
    gold = TASKS.get(sample.task).gold(sample)
    blocks = [(_wrapped(sample.question, width), _QUESTION), (_wrapped(gold, width), _GOLD)]
    rows: list[list[Image.Image]] = [[]]
    for picture in pictures:
        if rows[-1] and _width([*rows[-1], picture]) > width:
            rows.append([])
        rows[-1].append(picture)
    tall = sum(max((p.height for p in row), default=0) + 4 for row in rows)
    cell = Image.new(
        "RGB", (width, tall + _LINE * sum(len(b) for b, _ in blocks) + 6), (255, 255, 255)
    )
    top = 0
    for row in rows:
        left = 0
        for picture in row:
            cell.paste(picture, (left, top))
            left += picture.width + 4
        top += max((p.height for p in row), default=0) + 4
    pen = ImageDraw.Draw(cell)
    for lines, ink in blocks:
        for line in lines:
            pen.text((0, top), line, ink, _font())
            top += _LINE
        top += 2
    return cell


def _width(pictures: Sequence[Image.Image]) -> int:
    return min(sum(p.width + 4 for p in pictures) - 4, 1184) if pictures else 0


def _media(sample: Sample, store: MediaStore) -> list[Image.Image]:
    shown = []
    for ref in sample.media:
        if ref.kind == "image":
            size = store.plan(ref, MediaBudget()).original_size
            whole = ImagePlan(original_size=size, processed_size=size)
            shown.append(_picture(store.image(ref, whole), sample))
        else:
            shown += _strip(store, ref, sample)
    return shown


def _picture(pixels: np.ndarray, sample: Sample) -> Image.Image:
    """The picture at a size that can be looked at, with its reference boxes."""
    picture = Image.fromarray(pixels)
    size = picture.size
    if size[0] > _LARGE:
        height = round(size[1] * _LARGE / size[0])
        picture = picture.resize((_LARGE, height), Image.Resampling.LANCZOS)
    elif size[0] <= _SMALL // 2:
        factor = _SMALL // size[0]
        picture = picture.resize((size[0] * factor, size[1] * factor), Image.Resampling.NEAREST)
    pen, scale = ImageDraw.Draw(picture), picture.width / size[0]
    for box in _boxes(sample, size):
        pen.rectangle([round(v * scale) for v in box], outline=_OUTLINE)
    return picture


def _boxes(sample: Sample, size: tuple[int, int]) -> list[Box]:
    """Reference boxes of a sample with one picture, in pixels of it."""
    if "coord_space" not in sample.meta or len(sample.media) != 1:
        return []
    try:
        boxes, space = gold_boxes(sample), gold_space(sample)
    except DataError:
        return []  # a point, or an answer of another form: nothing to outline
    return [convert_box(box, space, CoordSpace.ABS_ORIGINAL, size, size) for box in boxes]


def _strip(store: MediaStore, ref: MediaRef, sample: Sample) -> list[Image.Image]:
    """Frames of a clip, each with its seconds under it."""
    seen = replace(ref, options={"num_frames": FRAMES, "min_pixels": 1})
    plan = store.plan(seen, MediaBudget())
    if not isinstance(plan, VideoPlan):
        raise DataError(f'sample "{sample.id}": its video is a picture')
    try:
        start, end = gold_span(sample)
    except DataError:
        start = end = -1.0  # the question is not about a time
    frames = []
    for pixels, second in zip(store.video(seen, plan), plan.seconds, strict=True):
        frame = Image.fromarray(np.asarray(pixels))
        height = round(_FRAME * frame.height / frame.width)
        cell = Image.new("RGB", (_FRAME, height + _LINE), (255, 255, 255))
        cell.paste(frame.resize((_FRAME, height), Image.Resampling.BICUBIC), (0, 0))
        pen = ImageDraw.Draw(cell)
        pen.text((2, height), f"{second:.1f} s", _GREY, _font())
        if start <= second < end:
            pen.rectangle([40, height + 6, _FRAME - 2, height + 10], fill=_OUTLINE)
        frames.append(cell)
    return frames


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of at most that many pixels; the last of too many ends in an ellipsis."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split(" "):
            longer = f"{line} {word}" if line else word
            if _font().getlength(longer) <= width:
                line = longer
                continue
            lines += [line] if line else []
            line = word
            while _font().getlength(line) > width:
                fits = max(n for n in range(1, len(line)) if _font().getlength(line[:n]) <= width)
                lines.append(line[:fits])
                line = line[fits:]
        lines.append(line)
    if len(lines) > _MOST_LINES:
        lines = [*lines[: _MOST_LINES - 1], lines[_MOST_LINES - 1][:-3] + " …"]
    return lines


@cache
def _font() -> ImageFont.FreeTypeFont:
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return ImageFont.truetype(str(folder / "DejaVuSans.ttf"), _TEXT)
