"""Drawn maps: a few lines along a lattice in eight directions, meeting at shared stops.

Lines are courses, loops (an octagon or rectangle) or forks (a course with a branch). No two share a
stretch of track and none cross between lattice points: where lines meet there is a stop.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from mmrl.tasks.transit.names import stop_names
from mmrl.tasks.transit.scene import MapLine, Rgb, TransitMap

Node = tuple[int, int]
HEADINGS: tuple[Node, ...] = ((1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1))
LINE_COLOURS: dict[str, Rgb] = {
    "red": (215, 45, 40),
    "blue": (45, 85, 215),
    "green": (40, 165, 65),
    "yellow": (240, 190, 20),
    "purple": (150, 60, 180),
    "black": (40, 40, 40),
}


@dataclass(frozen=True, kw_only=True)
class Level:
    """How large and how hard to read a drawn map is."""

    side: int
    """Pixels of the picture's sides."""
    lattice: int
    """Lattice points along a side of the map."""
    lines: tuple[int, int]
    """Fewest and most lines."""
    length: tuple[int, int]
    """Fewest and most stops of a course."""
    loops: float
    """Chance that one line is a loop."""
    branches: float
    """Chance that one line has a branch."""
    names: str
    """Style of stop names."""
    numbered: bool
    """Lines are called "Line 1" and explained by a legend; otherwise by their colour."""
    text: int = 14
    """Height of the names in pixels."""
    between: int = 0
    """Highest least option of "stops between": the four options are k, k + 1, k + 2 and k + 3 for
    one k from 0 to this."""
    cell: int = 0
    """Pixels of a lattice step where names stand inside their stops, each in a cell of its own; 0:
    the map fills the picture and names stand beside their stops."""
    window: tuple[int, int] = (0, 0)
    """Stops in a window of a real network, and the sides of its picture; none where 0."""
    skipped: float = 0.0
    """Chance that a line passes an inner lattice point without a stop."""


LEVELS: dict[str, Level] = {
    "tiny": Level(
        side=168, lattice=6, lines=(2, 3), length=(3, 5), loops=0.0, branches=0.0,
        names="letters", numbered=False, text=13, cell=28, skipped=0.25,
    ),
    "easy": Level(
        side=224, lattice=5, lines=(2, 3), length=(3, 5), loops=0.15, branches=0.15,
        names="letters", numbered=False, window=(10, 336),
    ),
    "medium": Level(
        side=336, lattice=7, lines=(3, 4), length=(5, 7), loops=0.35, branches=0.35,
        names="short", numbered=True, text=12, between=2, window=(15, 448),
    ),
    "hard": Level(
        side=448, lattice=9, lines=(4, 6), length=(6, 10), loops=0.5, branches=0.5,
        names="long", numbered=True, text=10, between=3, window=(24, 560),
    ),
}  # fmt: skip
MEETINGS = 2
"""Most stops that two lines share."""


@dataclass
class _Lattice:
    """What is taken: nodes by lines, edges, and the diagonals of cells."""

    size: int
    lines_at: dict[Node, set[int]] = field(default_factory=dict)
    edges: set[frozenset[Node]] = field(default_factory=set)

    def is_free(self, a: Node, b: Node) -> bool:
        """Whether track may be laid from a to its neighbour b."""
        if not (0 <= b[0] < self.size and 0 <= b[1] < self.size):
            return False
        crossing = frozenset(((a[0], b[1]), (b[0], a[1])))
        return frozenset((a, b)) not in self.edges and crossing not in self.edges

    def lay(self, course: list[Node], line: int) -> None:
        self.edges |= {frozenset(pair) for pair in pairwise(course)}
        for node in course:
            self.lines_at.setdefault(node, set()).add(line)


def draw_map(rng: np.random.Generator, level: Level, count: int) -> TransitMap | None:
    """A map of `count` lines, or None where the dice laid lines that do not fit (draw again)."""
    lattice = _Lattice(level.lattice)
    loop = 0 if rng.random() < level.loops else -1
    fork = count - 1 if rng.random() < level.branches else -1
    lines: list[list[list[Node]]] = []
    for number in range(count):
        courses = _lay_line(rng, lattice, level, number, number == loop, number == fork)
        if courses is None:
            return None
        lines.append(courses)
    return _named(rng, lines, _stops(rng, lattice, lines, level), level)


def _stops(
    rng: np.random.Generator, lattice: _Lattice, lines: list[list[list[Node]]], level: Level
) -> list[Node]:
    """The nodes that are stops: all but inner nodes that one line just passes."""
    stops: dict[Node, None] = {}
    for courses in lines:
        for course in courses:
            for i, node in enumerate(course):
                inner = 0 < i < len(course) - 1 and len(lattice.lines_at[node]) == 1
                if not (inner and level.skipped and rng.random() < level.skipped):
                    stops[node] = None
    return list(stops)


