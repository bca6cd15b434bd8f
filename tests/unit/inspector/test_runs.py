"""Run folders are read while they grow; what they name is confined to them and to data roots."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from building import append_step, picture, write_run

from mmrl.errors import ConfigError, DataError, MediaError
from mmrl.eval import lines
from mmrl.eval.run_facts import summary_of
from mmrl.inspector.runs import RunFiles, discover

PNG = picture(0)


@pytest.fixture
def run(tmp_path: Path) -> RunFiles:
    return RunFiles(write_run(tmp_path / "runs" / "a", steps=2, groups=1, size=2))


def test_a_run_folder_is_read(run: RunFiles) -> None:
    assert run.name == "a"
    assert run.config["data"][0]["task"] == "digit_box"
    assert summary_of(run.folder)["steps"] == 2
    assert [r["step"] for r in run.metrics()] == [0, 1]
    assert [(r["kind"], r["step"]) for r in run.records()] == [
        ("eval", 0), ("step", 0), ("step", 1), ("eval", 2)
    ]  # fmt: skip
    assert [r["iou"] for r in run.evals()] == [0.5, 1 - 0.5 / 3]


def test_a_half_written_line_waits_for_its_end(run: RunFiles) -> None:
    log = run.folder / "metrics.jsonl"
    with log.open("a") as file:
        file.write('{"kind": "step", "st')
    assert len(run.metrics()) == 2
    with log.open("a") as file:
        file.write('ep": 2}')
    assert len(run.metrics()) == 2  # its newline is not there yet
    with log.open("a") as file:
        file.write("\n")
    assert run.metrics()[2] == {"kind": "step", "step": 2}


def test_only_what_is_new_is_parsed(run: RunFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[bytes | None] = []
    real = lines.parse_record
    monkeypatch.setattr(lines, "parse_record", lambda raw: (parsed.append(raw), real(raw))[1])
    assert len(run.records()) == 4 and len(parsed) == 4
    append_step(run.folder, 2, groups=1, size=2)
    assert len(run.records()) == 5 and len(parsed) == 5


def test_a_log_that_was_cut_back_is_read_anew(run: RunFiles) -> None:
    log = run.folder / "metrics.jsonl"
    assert len(run.metrics()) == 2
    first = log.read_text().splitlines(keepends=True)[0]
    log.write_text(first)
    assert [r["kind"] for r in run.records()] == ["eval"]
    # cut back and written on beyond where it was: longer than before, other lines
    log.write_text(first + '{"kind": "step", "step": 0, "again": 1}\n' * 40)
    assert [r.get("again") for r in run.metrics()] == [1] * 40


def test_a_log_that_is_no_json_gives_no_records(run: RunFiles) -> None:
    with (run.folder / "metrics.jsonl").open("ab") as file:
        file.write(b"not json\n[1, 2]\n\n\xff\xfe\n" + b"[" * 100_000 + b"\n" + b"9" * 5000 + b"\n")
        file.write(b'{"kind": "step", "step": 7}\n')
    assert [r["step"] for r in run.metrics()] == [0, 1, 7]


def test_what_is_no_run_folder_is_refused_with_the_nearest(tmp_path: Path) -> None:
    write_run(tmp_path / "quickstart", steps=1, groups=1, size=2)
    (tmp_path / "notes").mkdir()
    with pytest.raises(ConfigError, match=r'no such folder\. Did you mean "quickstart"'):
        RunFiles(tmp_path / "quickstrat")
    with pytest.raises(ConfigError, match=r"no run folder \(no config.yaml.*Known: quickstart"):
        RunFiles(tmp_path / "notes")
    with pytest.raises(ConfigError, match="found a file"):
        RunFiles(tmp_path / "quickstart" / "config.yaml")
    with pytest.raises(ConfigError, match="a«NUL»b: no such folder"):
        RunFiles("a\0b")
    (tmp_path / "notes" / "config.yaml").write_text("title: not a recipe\n")
    with pytest.raises(ConfigError, match="with a policy"):
        RunFiles(tmp_path / "notes")


def test_runs_are_found_below_a_folder(tmp_path: Path) -> None:
    for name in ("one", "exp/seed0", "exp/seed1", "other/seed0"):
        write_run(tmp_path / "runs" / name, steps=1, groups=1, size=2)
    (tmp_path / "runs" / "empty").mkdir()
    (tmp_path / "runs" / "linked").symlink_to(tmp_path / "runs" / "one")
    found = discover([tmp_path / "runs"])
    assert [r.name for r in found] == ["exp/seed0", "seed1", "one", "other/seed0"]
    named = discover([tmp_path / "runs" / "one", tmp_path / "runs" / "exp", tmp_path / "runs/one"])
    assert [r.name for r in named] == ["one", "seed0", "seed1"]
    with pytest.raises(ConfigError, match="none below"):
        discover([tmp_path / "runs" / "empty"])


def test_tokens_of_one_rollout_come_from_its_line(tmp_path: Path) -> None:
    run = RunFiles(write_run(tmp_path / "a", steps=1, groups=1, size=3, ranks=2))
    text = json.loads((run.rollouts / "step-000000.rank1.jsonl").read_text().splitlines()[2])[
        "text"
    ]
    rows = run.tokens(0, 2, rank=1)
    assert [r["offset"] for r in rows] == list(range(0, len(text), 3))
    assert {r["line"] for r in rows} == {2}
    assert run.tokens(0, 99) == [] and run.tokens(5, 0) == []
    (run.rollouts / "step-000000.tokens.parquet").write_bytes(b"PAR1 no table")
    with pytest.raises(DataError, match="wanted a token table"):
        run.tokens(0, 0)


# what may be shown


def _data_run(tmp_path: Path, root: str = "media") -> tuple[RunFiles, Path]:
    """A run on a data set whose media root lies outside of the run folder."""
    data = tmp_path / "data"
    (data / "media").mkdir(parents=True)
    (data / "media" / "x.png").write_bytes(PNG)
    (data / "rows.jsonl").write_text("{}\n")
    (data / "set.yaml").write_text(
        f"name: mine\nsource: rows.jsonl\nmedia_root: {root}\nlicence: CC0-1.0\ntask: grounding\n"
    )
    folder = write_run(
        tmp_path / "run", steps=1, groups=1, size=2,
        settings={"data": [{"cfg": str(data / "set.yaml")}]},
    )  # fmt: skip
    return RunFiles(folder), data


def test_media_of_the_run_and_of_its_data_roots_are_found(tmp_path: Path) -> None:
    run, data = _data_run(tmp_path)
    saved = sorted((run.rollouts / "media").iterdir())[0]
    assert run.media_path(f"media/{saved.name}") == saved
    assert run.data_roots == (data / "media",)
    assert run.media_path(str(data / "media" / "x.png")) == data / "media" / "x.png"


def test_roots_of_stages_and_evaluation_count_and_given_ones(tmp_path: Path) -> None:
    run, data = _data_run(tmp_path)
    recipe = (run.folder / "config.yaml").read_text()
    (data / "more").mkdir()
    (data / "more" / "y.png").write_bytes(PNG)
    spec = (data / "set.yaml").read_text().replace("media_root: media", "media_root: more")
    (data / "eval.yaml").write_text(spec)
    recipe = recipe.replace("eval:\n  data: []", f"eval:\n  data: [{{cfg: {data / 'eval.yaml'}}}]")
    (run.folder / "config.yaml").write_text(recipe)
    assert set(RunFiles(run.folder).data_roots) == {data / "media", data / "more"}
    other = tmp_path / "other"
    other.mkdir()
    (other / "z.png").write_bytes(PNG)
    with pytest.raises(MediaError, match=r"none of the run's data roots.*--data-root"):
        run.media_path(str(other / "z.png"))
    given = RunFiles(run.folder, data_roots=[other])
    assert given.media_path(str(other / "z.png")) == other / "z.png"


def test_a_run_folder_cannot_open_the_whole_disk(tmp_path: Path) -> None:
    """A data set file inside the run folder came with it, and `/` is nobody's media root."""
    run, data = _data_run(tmp_path, root="/")
    assert run.data_roots == ()
    (run.folder / "set.yaml").write_text(
        (data / "set.yaml").read_text().replace(": /", ": ../data")
    )
    recipe = (run.folder / "config.yaml").read_text()
    recipe = recipe.replace(str(data / "set.yaml"), str(run.folder / "set.yaml"))
    (run.folder / "config.yaml").write_text(recipe)
    assert RunFiles(run.folder).data_roots == ()


