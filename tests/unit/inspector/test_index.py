"""The index says what a reading of all files says, however they grow, change or lie."""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from building import append_step, write_run
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrl.errors import ConfigError, DataError
from mmrl.inspector import build
from mmrl.inspector.index import RolloutIndex
from mmrl.inspector.query import Query
from mmrl.inspector.runs import RunFiles

Record = dict[str, Any]
Key = tuple[int, str, int]


def index_of(folder: Path) -> RolloutIndex:
    return RolloutIndex(RunFiles(folder))


def ready(folder: Path) -> RolloutIndex:
    index = index_of(folder)
    assert not index.refresh().more
    return index


def keys(index: RolloutIndex, query: Query | None = None) -> list[Key]:
    page = index.rollouts(query or Query(limit=500))
    return [(r.step, r.draw, r.rollout) for r in page.rows]


def a_run(folder: Path, files: Mapping[str, list[Record]]) -> Path:
    (folder / "rollouts").mkdir(parents=True)
    (folder / "config.yaml").write_text("policy:\n  model: none\n")
    for name, records in files.items():
        put(folder, name, records)
    return folder


def put(folder: Path, name: str, records: list[Record]) -> None:
    """Replaces a rollout file as the training does: written aside and renamed."""
    aside = folder / "rollouts" / f".{name}.part"
    aside.write_text("".join(json.dumps(r) + "\n" for r in records))
    aside.replace(folder / "rollouts" / name)


def a_record(step: int = 0, draw: str = "0.0", rollout: int = 0, **more: Any) -> Record:
    plain: Record = {"step": step, "draw": draw, "rollout": rollout, "sample": "s", "text": "x"}
    return plain | more


# against a filter in plain Python

_DYADIC = st.none() | st.integers(-8, 8).map(lambda n: n / 8)  # sums and means of these are exact
_TEXT = st.text(alphabet="aAbß%_'\";\0éÉ\ud800 \n", max_size=6)


@st.composite
def _groups(draw: st.DrawFn) -> dict[str, list[Record]]:
    """Rollout files of up to 3 steps and 2 ranks, each with groups of 1 to 3."""
    files: dict[str, list[Record]] = {}
    for step in range(draw(st.integers(1, 3))):
        for rank in range(draw(st.integers(1, 2))):
            records = []
            for k in range(draw(st.integers(0, 3))):
                shared = {
                    "stage": draw(st.sampled_from(["one", "two"])),
                    "task": draw(st.sampled_from(["t", "u%", "u_"])),
                    "sample": draw(st.sampled_from(["s0", "s1"])),
                    "question": draw(_TEXT),
                }
                for g in range(draw(st.integers(1, 3))):
                    record = a_record(step, f"{step}.{rank}{k}", g, **shared)
                    record |= {
                        "text": draw(_TEXT),
                        "reward": draw(_DYADIC),
                        "score": draw(_DYADIC),
                        "advantage": {"main": draw(_DYADIC)},
                        "num_tokens": draw(st.integers(0, 4)),
                        "verdict": draw(st.sampled_from(["ok", "no_answer"])),
                        "stop": draw(st.sampled_from(["eos", "length"])),
                        "parts": draw(st.dictionaries(st.sampled_from(["p", "q'"]), _DYADIC)),
                    }
                    if draw(st.booleans()):  # a record of before it was written
                        record["correct"] = draw(st.booleans())
                    records.append(record)
            files[f"step-{step:06d}" + (f".rank{rank}" if rank else "") + ".jsonl"] = records
    # both parts are known to the index
    files["step-000000.jsonl"].append(a_record(0, "0.all", 0, parts={"p": 0.5, "q'": 0.25}))
    return files