def _lay_line(
    rng: np.random.Generator,
    lattice: _Lattice,
    level: Level,
    number: int,
    is_loop: bool,
    is_fork: bool,
) -> list[list[Node]] | None:
    for _ in range(30):
        course = _ring(rng, lattice.size) if is_loop else _course(rng, lattice, level, number)
        if course is None or not _meets_well(lattice, course, number):
            continue
        lattice.lay(course, number)
        if not is_fork:
            return [course]
        return _with_branch(rng, lattice, course, number)
    return None


def _course(
    rng: np.random.Generator, lattice: _Lattice, level: Level, number: int
) -> list[Node] | None:
    """A course through a stop of the lines so far (anywhere for the first), grown at both ends."""
    inner = range(1, lattice.size - 1)
    places = sorted(lattice.lines_at) or [(x, y) for x in inner for y in inner]
    start = places[int(rng.integers(len(places)))]
    length = int(rng.integers(level.length[0], level.length[1] + 1))
    heading = int(rng.integers(8))
    course = [start]
    ends = {True: heading, False: (heading + 4) % 8}
    for turn in range(4 * length):
        if len(course) == length:
            return course
        ahead = bool(turn % 2) if number else bool(rng.integers(2))
        grown = _step(rng, lattice, course, ahead, ends[ahead])
        if grown is not None:
            node, ends[ahead] = grown
            course = [*course, node] if ahead else [node, *course]
    return None


def _step(
    rng: np.random.Generator, lattice: _Lattice, course: list[Node], ahead: bool, heading: int
) -> tuple[Node, int] | None:
    """The next node at an end of a course, mostly straight on, else an eighth of a turn."""
    end = course[-1] if ahead else course[0]
    turn = (0, 1, 7)[int(rng.choice(3, p=[0.7, 0.15, 0.15]))]
    for way in ((heading + turn) % 8, heading, (heading + 1) % 8, (heading + 7) % 8):
        node = (end[0] + HEADINGS[way][0], end[1] + HEADINGS[way][1])
        crossing = frozenset(((end[0], node[1]), (node[0], end[1])))
        laid = {frozenset(pair) for pair in pairwise(course)}
        if node not in course and crossing not in laid and lattice.is_free(end, node):
            return node, way
    return None


def _ring(rng: np.random.Generator, size: int) -> list[Node]:
    """A rectangle with cut corners around the middle; its last node is its first."""
    low = 1 if size > 5 else 0
    x0, y0 = (int(rng.integers(low, low + 2)) for _ in range(2))
    x1, y1 = (size - 1 - int(rng.integers(low, low + 2)) for _ in range(2))
    nodes = (
        [(x, y0) for x in range(x0 + 1, x1)]
        + [(x1, y) for y in range(y0 + 1, y1)]
        + [(x, y1) for x in range(x1 - 1, x0, -1)]
        + [(x0, y) for y in range(y1 - 1, y0, -1)]
    )
    return [*nodes, nodes[0]]


def _meets_well(lattice: _Lattice, course: list[Node], number: int) -> bool:
    """Whether the course meets an earlier line, none of them too often and no three at a stop."""
    if number == 0:
        return True
    meetings: dict[int, int] = {}
    for node in set(course):
        others = lattice.lines_at.get(node, set())
        if len(others) > 1:
            return False
        for other in others:
            meetings[other] = meetings.get(other, 0) + 1
    return bool(meetings) and max(meetings.values()) <= MEETINGS


def _with_branch(
    rng: np.random.Generator, lattice: _Lattice, course: list[Node], number: int
) -> list[list[Node]] | None:
    """The course and a second one that leaves it at an inner stop for two or three free nodes."""
    for _ in range(12):
        at = int(rng.integers(1, len(course) - 1))
        before = (course[at][0] - course[at - 1][0], course[at][1] - course[at - 1][1])
        turn = (1, 7)[int(rng.integers(2))]
        way = (HEADINGS.index(before) + turn) % 8
        branch = [course[at]]
        for _ in range(int(rng.integers(2, 4))):
            node = (branch[-1][0] + HEADINGS[way][0], branch[-1][1] + HEADINGS[way][1])
            if node in lattice.lines_at or not lattice.is_free(branch[-1], node):
                break
            branch.append(node)
        if len(branch) >= 3:
            lattice.lay(branch, number)
            return [course, [*course[:at], *branch]]
    return None


def _named(
    rng: np.random.Generator, lines: list[list[list[Node]]], stops: list[Node], level: Level
) -> TransitMap:
    names = dict(zip(stops, stop_names(rng, len(stops), level.names), strict=True))
    colours = list(LINE_COLOURS)
    order = [colours[i] for i in rng.permutation(len(colours))]
    return TransitMap(
        tuple(
            MapLine(
                name=f"Line {number + 1}" if level.numbered else order[number],
                colour=LINE_COLOURS[order[number]],
                courses=tuple(tuple(names[n] for n in course if n in names) for course in courses),
                paths=tuple(tuple((float(x), float(y)) for x, y in course) for course in courses),
            )
            for number, courses in enumerate(lines)
        ),
        {name: (float(x), float(y)) for (x, y), name in names.items()},
    )
