"""What a program's text alone tells of its values: literals, and frames made of them.

Understood are assignments at the top level of a program, in order: lists, tuples, dicts, numbers
with signs and + - * /, names assigned before, and what charts are written with
(`pd.DataFrame({...})`, of rows, of records, `pd.read_csv(io.StringIO("..."))`, `np.array`,
`pd.Series`, `range`, `zip`, `"a b".split()`). Nothing is ever run. A program whose numbers come
about otherwise has to be run to know its table, which is the sandbox's business.
"""

from __future__ import annotations

import ast
import csv
import operator
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mmrl.parse.tables import MAX_CELLS, Cell, Table, cell_of, table_of_csv

MAX_CODE = 1 << 15
"""Longest program that is read, in characters."""
MAX_STEPS = 20_000
"""Syntax nodes and list items that are looked at in one program."""

_ARITHMETIC: Mapping[type, Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_PASSED_ON = frozenset({"array", "asarray", "Series", "list", "tuple", "Index", "to_datetime"})
_SAME_FRAME = frozenset({"copy", "set_index", "reset_index", "astype"})
_MISSING = frozenset({"nan", "NaN", "NA", "NaT"})
_DRAWING = frozenset({"bar", "barh", "plot", "scatter", "step", "stem", "pie"})
_CHANGES = frozenset({"append", "extend", "insert", "pop", "remove", "reverse", "sort", "update"})
_CSV_WORDS = frozenset({"skipinitialspace", "encoding", "engine"})
"""Keywords of `read_csv` that do not change what CSV with commas and a header spells."""
_SET_ASIDE = (ZeroDivisionError, OverflowError, TypeError, ValueError, csv.Error)


class Unknown(Exception):
    """The value cannot be told without running the program."""


def read_program(code: str) -> Reader | None:
    """The reader after the program's last statement.

    None for a program that does not parse, nests too deep or is longer than `MAX_CODE`.
    """
    if not code or len(code) > MAX_CODE:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None  # ast raises the last two for programs that nest too deep
    reader = Reader()
    for statement in tree.body:
        reader.statement(statement)
    return reader


@dataclass(frozen=True, slots=True)
class Drawn:
    """A drawing call with the values of its arguments, None where they cannot be told."""

    name: str
    args: tuple[Any, ...]
    words: Mapping[str, Any]


@dataclass
class Reader:
    """What a program's names hold, as far as its text alone tells."""

    names: dict[str, Any] = field(default_factory=dict)
    frames: list[Table] = field(default_factory=list)
    drawn: list[Drawn] = field(default_factory=list)
    steps: int = 0

    def statement(self, node: ast.stmt) -> None:
        targets: list[ast.expr] = []
        value: ast.expr | None = None
        if isinstance(node, ast.Assign):
            targets, value = node.targets, node.value
        elif isinstance(node, ast.AnnAssign):
            targets, value = [node.target], node.value
        elif isinstance(node, ast.Expr):
            value = node.value
            self._forget_changed(value)
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            self.names[node.target.id] = None
        if value is None:
            return
        if isinstance(value, ast.Call) and called_name(value.func) in _DRAWING:
            words = {str(word.arg): self.known(word.value) for word in value.keywords}
            given = tuple(self.known(arg) for arg in value.args)
            self.drawn.append(Drawn(called_name(value.func), given, words))
            return
        known = self.known(value)
        if isinstance(known, Table) and not any(known is frame for frame in self.frames):
            self.frames.append(known)
        for target in targets:
            if isinstance(target, ast.Name):
                self.names[target.id] = known
            elif isinstance(target, ast.Tuple | ast.List):
                self._unpack(target, known)

    def _forget_changed(self, value: ast.expr) -> None:
        """A list or dict that a method changes in place is no longer what was written."""
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
            owner = value.func.value
            if value.func.attr in _CHANGES and isinstance(owner, ast.Name):
                self.names[owner.id] = None

    def known(self, node: ast.expr) -> Any:
        """The plain value of an expression, None where it cannot be told."""
        try:
            return self.value(node, 0)
        except (Unknown, *_SET_ASIDE):
            return None

    def _unpack(self, target: ast.Tuple | ast.List, known: Any) -> None:
        values = known if isinstance(known, list) and len(known) == len(target.elts) else None
        for i, part in enumerate(target.elts):
            if isinstance(part, ast.Name):
                self.names[part.id] = None if values is None else values[i]

    def value(self, node: ast.expr, depth: int) -> Any:
        """The plain value of an expression: cell, list, dict or Table; `Unknown` otherwise."""
        self.steps += 1
        if depth > 40 or self.steps > MAX_STEPS:
            raise Unknown
        deeper = depth + 1
        match node:
            case ast.Constant(value=int() | float() | str() | None as constant):
                return constant
            case ast.List(elts=items) | ast.Tuple(elts=items):
                return self._counted([self.value(item, deeper) for item in items])
            case ast.Dict(keys=keys, values=values):
                return {
                    self._key(key, deeper): self.value(value, deeper)
                    for key, value in zip(keys, values, strict=True)
                }
            case ast.Name(id=name):
                if self.names.get(name) is None:
                    raise Unknown
                return self.names[name]
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
                number = _number(self.value(operand, deeper))
                return -number if isinstance(sign, ast.USub) else number
            case ast.BinOp(left=left, op=op, right=right):
                return self._binary(op, self.value(left, deeper), self.value(right, deeper))
            case ast.Attribute(attr=attr) if attr in _MISSING:
                return None
            case ast.Call():
                return self._call(node, deeper)
        raise Unknown

    def _key(self, node: ast.expr | None, depth: int) -> str:
        key = self.value(node, depth) if node is not None else None
        if not isinstance(key, str | int | float):
            raise Unknown
        return str(key)

    def _counted(self, items: list[Any]) -> list[Any]:
        self.steps += len(items)
        if self.steps > MAX_STEPS:
            raise Unknown
        return items

    def _binary(self, op: ast.operator, left: Any, right: Any) -> Any:
        if isinstance(left, list) and isinstance(right, list) and isinstance(op, ast.Add):
            return self._counted(left + right)
        if isinstance(left, list) and isinstance(right, int) and isinstance(op, ast.Mult):
            if not 0 <= right * max(1, len(left)) <= MAX_CELLS:
                raise Unknown
            return self._counted(left * right)
        if type(op) not in _ARITHMETIC:
            raise Unknown
        return _ARITHMETIC[type(op)](_number(left), _number(right))

    def _call(self, node: ast.Call, depth: int) -> Any:
        name = called_name(node.func)
        given = [self.value(arg, depth) for arg in node.args] if name in _READERS else []
        if name in _READERS:
            if name == "read_csv":
                return _csv_call(given, {str(word.arg) for word in node.keywords})
            keywords = {
                str(word.arg): self.value(word.value, depth)
                for word in node.keywords
                if word.arg in ("data", "columns", "orient")
            }
            return _frame_call(given, keywords)
        if name in _PASSED_ON and node.args:
            return listed(self.value(node.args[0], depth))
        if name == "float" and len(node.args) == 1:
            return cell_of(self.value(node.args[0], depth))
        if name == "dict" and not node.args:
            return {str(word.arg): self.value(word.value, depth) for word in node.keywords}
        if name in ("range", "arange") and 1 <= len(node.args) <= 3:
            return self._range([self.value(arg, depth) for arg in node.args])
        if name == "zip":
            return self._zip([listed(self.value(arg, depth)) for arg in node.args])
        if name == "StringIO" and node.args:
            return self.value(node.args[0], depth)
        if isinstance(node.func, ast.Attribute):
            return self._method(node, node.func, depth)
        raise Unknown

    def _method(self, node: ast.Call, func: ast.Attribute, depth: int) -> Any:
        if func.attr not in ("split", "tolist", *_SAME_FRAME):
            raise Unknown
        owner = self.value(func.value, depth)
        if func.attr in _SAME_FRAME and isinstance(owner, Table):
            return owner
        if func.attr == "tolist":
            return listed(owner)
        between = [self.value(arg, depth) for arg in node.args]
        if not isinstance(owner, str) or len(between) > 1:
            raise Unknown
        return self._counted(list(owner.split(*between)))

    def _range(self, given: list[Any]) -> list[Any]:
        if not all(isinstance(bound, int) for bound in given):
            raise Unknown
        numbers = range(*given)
        if not -MAX_CELLS <= numbers.start <= numbers.stop <= 10**9 or _longer(numbers, MAX_CELLS):
            raise Unknown
        return self._counted(list(numbers))

    def _zip(self, given: list[list[Any]]) -> list[Any]:
        self.steps += len(given) * min(map(len, given), default=0)
        if self.steps > MAX_STEPS:
            raise Unknown
        return [list(row) for row in zip(*given, strict=False)]


def _longer(numbers: range, limit: int) -> bool:
    try:
        return len(numbers) > limit
    except OverflowError:
        return True


def called_name(func: ast.expr) -> str:
    """`DataFrame` of `pd.DataFrame(...)`, `from_dict` of `pd.DataFrame.from_dict(...)`."""
    return func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unknown
    return value if isinstance(value, float) or abs(value) < 10**18 else float(value)


def listed(value: Any) -> list[Any]:
    """The value, which has to be a list."""
    if not isinstance(value, list):
        raise Unknown
    return value


def _frame_call(given: list[Any], keywords: Mapping[str, Any]) -> Table:
    """`DataFrame(data, columns=...)` of columns by name, rows, or records."""
    data = given[0] if given else keywords.get("data")
    names = given[2] if len(given) > 2 else keywords.get("columns")
    if keywords.get("orient", "columns") != "columns":
        raise Unknown
    if isinstance(data, Table):
        return data
    if isinstance(data, dict):
        if names is not None:
            data = {name: data[name] for name in _names(names) if name in data}
        return frame_of(data)
    rows = listed(data)
    if sum(len(row) if isinstance(row, list | dict) else 1 for row in rows) > MAX_CELLS:
        raise Unknown
    if rows and all(isinstance(row, dict) for row in rows):
        keys = list(dict.fromkeys(key for row in rows for key in row))
        if len(keys) * len(rows) > MAX_CELLS:
            raise Unknown
        return frame_of({key: [row.get(key) for row in rows] for key in keys})
    rows = [row if isinstance(row, list) else [row] for row in rows]
    width = len(rows[0]) if rows else 0
    names = [str(i) for i in range(width)] if names is None else _names(names)
    if any(len(row) != len(names) for row in rows) or len(set(names)) != len(names):
        raise Unknown
    return frame_of({name: [row[c] for row in rows] for c, name in enumerate(names)})


def _names(value: Any) -> list[str]:
    """Column names, which are texts or numbers: a list in one may be endless when written out."""
    names = listed(value)
    if not all(isinstance(name, str | int | float) for name in names):
        raise Unknown
    return [str(name) for name in names]


def _csv_call(given: list[Any], keywords: Collection[str]) -> Table:
    """`read_csv(StringIO(text))`; a path cannot be read and has no line break."""
    if len(given) != 1 or not isinstance(given[0], str) or "\n" not in given[0]:
        raise Unknown
    if not _CSV_WORDS.issuperset(keywords):
        raise Unknown
    return table_of_csv(given[0])


_READERS = frozenset({"DataFrame", "from_dict", "from_records", "read_csv"})


def frame_of(columns: Mapping[str, Any]) -> Table:
    """Columns of equal length; a lone value is repeated as pandas does, beside a list."""
    lengths = {len(v) for v in columns.values() if isinstance(v, list)}
    if len(lengths) != 1:
        raise Unknown
    length = lengths.pop()
    if length * len(columns) > MAX_CELLS:
        raise Unknown
    cells = []
    for column in columns.values():
        values = column if isinstance(column, list) else [column] * length
        cells.append(tuple(_cells(values)))
    return Table(tuple(columns), tuple(cells))


def _cells(values: list[Any]) -> Iterator[Cell]:
    for value in values:
        if isinstance(value, list | dict | Table):
            raise Unknown
        yield cell_of(value)
