"""Growing logs: complete lines, places that still hold, records as they come, broken lines."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mmrl.errors import DataError
from mmrl.eval import lines
from mmrl.eval.lines import Log, Place, lines_after, place_at, read_jsonl, still_holds


def test_a_line_without_end_is_never_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_LINE", 10)
    path = tmp_path / "log"
    path.write_bytes(b"12345\n" + b"x" * 35 + b"\n67890\n" + b"y" * 50)
    with path.open("rb") as file:
        got = [(line.offset, line.length, line.raw) for line in lines_after(file, 0)]
    assert got == [(0, 6, b"12345"), (6, 36, None), (42, 6, b"67890")]


def test_a_place_holds_while_the_bytes_before_it_stand(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"a\nbb\n")
    with path.open("rb") as file:
        place = place_at(file, 5)
    path.write_bytes(b"a\nbb\nccc\n")
    with path.open("rb") as file:
        assert still_holds(file, place)
    for other in (b"a\nbc\nccc\n", b"a\nbb", b""):
        path.write_bytes(other)
        with path.open("rb") as file:
            assert not still_holds(file, place)
            assert still_holds(file, Place())


def test_a_broken_line_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\nnot json\n[1]\n\xff\n{"step": 2}\n{"step"')
    assert Log(path).poll() == ([{"step": 1}, {"step": 2}], False)


def test_no_log_yet_is_no_record(tmp_path: Path) -> None:
    assert read_jsonl(tmp_path / "metrics.jsonl") == []


@pytest.mark.parametrize(
    "tail", [b"", b'{"step": 2, "rew', b"{", b'{"step": 2, "stage": "\xc3', b"12", b"\0\0\0\n"]
)
def test_a_half_written_last_line_is_left_out(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 0}\n{"step": 1}\n' + tail)
    assert read_jsonl(path) == [{"step": 0}, {"step": 1}]


def test_a_whole_last_line_without_its_newline_counts(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 0}\n{"step": 1}')
    assert read_jsonl(path) == [{"step": 0}, {"step": 1}]


def test_a_line_separator_inside_a_text_ends_no_line(tmp_path: Path) -> None:
    path = tmp_path / "rollouts.jsonl"
    path.write_text('{"text": "a\u2028b\x85c"}\n', encoding="utf-8")
    assert read_jsonl(path) == [{"text": "a\u2028b\x85c"}]


@pytest.mark.parametrize(
    "line", ["{broken", "[1, 2]", "[" * 100_000], ids=["broken", "list", "deep"]
)
def test_a_broken_line_in_the_middle_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(f'{{"step": 0}}\n{line}\n{{"step": 2}}\n')
    with pytest.raises(DataError, match=r"metrics\.jsonl:2: "):
        read_jsonl(path)


def test_a_link_or_a_pipe_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text('{"step": 0}\n')
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(tmp_path / "pipe")  # nobody writes to it: reading must not wait
    assert Log(tmp_path / "link").poll() == ([], False)
    assert Log(tmp_path / "pipe").poll() == ([], False)
    for name in ("link", "pipe"):
        with pytest.raises(DataError, match=f"{name}: "):
            read_jsonl(tmp_path / name)