HOSTILE = [
    "",
    ".",
    "..",
    "/",
    "//",
    "media",
    "media/",
    "media/.",
    "media/..",
    "media//p.png",
    "./media/p.png",
    "../secret.png",
    "../../secret.png",
    "media/../../../secret.png",
    "media/../../config.yaml",
    "media/../step-000000.jsonl",
    "media/sub/../p.png",
    "media/....//....//secret.png",
    "media/%2e%2e/%2e%2e/secret.png",
    "%2e%2e%2fsecret.png",
    "media/..%2f..%2fsecret.png",
    "media/%252e%252e/secret.png",
    "media\\..\\..\\secret.png",
    "..\\secret.png",
    "C:\\secret.png",
    "\\\\server\\share\\secret.png",
    "~/secret.png",
    "~root/.ssh/id_rsa",
    "media/~/p.png",
    "$HOME/secret.png",
    "file:///etc/passwd",
    "http://example.org/p.png",
    "data:image/png;base64,AAAA",
    "media/p.png\0.txt",
    "media/\0",
    "/etc/passwd\0.png",
    "media/p.png\n",
    "media/\u2025/secret.png",  # two-dot leader
    "media/\uff0e\uff0e/secret.png",  # full-width dots
    "media\u2215p.png",  # division slash
    "media/p\u202egnp.png",
    "media/" + "a" * 100_000,
    "media/" + "a/" * 4000 + "p.png",
    "/" + "a" * 5000,
    "/etc/passwd",
    "/etc/../etc/passwd",
    "/dev/zero",
    "/dev/stdin",
    "/proc/self/environ",
    "/proc/self/root/etc/passwd",
    "media/link.png",  # a link to a picture outside
    "media/linked/secret.png",  # a linked folder
    "media/loop.png",
    "media/dangling.png",
    "media/fifo.png",
    "media/folder.png",
    "media/empty.png",
    "media/text.png",
    "media/page.svg",
    "media/missing.png",
    "media/.hidden.png",
    ".index.sqlite",
    "step-000000.jsonl",
    "ROOT/../secret.png",
    "ROOT/../../etc/passwd",
    "ROOT/link.png",
    "ROOT/linked/secret.png",
    "ROOT-beside/secret.png",  # begins like the root, is not in it
    "ROOT/fifo.png",
    "ROOT",
    "ROOT/text.png",
    "SECRET",
]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFiles, Path, Path]:
    top = tmp_path_factory.mktemp("hostile")
    run, data = _data_run(top)
    for secret in (top, top / "beside", data, data / "media-beside", run.folder):
        secret.mkdir(exist_ok=True)
        (secret / "secret.png").write_bytes(PNG)
    for folder in (run.rollouts / "media", data / "media"):
        (folder / "p.png").write_bytes(PNG)
        (folder / ".hidden.png").write_bytes(PNG)
        (folder / "link.png").symlink_to(top / "secret.png")
        (folder / "linked").symlink_to(top / "beside")
        (folder / "loop.png").symlink_to(folder / "loop.png")
        (folder / "dangling.png").symlink_to(folder / "nothing.png")
        (folder / "sub").mkdir()
        (folder / "folder.png").mkdir()
        (folder / "empty.png").touch()
        (folder / "text.png").write_text("root:x:0:0\n")
        (folder / "page.svg").write_text("<svg onload='alert(1)'/>")
        os.mkfifo(folder / "fifo.png")
    return run, data / "media", top / "secret.png"