_ENDS = st.none() | st.integers(-4, 4).map(lambda n: n / 4)
_FILTERS: dict[str, st.SearchStrategy[Any]] = {
    "steps": st.integers(0, 3) | st.tuples(st.none() | st.integers(0, 3), st.none()),
    "stage": st.just("one"),
    "task": st.sampled_from(["t", "u%", "u_", "no such"]),
    "sample": st.just("s1"),
    "correct": st.booleans(),
    "stop": st.just("length"),
    "verdict": st.just("ok"),
    "num_tokens": st.tuples(st.integers(0, 2), st.none() | st.just(3)),
    "parts": st.dictionaries(st.sampled_from(["p", "q'"]), st.tuples(_ENDS, _ENDS), min_size=1),
    "zero_spread": st.just(True),
    "text": _TEXT.map(lambda t: t[:1]),
}
_SORTS = ("step", "reward", "score", "num_tokens", "advantage", "spread", "part/p", "part/q'")


@st.composite
def _queries(draw: st.DrawFn) -> Query:
    """Queries with at most two filters: with more of them, nearly nothing would be found."""
    chosen = draw(st.sets(st.sampled_from(sorted(_FILTERS)), max_size=2))
    return Query(
        **{name: draw(_FILTERS[name]) for name in sorted(chosen)},
        sort=draw(st.sampled_from(_SORTS)),
        descending=draw(st.booleans()),
        offset=draw(st.sampled_from([0, 0, 0, 2])),
        limit=draw(st.sampled_from([500, 500, 3])),
    )


def _inside(value: float | None, ends: tuple[float | None, float | None]) -> bool:
    low, high = ends
    return value is not None and (low is None or value >= low) and (high is None or value <= high)


def _spread(group: list[Record]) -> float:
    rewards = [r["reward"] for r in group if r.get("reward") is not None]
    return max(rewards) - min(rewards) if len(rewards) > 1 else 0.0


def _passes(r: Record, group: list[Record], query: Query) -> bool:
    wanted = query.text.casefold()
    low, high = query.step_range
    return (
        _inside(r["step"], (low, high))
        and all(
            want is None or r.get(name, "") == want
            for name, want in (
                ("stage", query.stage), ("task", query.task), ("sample", query.sample),
                ("stop", query.stop), ("verdict", query.verdict), ("correct", query.correct),
            )
        )
        and (query.num_tokens == (None, None) or _inside(r.get("num_tokens"), query.num_tokens))
        and all(_inside(r.get("parts", {}).get(n), ends) for n, ends in query.parts.items())
        and (not query.zero_spread or _spread(group) == 0)
        and (wanted in r["text"].casefold() or wanted in r.get("question", "").casefold())
    )  # fmt: skip


def _value(r: Record, group: list[Record], sort: str) -> float | None:
    if sort == "spread":
        return _spread(group)
    if sort == "advantage":
        return r.get("advantage", {}).get("main")
    if sort.startswith("part/"):
        return r.get("parts", {}).get(sort.removeprefix("part/"))
    return r.get(sort)


def _sorted(rows: list[tuple[float | None, Any]], query: Query) -> list[Any]:
    """By value, those without one last, ties as they came."""
    known = [row for row in rows if row[0] is not None]
    known.sort(key=lambda row: -row[0] if query.descending else row[0])  # type: ignore[operator]
    return [key for _, key in known + [row for row in rows if row[0] is None]]


def _by_hand(files: Mapping[str, list[Record]], query: Query) -> tuple[list[Key], list[Any]]:
    """Keys of all rollouts and of all groups that a query finds, in its order."""
    rollouts, groups = [], []
    for name in sorted(files, key=lambda n: (n[:11], n.count("rank"))):
        by_draw: dict[str, list[Record]] = {}
        for r in files[name]:
            by_draw.setdefault(r["draw"], []).append(r)
        for draw, group in by_draw.items():
            passing = [r for r in group if _passes(r, group, query)]
            for r in passing:
                value = _value(r, group, query.sort)
                rollouts.append((value, (r["step"], draw, r["rollout"])))
            values = [v for r in group if (v := _value(r, group, query.sort)) is not None]
            if passing:
                mean = sum(values) / len(values) if values else None
                groups.append((mean, (group[0]["step"], draw)))
    return _sorted(rollouts, query), _sorted(groups, query)


