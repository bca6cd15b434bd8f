"""The house stands: imports point down only, no import cycle, no file that wants a contents page.

Read with `ast`, nothing is imported. Imports under `if TYPE_CHECKING:` do not count (they are not
there when the code runs); imports inside functions and module names in strings (imported by name
when they are asked for) count for the direction, not for cycles.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
ROOMS = (
    ("types", "roles", "errors", "registry", "closing", "config", "torchvision_shim", "seeds"),
    ("media", "parse", "sandbox"),
    ("rewards", "credit", "objective", "policy"),
    ("tasks", "data", "rollout"),
    ("probes", "sources"),
    ("methods",),
    ("train", "eval"),
    ("cli", "inspector", "bench", "__main__"),
)
LAYER = {room: number for number, rooms in enumerate(ROOMS) for room in rooms}
MAX_LINES = 400

ALLOWED_UP: dict[tuple[str, str], str] = {
    ("mmrl", "*"): "the public names: each is imported when it is first asked for",
    ("mmrl.cli.parser", "mmrl"): "the command prints __version__",
    ("mmrl.media.workers", "mmrl"): "asks where the package lies, for its workers' import path",
}
"""(importer, imported) pairs that may point up or sideways, each with its reason."""


@dataclass(frozen=True)
class Import:
    importer: str
    imported: str
    line: int
    lazy: bool


def modules(root: Path = ROOT) -> dict[str, Path]:
    """Module name -> file, of everything under mmrl/."""
    found = {}
    for path in sorted((root / "mmrl").rglob("*.py")):
        parts = list(path.relative_to(root).with_suffix("").parts)
        if parts[-1] == "__init__":
            parts.pop()
        found[".".join(parts)] = path
    return found


def imports_of(name: str, source: str, known: set[str], *, package: bool) -> list[Import]:
    """The imports of mmrl modules that run, in a module's source."""
    found: list[Import] = []

    def visit(node: ast.AST, lazy: bool) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for child in node.orelse:
                visit(child, lazy)
            return
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = list(_targets(node, name, known, package=package))
        elif isinstance(node, ast.Constant) and node.value in known - {"mmrl"}:
            names, lazy = [str(node.value)], True
        else:
            names = []
        found.extend(
            Import(name, target, node.lineno, lazy)  # type: ignore[attr-defined]
            for target in names
            if target.split(".")[0] == "mmrl"
        )
        inner = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for child in ast.iter_child_nodes(node):
            visit(child, inner)

    visit(ast.parse(source), False)
    return found


def _targets(node: ast.ImportFrom, name: str, known: set[str], *, package: bool) -> Iterator[str]:
    base = node.module or ""
    if node.level:
        parts = name.split(".")
        parts = parts[: len(parts) - node.level + (1 if package else 0)]
        base = ".".join([*parts, base] if base else parts)
    for alias in node.names:
        inner = f"{base}.{alias.name}"
        yield inner if inner in known else base


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else module


def points_wrong(found: Import) -> str | None:
    """Why an import does not point down, or None when it may stand."""
    pairs = ((found.importer, found.imported), (found.importer, "*"))
    if any(pair in ALLOWED_UP for pair in pairs):
        return None
    here = f"{found.importer}:{found.line}"
    if found.imported == "mmrl":
        return f"{here} imports mmrl itself; import the module that has the name"
    above, below = room(found.importer), room(found.imported)
    for name in (above, below):
        if name not in LAYER:
            return f"{here}: {name} has no layer; give it a place in ROOMS (and in house.md)"
    if LAYER[below] > LAYER[above]:
        return f"{here} ({LAYER[above]}) imports {found.imported} ({LAYER[below]}): up"
    return None


def cycle_in(graph: dict[str, set[str]]) -> list[str] | None:
    """One cycle of a graph as the modules along it, or None."""
    done: set[str] = set()

    def walk(node: str, path: list[str]) -> list[str] | None:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return None
        for after in sorted(graph.get(node, ())):
            found = walk(after, [*path, node])
            if found:
                return found
        done.add(node)
        return None

    for start in sorted(graph):
        found = walk(start, [])
        if found:
            return found
    return None


def all_imports() -> list[Import]:
    known = modules()
    return [
        found
        for name, path in known.items()
        for found in imports_of(
            name, path.read_text(), set(known), package=path.name == "__init__.py"
        )
    ]


def test_imports_point_down() -> None:
    wrong = [why for found in all_imports() if (why := points_wrong(found))]
    assert not wrong, "\n".join(wrong)


def test_no_import_cycle() -> None:
    graph: dict[str, set[str]] = {}
    for found in all_imports():
        if not found.lazy and found.importer != found.imported:
            graph.setdefault(found.importer, set()).add(found.imported)
    assert cycle_in(graph) is None


def test_every_room_is_in_the_house() -> None:
    rooms = {room(name) for name in modules() if name != "mmrl"}
    assert rooms <= set(LAYER), rooms - set(LAYER)


def test_no_long_file() -> None:
    lengths = {n: len(p.read_text().splitlines()) for n, p in modules().items()}
    assert {n: k for n, k in lengths.items() if k > MAX_LINES} == {}


def test_test_files_have_names_of_their_own() -> None:
    """pytest imports them by file name, so two of one name stop the whole collection."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []


def test_every_exception_has_a_reason_and_is_used() -> None:
    pairs = {(found.importer, found.imported) for found in all_imports()}
    pairs |= {(importer, "*") for importer, _ in pairs}
    for pair, reason in ALLOWED_UP.items():
        assert pair in pairs
        assert len(reason) > 20


def test_the_reader_sees_what_python_would_import() -> None:
    source = (
        "from __future__ import annotations\n"
        "import torch\n"
        "from typing import TYPE_CHECKING\n"
        "from mmrl.train import run, other\n"
        "from . import sibling\n"
        "from ..eval.measures import mean\n"
        "if TYPE_CHECKING:\n    import mmrl.cli\n"
        "def f():\n    import mmrl.bench.step\n"
        'BUILTIN = ("mmrl.eval.measures", "not mmrl.eval.measures")\n'
    )
    known = {"mmrl.train", "mmrl.train.run", "mmrl.media.sibling", "mmrl.eval.measures"}
    found = imports_of("mmrl.media.x", source, known, package=False)
    assert [(i.imported, i.line, i.lazy) for i in found] == [
        ("mmrl.train.run", 4, False),
        ("mmrl.train", 4, False),
        ("mmrl.media.sibling", 5, False),
        ("mmrl.eval.measures", 6, False),
        ("mmrl.bench.step", 10, True),
        ("mmrl.eval.measures", 11, True),
    ]
    assert [bool(points_wrong(i)) for i in found] == [True, True, False, True, True, True]
    assert points_wrong(Import("mmrl.tasks.x", "mmrl.data.y", 1, False)) is None  # same layer
    assert "no layer" in str(points_wrong(Import("mmrl.attic", "mmrl.types", 1, False)))
    assert "itself" in str(points_wrong(Import("mmrl.cli", "mmrl", 1, False)))


def test_cycles_are_found() -> None:
    assert cycle_in({"a": {"b"}, "b": {"c"}, "c": set()}) is None
    assert cycle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
