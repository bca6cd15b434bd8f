"""Raw rows by number: index files, blank lines, places in messages, memory."""

from __future__ import annotations

import json
import pickle
import time
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmrl.data import rows as rows_module
from mmrl.data.rows import JoinedRows, JsonlRows, JsonRows, ParquetRows
from mmrl.errors import DataError


def write(path, text):
    path.write_bytes(text.encode())
    return path


def test_blank_lines_are_skipped_and_line_numbers_are_those_of_the_file(tmp_path):
    path = write(tmp_path / "a.jsonl", '\n{"x": 1}\n\n   \n{"x": 2}\r\n\n{"x": 3}')
    rows = JsonlRows(path, tmp_path / "cache")
    assert [rows[i]["x"] for i in range(len(rows))] == [1, 2, 3]
    assert [rows.where(i) for i in range(3)] == [f"{path}:{n}" for n in (2, 5, 7)]


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 64])
def test_index_does_not_depend_on_where_chunks_end(tmp_path, monkeypatch, chunk):
    text = '  \n{"x": "ä"}\n \n\n{"x": ""}\n   {"x": "c"}   \n  '
    monkeypatch.setattr(rows_module, "_CHUNK_BYTES", chunk)
    rows = JsonlRows(write(tmp_path / "a.jsonl", text), tmp_path / "cache")
    assert [rows[i]["x"] for i in range(len(rows))] == ["ä", "", "c"]
    assert [rows.where(i).rpartition(":")[2] for i in range(3)] == ["2", "5", "6"]


def test_changed_file_gets_a_new_index_and_an_unchanged_one_keeps_its(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"x": 1}\n')
    assert len(JsonlRows(path, tmp_path / "cache")) == 1
    assert len(JsonlRows(path, tmp_path / "cache")) == 1
    assert len(list((tmp_path / "cache").iterdir())) == 1
    write(path, '{"x": 1}\n{"x": 2}\n')
    assert len(JsonlRows(path, tmp_path / "cache")) == 2
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_broken_line_is_named(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"x": 1}\n{"x": \n[1]\n')
    rows = JsonlRows(path, tmp_path / "cache")
    with pytest.raises(DataError, match=r"a\.jsonl:2: not JSON: Expecting value at column"):
        rows[1]
    with pytest.raises(DataError, match=r"a\.jsonl:3: expected an object, found \[1\]"):
        rows[2]


def test_byte_order_mark_and_pickling(tmp_path):
    path = write(tmp_path / "a.jsonl", '\ufeff{"x": 1}\n{"x": 2}\n')
    rows = pickle.loads(pickle.dumps(JsonlRows(path, tmp_path / "cache")))
    assert [rows[0]["x"], rows[1]["x"]] == [1, 2]


def index_peak_bytes(path, cache):
    tracemalloc.start()
    rows = JsonlRows(path, cache)
    assert rows[len(rows) - 1]["id"] == len(rows) - 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_many_rows_open_fast_with_flat_memory(tmp_path):
    small, big = tmp_path / "small.jsonl", tmp_path / "big.jsonl"
    pad = "y" * 100
    for path, num in ((small, 20_000), (big, 200_000)):  # 2.5 and 25 MB
        with path.open("w") as file:
            file.writelines(f'{{"id": {i}, "pad": "{pad}"}}\n' for i in range(num))
    first = index_peak_bytes(small, tmp_path / "cache")
    start = time.perf_counter()
    assert index_peak_bytes(big, tmp_path / "cache") < 1.2 * first  # ten times the rows
    assert time.perf_counter() - start < 5.0
    start = time.perf_counter()
    rows = JsonlRows(big, tmp_path / "cache")
    assert len(rows) == 200_000 and rows[123_456]["id"] == 123_456
    assert time.perf_counter() - start < 0.5


def test_json_list_knows_the_line_of_each_row(tmp_path):
    path = write(tmp_path / "a.json", '[\n {"x": 1},\n {"x": {"y":\n 2}},\n\n {"x": 3}\n]\n')
    rows = JsonRows(path)
    assert [rows[i]["x"] for i in range(3)] == [1, {"y": 2}, 3]
    assert [rows.where(i).rpartition(":")[2] for i in range(3)] == ["2", "3", "6"]


def test_json_object_with_one_list_inside(tmp_path):
    path = write(tmp_path / "a.json", '{"version": [1][0]}'.replace("[1][0]", "1"))
    with pytest.raises(DataError, match="the lists inside are none"):
        JsonRows(path)
    path = write(tmp_path / "b.json", '{"info": {"a": [1]},\n "rows": [{"x": 1}, {"x": 2}]}')
    assert [JsonRows(path)[i]["x"] for i in (0, 1)] == [1, 2]
    assert JsonRows(path).where(1).endswith("b.json:2")


def test_broken_json_names_the_line(tmp_path):
    path = write(tmp_path / "a.json", '[\n {"x": 1},\n {"x": }\n]')
    with pytest.raises(DataError, match=r"a\.json:3: not JSON"):
        JsonRows(path)


def test_parquet_reads_by_row_groups_over_files(tmp_path):
    for name, first in (("a", 0), ("b", 10)):
        table = pa.table({"x": list(range(first, first + 10))})
        pq.write_table(table, tmp_path / f"{name}.parquet", row_group_size=4)
    rows = ParquetRows([tmp_path / "a.parquet", tmp_path / "b.parquet"])
    assert [rows[i]["x"] for i in range(len(rows))] == list(range(20))
    assert rows.where(13) == f"{tmp_path / 'b.parquet'}:row 3"


def test_parquet_keeps_few_row_groups(tmp_path, monkeypatch):
    pq.write_table(pa.table({"x": list(range(100))}), tmp_path / "a.parquet", row_group_size=10)
    monkeypatch.setattr(rows_module, "_ROW_GROUPS_KEPT_BYTES", 200)  # 10 int64 are 80 bytes
    rows = ParquetRows([tmp_path / "a.parquet"])
    assert [rows[i]["x"] for i in (5, 95, 15, 55, 5)] == [5, 95, 15, 55, 5]
    assert len(rows._kept) == 2


def test_joined_files_count_on(tmp_path):
    parts = [
        JsonlRows(write(tmp_path / f"{n}.jsonl", "".join(f'{{"x": "{n}{i}"}}\n' for i in range(n))))
        for n in (2, 0, 3)
    ]
    rows = JoinedRows(parts)
    assert [rows[i]["x"] for i in range(len(rows))] == ["20", "21", "30", "31", "32"]
    assert rows.where(2).endswith("3.jsonl:1")


def test_rows_of_real_completions_read():
    path = Path(__file__).parents[2] / "data" / "rows" / "completions.jsonl"
    rows = JsonlRows(path)
    expected = [json.loads(line) for line in path.read_text().splitlines()]
    assert [rows[i] for i in range(len(rows))] == expected
    assert len(rows) == 12