@settings(max_examples=40, deadline=None)
@given(files=_groups(), queries=st.lists(_queries(), min_size=6, max_size=12))
def test_the_index_finds_what_a_plain_filter_finds(
    files: dict[str, list[Record]], queries: list[Query]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        index = ready(a_run(Path(folder) / "run", files))
        for query in queries:
            rollouts, groups = _by_hand(files, query)
            window = slice(query.offset, query.offset + query.limit)
            found = index.rollouts(query)
            assert [(r.step, r.draw, r.rollout) for r in found.rows] == rollouts[window]
            assert found.total == len(rollouts)
            page = index.groups(query)
            assert [(g.step, g.draw) for g in page.rows] == groups[window]
            assert page.total == len(groups)
            for i, (step, draw) in enumerate(groups):
                before, after = index.neighbours(query, step, draw)
                assert [g and (g.step, g.draw) for g in (before, after)] == [
                    groups[i - 1] if i else None,
                    groups[i + 1] if i + 1 < len(groups) else None,
                ]
        index.close()


def test_rows_say_what_the_records_say(tmp_path: Path) -> None:
    more = {"stage": "a", "task": "t", "verdict": "ok", "stop": "eos"}
    first = a_record(
        3, "3.0", 0, reward=0.5, score=0.25, num_tokens=4, correct=True,
        parts={"p": 0.5, "q": None}, advantage={"main": -1.0}, **more,
    )  # fmt: skip
    second = a_record(
        3, "3.0", 1, reward=1.0, score=0.75, num_tokens=8, correct=False, parts={"p": 1.0}, **more
    )
    third = a_record(3, "3.0", 2, reward=None, score=None, **more)
    index = ready(a_run(tmp_path / "run", {"step-000003.rank2.jsonl": [first, second, third]}))
    (group,) = index.groups(Query()).rows
    assert (group.num, group.num_correct, group.rank, group.sample) == (3, 1, 2, "s")
    assert (group.reward, group.score, group.num_tokens) == (0.75, 0.5, 6.0)
    assert (group.low, group.high, group.spread) == (0.5, 1.0, 0.5)
    assert group.parts == {"p": 0.75, "q": None}
    one, two, three = index.rollouts(Query()).rows
    assert (one.correct, two.correct, three.correct) == (True, False, None)
    assert (one.reward, one.advantage, one.spread, one.line, one.rank) == (0.5, -1.0, 0.5, 0, 2)
    assert (two.parts, three.parts, three.line) == ({"p": 1.0}, {}, 2)
    assert [s.record for s in index.group(3, "3.0")] == [first, second, third]
    assert [(s.rank, s.line) for s in index.group(3, "3.0")] == [(2, 0), (2, 1), (2, 2)]
    facets = index.facets()
    assert (facets.steps, facets.stages, facets.tasks) == ((3,), ("a",), ("t",))
    assert (facets.stops, facets.verdicts, facets.parts) == (("eos",), ("ok",), ("p", "q"))


def test_runs_of_before_the_new_keys_are_read(tmp_path: Path) -> None:
    index = ready(write_run(tmp_path / "a", steps=2, new_keys=False))
    assert index.groups(Query()).total == 4 and len(keys(index)) == 16
    assert all(g.num_correct is None for g in index.groups(Query()).rows)
    assert keys(index, Query(correct=True)) == keys(index, Query(correct=False)) == []


def test_a_sample_is_found_at_every_step(tmp_path: Path) -> None:
    index = ready(write_run(tmp_path / "a", steps=6, groups=2))
    found = index.sample("digit_box-train-0-3")
    by_hand = [(s, d) for s in range(6) for d in range(2) if (s * 7 + d) % 5 == 3]
    assert [(g.step, g.draw) for g in found] == [(s, f"{s}.{d}") for s, d in by_hand]
    assert index.sample("no such") == ()


def test_a_group_kept_twice_counts_once(tmp_path: Path) -> None:
    group = [a_record(0, "0.0", g, reward=float(g)) for g in range(2)]
    index = ready(a_run(tmp_path / "run", {"step-000000.jsonl": group + group}))
    assert index.groups(Query()).rows[0].num == 2
    assert [s.line for s in index.group(0, "0.0")] == [0, 1]


@pytest.mark.parametrize(
    ("said", "wanted", "found"),
    [
        ("An Old HARBOUR", "old harbour", True),
        ("an old harbour", "HARBOUR", True),
        ("École", "éCOLE", True),
        ("Straße", "STRASSE", True),
        ("100 percent", "100%", False),
        ("100% sure", "100%", True),
        ("a_b", "a_b", True),
        ("axb", "a_b", False),
        ("two\nlines", "two\nlines", True),
        ("cut", "cut\0", False),
        ("x", "xwhere", False),  # not across the completion's end into the question
        ("x", "WHERE is", True),
    ],
)
def test_texts_are_found_as_they_are_read(
    tmp_path: Path, said: str, wanted: str, found: bool
) -> None:
    record = a_record(0, "0.0", 0, text=said, question="where is it")
    index = ready(a_run(tmp_path / "run", {"step-000000.jsonl": [record]}))
    for offset, rows in ((0, 1), (1, 0)):
        page = index.rollouts(Query(text=wanted, offset=offset))
        assert (page.total, len(page.rows)) == ((1, rows) if found else (0, 0))


# growing, changing, vanishing


def test_new_steps_appear_and_nothing_is_read_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_run(tmp_path / "a", steps=2, groups=1, size=2, ranks=2)
    read: list[bytes | None] = []
    real = build.parse_record
    monkeypatch.setattr(build, "parse_record", lambda raw: (read.append(raw), real(raw))[1])
    index = index_of(folder)
    assert index.refresh().rollouts == 8 and len(read) == 8
    append_step(folder, 2, groups=1, size=2, ranks=2)
    assert index.refresh().rollouts == 12 and len(read) == 12
    again = index_of(folder)  # a page opened later: the index is there
    assert again.refresh().rollouts == 12 and len(read) == 12
    assert again.facets().steps == (0, 1, 2)


def test_a_half_written_line_waits(tmp_path: Path) -> None:
    folder = a_run(tmp_path / "run", {})
    path = folder / "rollouts" / "step-000000.jsonl"
    whole = [json.dumps(a_record(0, "0.0", g, reward=float(g))) + "\n" for g in range(3)]
    path.write_text(whole[0] + whole[1][:20])
    index = ready(folder)
    assert keys(index) == [(0, "0.0", 0)]
    with path.open("a") as file:
        file.write(whole[1][20:-1])
    index.refresh()
    assert keys(index) == [(0, "0.0", 0)]
    with path.open("a") as file:
        file.write("\n" + whole[2])
    assert index.refresh().bad_lines == 0
    assert keys(index) == [(0, "0.0", 0), (0, "0.0", 1), (0, "0.0", 2)]
    (group,) = index.groups(Query()).rows  # one group, its figures over all three
    assert (group.num, group.reward, group.spread) == (3, 1.0, 2.0)
    assert [s.line for s in index.group(0, "0.0")] == [0, 1, 2]


def test_a_step_written_again_replaces_what_was(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", steps=3, groups=1, size=2)
    index = ready(folder)
    put(folder, "step-000001.jsonl", [a_record(1, "1.7", 0, parts={"other": 1.0})])
    index.refresh()
    assert keys(index) == [
        (0, "0.0", 0),
        (0, "0.0", 1),
        (1, "1.7", 0),
        (2, "2.0", 0),
        (2, "2.0", 1),
    ]
    assert index.groups(Query(steps=1)).rows[0].parts == {"other": 1.0}


def test_a_file_changed_in_place_is_read_anew(tmp_path: Path) -> None:
    long = a_record(0, "0.0", 0, text="before" + "." * 2000)  # far before the end
    folder = a_run(tmp_path / "run", {"step-000000.jsonl": [long]})
    index = ready(folder)
    path = folder / "rollouts" / "step-000000.jsonl"
    path.write_text(path.read_text().replace("before", "behind"))  # the same size
    os.utime(path, ns=(1, 1))
    index.refresh()
    assert keys(index, Query(text="before")) == []
    assert keys(index, Query(text="behind")) == [(0, "0.0", 0)]
    path.write_text(
        json.dumps(a_record(0, "0.9", 0)) + "\n" + json.dumps(a_record(0, "0.9", 1)) + "\n"
    )
    index.refresh()
    assert keys(index) == [(0, "0.9", 0), (0, "0.9", 1)]
    path.write_text(json.dumps(a_record(0, "0.3", 0, text="z" * 3000)) + "\n")  # longer, another
    index.refresh()
    assert keys(index) == [(0, "0.3", 0)]


def test_a_vanished_file_is_dropped(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", steps=3, groups=1, size=2)
    index = ready(folder)
    for path in (folder / "rollouts").glob("step-000002*"):  # as a resumed run cuts back
        path.unlink()
    assert index.refresh().rollouts == 4
    assert index.facets().steps == (0, 1)
    with pytest.raises(DataError, match=r"step 2 has no draw '2\.0'"):
        index.group(2, "2.0")


def test_a_group_written_anew_since_is_read_as_it_stands(tmp_path: Path) -> None:
    folder = a_run(tmp_path / "run", {"step-000000.jsonl": [a_record(0, "0.0", 0, text="old")]})
    index = ready(folder)
    put(folder, "step-000000.jsonl", [a_record(0, "0.5", 0), a_record(0, "0.0", 0, text="new")])
    assert [s.record["text"] for s in index.group(0, "0.0")] == ["new"]  # no refresh in between
    assert [s.line for s in index.group(0, "0.0")] == [1]
    put(folder, "step-000000.jsonl", [a_record(0, "0.5", 0)])
    with pytest.raises(DataError, match="written anew"):
        index.group(0, "0.0")


def test_the_newest_steps_come_first_and_the_rest_in_slices(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", steps=5, groups=1, size=2)
    index = index_of(folder)
    seen = []
    progress = index.refresh(budget_s=0.0)
    while progress.more:
        seen.append((progress.done, progress.files, index.facets().steps))
        progress = index.refresh(budget_s=0.0)
    assert seen == [(1, 5, (4,)), (2, 5, (3, 4)), (3, 5, (2, 3, 4)), (4, 5, (1, 2, 3, 4))]
    assert (progress.done, index.facets().steps) == (5, (0, 1, 2, 3, 4))


def test_a_run_without_rollouts_is_empty_until_there_are_some(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.yaml").write_text("policy:\n  model: none\n")
    index = index_of(folder)
    assert index.groups(Query()).total == 0  # nothing was refreshed
    assert index.refresh().files == 0 and index.path is None
    assert index.facets().steps == ()
    append_step(folder, 0)
    assert index.refresh().rollouts == 8
    assert index.groups(Query()).total == 2


def test_a_run_started_afresh_is_indexed_afresh(tmp_path: Path) -> None:
    import shutil

    folder = write_run(tmp_path / "a", steps=3, groups=1, size=2)
    index = ready(folder)
    assert len(keys(index)) == 6
    shutil.rmtree(folder)  # mmrl train --fresh
    write_run(folder, steps=1, groups=1, size=2)
    index.refresh()
    assert len(keys(index)) == 2 and index.facets().steps == (0,)


def test_lines_that_are_no_rollouts_are_counted(tmp_path: Path) -> None:
    folder = a_run(tmp_path / "run", {})
    good = json.dumps(a_record(0, "0.0", 0))
    huge = json.dumps(a_record(0, "0.1", 0, reward=1e400, num_tokens=2**70, score="high"))
    lines = [
        good,
        "",
        "no json",
        "[]",
        "{}",
        '{"step": "0", "draw": "d", "text": ""}',
        "[" * 90_000,
    ]
    path = folder / "rollouts" / "step-000000.jsonl"
    path.write_text("\n".join([*lines, huge]) + "\n")
    index = index_of(folder)
    assert index.refresh().bad_lines == 6
    assert [(r.line, r.reward, r.num_tokens, r.score) for r in index.rollouts(Query()).rows] == [
        (0, None, None, None), (7, None, None, None)
    ]  # fmt: skip


def test_links_and_pipes_among_the_rollouts_are_left_alone(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", steps=1, groups=1, size=2)
    private = tmp_path / "private.jsonl"
    private.write_text(json.dumps(a_record(7, "7.0", 0, text="secret")) + "\n")
    (folder / "rollouts" / "step-000007.jsonl").symlink_to(private)
    os.mkfifo(folder / "rollouts" / "step-000008.jsonl")
    (folder / "rollouts" / "step-000009.jsonl").mkdir()
    (folder / "rollouts" / "step-x.jsonl").write_text(private.read_text())
    index = index_of(folder)
    assert index.refresh().files == 1
    assert index.facets().steps == (0,)


# questions as attacks, and several at once


@pytest.mark.parametrize(
    "attack",
    [
        "'; DROP TABLE rollouts; --", '" OR 1=1 --', "x' OR 'a'='a", "%", "_", "\\", "?", ":step",
        "\0", "\ud800", "1; ATTACH DATABASE '/tmp/x' AS y",
        "') UNION SELECT sql FROM sqlite_master --",
    ],
)  # fmt: skip
def test_injections_are_plain_texts(tmp_path: Path, attack: str) -> None:
    named = a_record(0, "0.0", 0, text=f"say {attack} now", task=attack, sample=attack, stop=attack)
    named |= {"stage": attack, "verdict": attack, "parts": {attack: 1.0}}
    other = a_record(0, "0.1", 0, text="nothing", task="t", parts={"p": 1.0})
    index = ready(a_run(tmp_path / "run", {"step-000000.jsonl": [named, other]}))
    for query in (
        Query(text=attack),
        Query(task=attack), Query(sample=attack), Query(stop=attack),
        Query(stage=attack), Query(verdict=attack), Query(parts={attack: (1.0, None)}),
    ):  # fmt: skip
        assert keys(index, query) == [(0, "0.0", 0)]
        assert [g.draw for g in index.groups(query).rows] == ["0.0"]
    assert keys(index, Query(sort=f"part/{attack}")) == [(0, "0.0", 0), (0, "0.1", 0)]
    assert len(index.sample(attack)) == 1
    with pytest.raises(DataError, match="has no draw"):
        index.group(0, attack)
    with pytest.raises(ConfigError, match="sort by"):
        Query(sort=f"reward {attack}")
    assert len(keys(index)) == 2  # nothing was dropped


def test_questions_that_make_no_sense_are_told(tmp_path: Path) -> None:
    index = ready(write_run(tmp_path / "a", steps=1))
    with pytest.raises(ConfigError, match=r"no reward part 'box_iuo'\. Did you mean"):
        index.rollouts(Query(sort="part/box_iuo"))
    with pytest.raises(ConfigError, match=r'sort by "rewrad"\. Did you mean "reward"'):
        Query(sort="rewrad")
    for limit in (0, -1, 501):
        with pytest.raises(ConfigError, match="limit: wanted 1 to 500"):
            Query(limit=limit)
    for offset in (-1, 2**63):
        with pytest.raises(ConfigError, match="offset"):
            Query(offset=offset)
    with pytest.raises(ConfigError, match="nan"):
        Query(num_tokens=(float("nan"), None))
    assert index.rollouts(Query(steps=(-(10**30), 10**30), num_tokens=(None, 1e300))).total == 8
    with pytest.raises(DataError, match="no draw"):
        index.group(10**30, "0.0")


def test_threads_refresh_and_ask_at_once(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a", steps=12, groups=2, size=4, tokens=False)
    indices = [index_of(folder), index_of(folder)]  # as two processes would
    failures: list[BaseException] = []
    totals: list[list[int]] = [[] for _ in range(4)]

    def work(number: int) -> None:
        index = indices[number % 2]
        try:
            for _ in range(200):
                more = index.refresh(budget_s=0.0).more
                totals[number].append(index.rollouts(Query(sort="reward")).total)
                index.facets()
                if not more and totals[number][-1] == 96:
                    return
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [t[-1] for t in totals] == [96] * 4
    assert all(t == sorted(t) for t in totals)  # never fewer than before
    assert all(n % 8 == 0 for t in totals for n in t)  # never half a step


# an index file is data that may come from anywhere


def _count(folder: Path) -> int:
    index = ready(folder)
    try:
        return len(keys(index))
    finally:
        index.close()


@pytest.mark.parametrize(
    "harm", ["garbage", "cut", "version", "trigger", "view", "empty", "copied"]
)
def test_a_strange_index_file_is_made_anew(tmp_path: Path, harm: str) -> None:
    folder = write_run(tmp_path / "a", steps=2, groups=1, size=2)
    assert _count(folder) == 4
    path = folder / "rollouts" / ".index.sqlite"
    if harm == "garbage":
        path.write_bytes(b"this is no database" * 1000)
    elif harm == "cut":
        os.truncate(path, 5000)
    elif harm == "empty":
        path.write_bytes(b"")
    elif harm == "copied":
        data = path.read_bytes()
        path.rename(tmp_path / "held")  # so that its inode is not given again
        path.write_bytes(data)
    else:
        db = sqlite3.connect(path)
        db.execute(
            {
                "version": "UPDATE about SET version = 0",
                "trigger": "CREATE TRIGGER t AFTER INSERT ON files BEGIN DELETE FROM groups; END",
                "view": "CREATE VIEW v AS SELECT * FROM groups",
            }[harm]
        )
        db.execute("UPDATE rollouts SET draw = 'forged'")
        db.commit()
        db.close()
    assert _count(folder) == 4
    assert keys(ready(folder))[0] == (0, "0.0", 0)


@pytest.mark.parametrize("table", ["files", "groups", "rollouts", "parts"])
@pytest.mark.parametrize("first", ["refresh", "ask"])
def test_an_index_broken_inside_is_made_anew(tmp_path: Path, table: str, first: str) -> None:
    folder = write_run(tmp_path / "a", steps=3, groups=2, size=4, tokens=False)
    index = ready(folder)
    path = index.path
    assert path is not None
    index.close()
    db = sqlite3.connect(path)
    asked = "SELECT rootpage FROM sqlite_master WHERE name = ?"
    page = db.execute(asked, (table,)).fetchone()[0]
    db.close()
    with path.open("r+b") as file:  # its tables are named as before; the rows of one are gone
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    if first == "refresh":
        index.refresh()
    assert index.rollouts(Query(parts={"format": (0, 1)})).total == 24
    index.refresh()
    assert len(keys(index)) == 24
    assert index.groups(Query()).total == 6


@pytest.mark.parametrize(
    "forged",
    [
        "UPDATE rollouts SET offset = 1000000000", "UPDATE rollouts SET offset = offset + 1",
        "UPDATE rollouts SET offset = 0",
        "UPDATE rollouts SET offset = 0, length = (SELECT length FROM rollouts WHERE offset = 0)",
        "UPDATE rollouts SET length = 5",
        "UPDATE rollouts SET length = -1", "UPDATE rollouts SET length = 4000000000000",
        "UPDATE rollouts SET offset = -5", "UPDATE files SET name = '../config.yaml'",
    ],
)  # fmt: skip
def test_offsets_are_not_believed(tmp_path: Path, forged: str) -> None:
    folder = write_run(tmp_path / "a", steps=1, groups=2, size=2)
    index = ready(folder)
    texts = [s.record["text"] for s in index.group(0, "0.1")]
    assert index.path is not None
    db = sqlite3.connect(index.path)
    db.execute(forged)
    db.commit()
    db.close()
    assert [s.record["text"] for s in index.group(0, "0.1")] == texts


@pytest.mark.parametrize("thing", ["link", "folder", "linked journal"])
def test_nothing_is_written_through_what_stands_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, thing: str
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    folder = write_run(tmp_path / "a", steps=1, groups=1, size=2)
    precious = tmp_path / "precious.sqlite"
    sqlite3.connect(precious).execute("CREATE TABLE mine (a)").connection.close()
    before = precious.read_bytes()
    place = folder / "rollouts" / ".index.sqlite"
    if thing == "link":
        place.symlink_to(precious)
    elif thing == "folder":
        place.mkdir()
    else:
        place.with_name(".index.sqlite-wal").symlink_to(precious)
    index = ready(folder)
    assert len(keys(index)) == 2
    assert index.path is not None and index.path.is_relative_to(tmp_path / "temporary")
    assert index.path.parent.stat().st_mode & 0o077 == 0  # the user's own
    assert precious.read_bytes() == before
