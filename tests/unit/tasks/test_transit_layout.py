"""Names on maps: off each other, off stops, off lines, inside the picture; lines where they go."""

from __future__ import annotations

from itertools import combinations
from math import hypot

import numpy as np
import pytest

from mmrl.tasks.transit.labels import place_labels, text_size
from mmrl.tasks.transit.layout import BUSY, Layout, Style, lay_out
from mmrl.tasks.transit.octilinear import LEVELS, LINE_COLOURS, draw_map
from mmrl.tasks.transit.real import real_network
from mmrl.tasks.transit.render import GROUND, INK, paint
from mmrl.tasks.transit.scene import MapLine, TransitMap


def laid(kind: str, seed: int) -> tuple[TransitMap, Layout, Style]:
    rng = np.random.default_rng(seed)
    level = LEVELS["hard"]
    while True:
        if kind == "drawn":
            shown = draw_map(rng, level, 5)
            style = Style(side=level.side, text=level.text, legend=True)
        else:
            shown = real_network(kind).window(rng, 20)
            style = Style(side=560, text=11, line=4.0, legend=True, crowded=True)
        layout = None if shown is None else lay_out(shown, style)
        if shown is not None and layout is not None:
            return shown, layout, style


@pytest.mark.parametrize("kind", ["drawn", "beijing", "london", "shanghai"])
def test_names_keep_off_each_other_and_off_stops(kind):
    for seed in range(6):
        shown, layout, style = laid(kind, seed)
        floor = min((y1 for _, (_, y1, _, _) in layout.legend), default=style.side)
        assert floor > style.side / 2
        rects = list(layout.names.values())
        for a, b in combinations(rects, 2):
            assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
        for name, (x1, y1, x2, y2) in layout.names.items():
            assert x1 >= 1 and x2 < style.side and y1 >= 1 and y2 <= floor
            assert (x2 - x1, y2 - y1) == text_size(name, style.text)
            for stop, at in shown.places.items():
                x, y = layout.where(at)
                gap = hypot(max(x1 - x, 0, x - x2), max(y1 - y, 0, y - y2))
                assert gap >= style.stop - 0.5
                if stop == name:  # and beside its own stop
                    assert gap <= style.stop * BUSY + 6
        if kind == "drawn":
            assert len(rects) == len(shown.places)  # all have names, off the lines too
            for stroke in layout.strokes:
                for share in np.linspace(0, 1, 20):
                    x, y = np.array(stroke.a) * (1 - share) + np.array(stroke.b) * share
                    assert not any(x1 <= x < x2 and y1 <= y < y2 for x1, y1, x2, y2 in rects)


def test_lines_along_one_stretch_stand_side_by_side():
    def line(name: str, *path: tuple[float, float]) -> MapLine:
        return MapLine(name=name, colour=LINE_COLOURS[name], courses=(("P", "Q"),), paths=(path,))

    shown = TransitMap(
        (line("red", (0, 0), (10, 0)), line("blue", (10, 0), (0, 0))),
        {"P": (0.0, 0.0), "Q": (10.0, 0.0)},
    )
    style = Style(side=200, line=6.0)
    layout = lay_out(shown, style)
    assert layout is not None
    heights = [stroke.a[1] for stroke in layout.strokes]
    assert heights == [stroke.b[1] for stroke in layout.strokes]
    assert sorted(heights) == [97.0, 103.0]
    picture = paint(shown, layout, style)
    for stroke in layout.strokes:
        seen = picture[round(stroke.a[1]), 100].astype(int)
        assert np.abs(seen - stroke.line.colour).max() < 25
    assert tuple(picture[5, 5]) == GROUND


def test_a_name_without_a_place_fails_or_is_left_out():
    free, full = np.zeros((60, 60), np.uint8), np.ones((60, 60), np.uint8)
    spots = {"Ab": (30.0, 30.0)}
    assert place_labels(free, full, spots, size=10, radius=5) is None
    over = place_labels(free, full, spots, size=10, radius=5, strict=False)
    assert over is not None and list(over) == ["Ab"]
    assert place_labels(full, free, spots, size=10, radius=5) is None
    assert place_labels(full, free, spots, size=10, radius=5, strict=False) == {}
    # the right side is best; where it is taken, the left one
    right = place_labels(free, free, spots, size=10, radius=5)
    assert right is not None and right["Ab"][0] == 37
    taken = free.copy()
    taken[:, 37:] = 1
    left = place_labels(free, taken, spots, size=10, radius=5)
    assert left is not None and left["Ab"][2] == 23


def test_an_interchange_has_a_dark_ring_and_a_plain_stop_its_colour():
    shown, layout, style = laid("drawn", 3)
    picture = paint(shown, layout, style).astype(int)
    busy = set(shown.network.interchanges)
    for name, at in shown.places.items():
        x, y = layout.where(at)
        radius = style.stop * (BUSY if name in busy else 1) - 0.7
        (line, *_) = (line for line in shown.lines if any(name in c for c in line.courses))
        wanted = INK if name in busy else line.colour
        ring = [
            picture[round(y + radius * np.sin(t)), round(x + radius * np.cos(t))]
            for t in np.linspace(0, 2 * np.pi, 16, endpoint=False)
        ]
        assert np.abs(np.median(ring, 0) - wanted).max() < 70, name
        assert picture[round(y), round(x)].min() > 235
