"""How much of a reference table another table holds (Visual Programmability, arXiv 2509.09286)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import linear_sum_assignment

from mmrl.parse.tables import MAX_COLUMNS, Cell, Table, same_cell

MAX_NAME = 100
"""Characters of a column name that are compared."""


@dataclass(frozen=True, kw_only=True)
class DataAccuracy:
    """`0.2 · columns + 0.1 · rows + 0.7 · values`, in [0, 1] (appendix C of the paper).

    columns: the share of reference columns that have a partner by name; names are alike above
    `name_above` of 100. rows: 1 where the numbers of rows are equal. values: mean over partners of
    the share of equal cells, row i against row i. A reference column finds its partner one to one
    (the paper's matching is greedy and may use a column twice).

    As published, only the rows that both tables have are compared (`over="shorter"`), so that one
    right row of five earns all of the values' share; `over="longer"` divides by the longer table.
    """

    columns: float = 0.2
    rows: float = 0.1
    values: float = 0.7
    name_above: float = 50.0
    relative: float = 1e-2
    """Tolerance of a number, of its reference."""
    align: Literal["row", "key"] = "row"
    """`key` pairs rows by the first reference column, so that their order does not matter."""
    over: Literal["shorter", "longer"] = "shorter"

    def __call__(self, table: Table, reference: Table, /) -> float:
        partners = matched_columns(table.columns, reference.columns, self.name_above)
        share = len(partners) / len(reference.columns)
        same_length = 1.0 if table.num_rows == reference.num_rows else 0.0
        value = self.columns * share + self.rows * same_length
        return min(1.0, value + self.values * self._values(table, reference, partners))

    def _values(self, table: Table, reference: Table, partners: dict[int, int]) -> float:
        pairs = _by_row(table, reference)
        if self.align == "key" and 0 in partners:
            pairs = _by_key(table.cells[partners[0]], reference.cells[0], self.relative)
        shorter, longer = sorted((table.num_rows, reference.num_rows))
        compared = shorter if self.over == "shorter" else longer
        if not partners or not compared:
            return 0.0
        equal = sum(
            same_cell(table.cells[mine][i], reference.cells[theirs][j], self.relative)
            for theirs, mine in partners.items()
            for i, j in pairs
        )
        return equal / (compared * len(partners))


def matched_columns(
    names: tuple[str, ...], reference: tuple[str, ...], above: float = 50.0
) -> dict[int, int]:
    """Reference column -> its partner: the one-to-one pairs alike above `above`, best in all."""
    if not names or not reference:
        return {}
    alike = np.array(
        [[name_likeness(name, wanted) for name in names[:MAX_COLUMNS]] for wanted in reference]
    )
    alike[alike <= above] = 0.0
    rows, columns = linear_sum_assignment(alike, maximize=True)
    return {int(r): int(c) for r, c in zip(rows, columns, strict=True) if alike[r, c] > 0.0}


def name_likeness(a: str, b: str) -> float:
    """200 · LCS(a, b) / (|a| + |b|) of names in lower case without spaces, from 0 to 100.

    The usual ratio of fuzzy matching libraries (insertions and deletions only). Two empty names
    are alike to 100.

    >>> name_likeness("Net Sales", "netsales"), name_likeness("ab", "cd")
    (100.0, 0.0)
    """
    a, b = ("".join(name.lower().split())[:MAX_NAME] for name in (a, b))
    if not a and not b:
        return 100.0
    return 200.0 * common_length(a, b) / (len(a) + len(b))


def common_length(a: str, b: str) -> int:
    """Length of the longest common subsequence, with one whole number as a row of bits.

    A bit of `row` is 0 where the length grows at that place of `a` (Hyyrö, 2004).
    """
    places: dict[str, int] = {}
    for i, sign in enumerate(a):
        places[sign] = places.get(sign, 0) | 1 << i
    full = (1 << len(a)) - 1
    row = full
    for sign in b:
        shared = row & places.get(sign, 0)
        row = (row + shared | row - shared) & full
    return len(a) - row.bit_count()


def _by_row(table: Table, reference: Table) -> list[tuple[int, int]]:
    return [(i, i) for i in range(min(table.num_rows, reference.num_rows))]


def _by_key(
    keys: tuple[Cell, ...], reference: tuple[Cell, ...], relative: float
) -> list[tuple[int, int]]:
    """Rows with equal keys, each used once, earlier ones first; at most as many as both have."""
    free = list(range(min(len(keys), 4 * len(reference))))
    pairs = []
    for j, wanted in enumerate(reference):
        i = next((i for i in free if same_cell(keys[i], wanted, relative)), None)
        if i is not None:
            free.remove(i)
            pairs.append((i, j))
    return pairs
