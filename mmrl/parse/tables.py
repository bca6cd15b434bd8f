"""Tables as plain values: columns by name, cells that are numbers, texts or missing.

A table is read from CSV here, from a program's text in `mmrl.parse.code_tables` (never run), and
can be made of whatever a program returned; comparing two is the same arithmetic for all.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mmrl.errors import DataError
from mmrl.parse.values import normal_text

Cell = str | float | None
"""A number, a text, or None for a missing value (NaN)."""
MAX_CELLS = 10_000
"""A table with more is refused: no chart shows as many numbers."""
MAX_COLUMNS = 64
"""Columns of a table that are looked at; a chart has fewer."""

_NUMBER = re.compile(
    r"\s*+([-+−]?+)\s*+[$€£]?+\s*+"
    r"((?:\d{1,3}+(?:,\d{3})++|\d++)(?:\.\d*+)?+|\.\d++)((?:[eE][-+]?+\d{1,5}+)?+)\s*+%?+\s*+"
)
_MISSING = frozenset({"", "nan", "null"})


@dataclass(frozen=True, slots=True)
class Table:
    """Named columns of equal length; `cells[c][r]` is row r of column c."""

    columns: tuple[str, ...]
    cells: tuple[tuple[Cell, ...], ...]

    def __post_init__(self) -> None:
        if len(self.columns) != len(self.cells):
            raise ValueError(f"{len(self.columns)} names for {len(self.cells)} columns")
        lengths = {len(column) for column in self.cells}
        if len(lengths) > 1:
            raise ValueError(f"columns differ in length: {sorted(lengths)}")

    @property
    def num_rows(self) -> int:
        return len(self.cells[0]) if self.cells else 0

    def rows(self) -> tuple[tuple[Cell, ...], ...]:
        """The same cells row by row."""
        return tuple(zip(*self.cells, strict=True))


def table_of_columns(columns: Mapping[str, Iterable[object]]) -> Table:
    """A table of columns by name; values become cells (`cell_of`)."""
    for name, column in columns.items():
        if isinstance(column, str):
            raise ValueError(f'column "{name}" is a text, not a list')
    cells = tuple(tuple(cell_of(value) for value in column) for column in columns.values())
    return Table(tuple(str(name) for name in columns), cells)


def table_of_rows(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A table of rows; each has a value for every column."""
    made = [[cell_of(value) for value in row] for row in rows]
    for row in made:
        if len(row) != len(columns):
            raise ValueError(f"a row of {len(row)} values under {len(columns)} columns")
    cells = tuple(tuple(row[c] for row in made) for c in range(len(columns)))
    return Table(tuple(columns), cells)


def table_of_csv(text: str) -> Table:
    """The table that CSV text spells: a header and at least one row, of one width.

    Cells that read as a number as a whole become numbers, blank ones and `nan` missing.
    """
    lines = [line for line in csv.reader(io.StringIO(text.strip())) if line]
    if len(lines) < 2 or len({len(line) for line in lines}) != 1:
        raise ValueError("wanted a header and rows of as many cells, separated by commas")
    header, *rows = ([cell.strip() for cell in line] for line in lines)
    return table_of_rows(header, rows)


def csv_of_table(table: Table) -> str:
    """The table as CSV, which `table_of_csv` reads back."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([["nan" if v is None else _text(v) for v in row] for row in table.rows()])
    return out.getvalue()


def gold_table(sample_id: str, value: object) -> Table | None:
    """The reference table of a sample: a `Table`, CSV text, or columns by name; None where none is.

    Text that is no table is a DataError: a fault of the data, never a reward.
    """
    if value is None or value == "":
        return None
    try:
        if isinstance(value, Table):
            found = value
        elif isinstance(value, Mapping):
            found = table_of_columns(value)
        elif isinstance(value, str):
            found = table_of_csv(value)
        else:
            raise ValueError(f"it is {type(value).__name__}")
        if found.num_rows == 0:
            raise ValueError("it has no rows")
        if len(found.columns) > MAX_COLUMNS or len(found.columns) * found.num_rows > MAX_CELLS:
            raise ValueError(f"it has more than {MAX_COLUMNS} columns or {MAX_CELLS} cells")
        if len(set(found.columns)) < len(found.columns):
            raise ValueError("two of its columns have one name")
    except (ValueError, TypeError, csv.Error) as error:
        raise DataError(
            f'the table of sample "{sample_id}" should be CSV with a header, columns by name or a '
            f"Table; {error}: {value!r:.80}"
        ) from None
    return found


def cell_of(value: object) -> Cell:
    """A value as a cell: numbers (also as text, with sign, $, %, commas) as floats, NaN as None."""
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, str):
        number = number_of_text(value)
        if number is not None:
            return number
        return None if value.strip().casefold() in _MISSING else value
    if isinstance(value, int | float):
        try:
            number = float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
        return None if math.isnan(number) else number
    return str(value)


def number_of_text(text: str) -> float | None:
    """The finite number that the whole of `text` is, or None: `1,200`, `$3.5`, `45%` (45), `-2e3`.

    >>> number_of_text("1,200"), number_of_text("Q1 2020")
    (1200.0, None)
    """
    found = _NUMBER.fullmatch(text) if len(text) <= 400 else None
    if found is None:
        return None
    value = float(found[2].replace(",", "") + found[3])
    if not math.isfinite(value):
        return None
    return -value if found[1] in ("-", "−") else value


def same_cell(cell: Cell, reference: Cell, relative: float = 1e-2) -> bool:
    """Whether a cell equals its reference (arXiv 2509.09286, appendix C).

    Numbers to `relative` of the reference, so that 0 equals only 0; texts but for case, spaces and
    outer punctuation; missing equals only missing.
    """
    if cell is None or reference is None:
        return cell is reference
    if isinstance(cell, float) and isinstance(reference, float):
        return within(cell, reference, relative)
    if isinstance(cell, str) and isinstance(reference, str):
        return normal_text(cell) == normal_text(reference)
    return False


def within(value: float, reference: float, relative: float) -> bool:
    """|value - reference| ≤ relative · |reference|, the edge included in spite of rounding."""
    if value == reference:
        return True
    if not (math.isfinite(value) and math.isfinite(reference)):
        return False
    return abs(value - reference) <= relative * abs(reference) * (1 + 1e-9)


def _text(cell: str | float) -> str:
    if isinstance(cell, str):
        return cell
    return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