@pytest.mark.parametrize("number", range(len(HOSTILE)), ids=lambda n: ascii(HOSTILE[n])[:40])
def test_hostile_paths_are_refused(hostile: tuple[RunFiles, Path, Path], number: int) -> None:
    run, root, secret = hostile
    name = HOSTILE[number].replace("ROOT", str(root)).replace("SECRET", str(secret))
    with pytest.raises(MediaError) as caught:
        run.media_path(name)
    assert len(str(caught.value)) < 1500 and "\0" not in str(caught.value)


def test_the_same_places_open_for_what_belongs_there(hostile: tuple[RunFiles, Path, Path]) -> None:
    """So the refusals above are of the paths, not of everything."""
    run, root, _ = hostile
    assert run.media_path("media/p.png") == run.rollouts / "media" / "p.png"
    assert run.media_path(f"{root}/p.png") == root / "p.png"
    assert run.media_path(f"{root}/sub/../p.png") == root / "p.png"  # stays inside


@pytest.mark.parametrize("link", ["rollouts", "rollouts/media"])
def test_a_linked_folder_of_media_is_refused(tmp_path: Path, link: str) -> None:
    run = RunFiles(write_run(tmp_path / "run", steps=1, groups=1, size=2))
    outside = tmp_path / "outside"
    (run.folder / link).rename(outside)
    (run.folder / link).symlink_to(outside)
    name = next(p.name for p in outside.rglob("*.png"))
    with pytest.raises(MediaError, match="leads out of"):
        run.media_path(f"media/{name}")
