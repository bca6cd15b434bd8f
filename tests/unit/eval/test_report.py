"""report.html: what it shows, on every kind of run folder, and that nothing in it acts."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmrl.errors import ConfigError, DataError, MediaError
from mmrl.eval.report import write_report
from mmrl.eval.report_groups import choose, scan, with_gains
from mmrl.eval.report_media import CLIP_LIMIT_S, media_html, opened_store, small_picture
from mmrl.media.confine import confined_media
from mmrl.media.store import MediaStore
from mmrl.media.workers import DecodePool
from mmrl.media.write import write_video

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\x1b[2J\u202e\ud800 & \"'"


def a_row(step: int, draw: str, g: int, reward: float | None, **more: Any) -> dict[str, Any]:
    return {
        "step": step,
        "stage": "train",
        "draw": draw,
        "rollout": g,
        "sample": f"s{draw}",
        "task": "digit_box",
        "question": f"where is {draw}",
        "target": [1, 2, 3, 4],
        "media": [],
        "text": f"says {draw}.{g}",
        "verdict": "ok",
        "stop": "eos",
        "num_tokens": 10,
        "parts": {"iou": reward, "format": 1.0},
        "failures": {},
        "score": reward,
        "reward": reward,
        "advantage": {"main": 0.5},
        **more,
    }


def write_jsonl(path: Path, rows: list[dict[str, Any]], tail: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + tail)


def a_step(step: int, **figures: Any) -> dict[str, Any]:
    return {"kind": "step", "step": step, "stage": "train", **figures}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run that was killed in its third step of ten, in the middle of a line."""
    folder = tmp_path / "a_run"
    folder.mkdir()
    (folder / "config.yaml").write_text(
        "name: killed\nseed: 3\npolicy: {model: tiny}\nmethod: {name: grpo, group_size: 2}\n"
        "data: [{task: digit_box, weight: 1.0}]\ntrain: {steps: 10}\nstages: []\n"
    )
    steps = [
        a_step(i, reward=0.1 * i, ratio=1.0, **{"reward/iou": 0.1 * i, "time/rollout": 30.0})
        for i in range(3)
    ]
    write_jsonl(folder / "metrics.jsonl", steps, tail='{"kind": "step", "st')
    rows = [a_row(2, "2.0", g, reward) for g, reward in enumerate((0.25, 0.75))]
    write_jsonl(folder / "rollouts" / "step-000002.jsonl", rows, tail='{"half')
    return folder


def test_a_promoted_stage_shortens_the_run_and_its_border_lies_where_it_ended(run: Path) -> None:
    (run / "config.yaml").write_text(
        "name: staged\nstages: [{name: judge, steps: 80}, {name: plan, steps: 3}]\n"
    )
    end = {"kind": "stage", "step": 2, "stage": "judge", "steps": 2, "of": 80, "ended": "promoted"}
    asked = {"kind": "promotion", "step": 2, "stage": "judge", "measure": "iou", "value": 0.9}
    steps = [{**a_step(i, reward=0.1), "stage": "judge" if i < 2 else "plan"} for i in range(4)]
    write_jsonl(run / "metrics.jsonl", [*steps[:2], asked, end, *steps[2:]])
    text = write_report(run).read_text()
    assert "judge from step 0 (promoted: 2 of 80 steps) → plan from step 2" in text
    assert "<dd>4 of 5 steps, not finished</dd>" in text  # 80 + 3, less 78
    assert "Held-out" not in text  # the promotion's evaluation is none of the run's


class Tags(HTMLParser):
    """Collects tags and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs


def tags_of(text: str) -> Tags:
    found = Tags()
    found.feed(text)
    return found


def test_a_killed_run_says_what_ran_and_how_far(run: Path) -> None:
    path = write_report(run)
    text = path.read_text()
    assert path == run / "report.html"
    assert "<h1>killed</h1>" in text
    assert "<dd>3 of 10 steps, not finished</dd>" in text
    assert "<dd>tiny</dd>" in text and "<dd>grpo · group_size 2</dd>" in text
    assert "<dd>digit_box</dd>" in text
    assert "1.5 minutes in the logged steps" in text  # 3 · 30 s
    assert "Reward part: iou" in text and "Probability ratio 1" in text
    assert "<b>0.750</b><pre>says 2.0.1</pre>" in text
    assert text.index("says 2.0.1") < text.index("says 2.0.0")  # the better one first
    assert not list(run.glob(".*part"))


def test_a_finished_run_shows_its_table_with_intervals(run: Path) -> None:
    eval_records = [
        {"kind": "eval", "step": at, "iou": v, "iou_ci95": [v - 0.05, v + 0.05], "items": 64}
        for at, v in ((0, 0.4), (10, 0.6))
    ]
    steps = [a_step(i, reward=0.5) for i in range(10)]
    write_jsonl(run / "metrics.jsonl", [eval_records[0], *steps, eval_records[1]])
    row = {"metric": "iou", "before": 0.4, "after": 0.6, "difference": 0.2}
    summary = {
        "seconds_train": 60.0,
        "seconds_total": 90.0,
        "stopped": "",
        "versions": {"torch": "2.0"},
        "machine": {"system": "Linux-x", "processors": "2 processors"},
        "table": [{**row, "low": 0.1, "high": 0.3}],
    }
    (run / "summary.json").write_text(json.dumps(summary))
    text = write_report(run).read_text()
    assert "10 steps, finished" in text
    assert "1.0 minutes of training, 1.5 in all" in text
    assert "Linux-x, 2 processors" in text and "torch 2.0" in text
    cells = re.sub(r"<[^>]*>", " ", text[text.index("<td>iou") : text.index("</table>")])
    assert " ".join(cells.split()) == (
        "iou 0.400 [0.350, 0.450] 0.600 [0.550, 0.650] +0.200 [+0.100, +0.300]"
    )
    assert "64 samples at step 10" in text


def test_an_unfinished_run_compares_its_own_evaluations(run: Path) -> None:
    for step, values in ((0, (0.0, 0.5)), (2, (0.5, 1.0))):
        rows = [
            {"id": f"i{n}", "task": "t", "question": "", "target": 1, "texts": []}
            | {"values": {"iou": value, "length": 3.0}}
            for n, value in enumerate(values)
        ]
        write_jsonl(run / "evals" / f"step-{step:06d}.jsonl", rows)
    records = [{"kind": "eval", "step": 0, "iou": 0.25}, a_step(0), a_step(1)]
    write_jsonl(run / "metrics.jsonl", [*records, {"kind": "eval", "step": 2, "iou": 0.75}])
    text = write_report(run).read_text()
    assert '<td class="good">+0.500<td>[+0.500, +0.500]' in text


@pytest.mark.parametrize("left", ["metrics", "nothing", "sft"])
def test_runs_without_rollouts_or_steps(run: Path, left: str) -> None:
    shutil.rmtree(run / "rollouts")
    if left == "nothing":
        (run / "metrics.jsonl").unlink()
    elif left == "sft":
        rows = [a_step(i, loss=2.0 - 0.1 * i) | {"stage": "cold"} for i in range(5)]
        write_jsonl(run / "metrics.jsonl", rows)
    text = write_report(run).read_text()
    assert "Groups</h2>" not in text
    assert ("<svg" in text) == (left != "nothing")
    assert "<p>None. Too few steps to see a trend.</p>" in text


def test_stages_are_named_and_marked(run: Path) -> None:
    rows = [a_step(i, loss=1.0 / (i + 1)) | {"stage": "cold" if i < 4 else "rl"} for i in range(8)]
    write_jsonl(run / "metrics.jsonl", rows)
    text = write_report(run).read_text()
    assert "cold from step 0 → rl from step 4" in text
    assert re.search(r"<text[^>]*>rl</text>", text)


def test_warnings_are_told(run: Path) -> None:
    write_jsonl(run / "metrics.jsonl", [a_step(i, truncated=0.5) for i in range(60)])
    text = write_report(run).read_text()
    assert '<b>truncated</b> <span class="dim">since step 39</span>' in text
    assert "50% of the completions are cut" in text


def test_everything_untrusted_is_inert(run: Path) -> None:
    row = a_row(
        *(2, HOSTILE, 0, 0.5),
        sample=HOSTILE,
        task=HOSTILE,
        question=HOSTILE,
        target={HOSTILE: HOSTILE},
        text=HOSTILE,
        verdict=HOSTILE,
        stop=HOSTILE,
        parts={HOSTILE: 1.0},
        failures={HOSTILE: HOSTILE},
        media=[{"kind": "image", "file": HOSTILE}],
    )
    write_jsonl(run / "rollouts" / "step-000002.jsonl", [row])
    steps = [a_step(i, **{HOSTILE: float(i), f"reward/{HOSTILE}": float(i)}) for i in range(4)]
    steps = [s | {"stage": HOSTILE if s["step"] > 1 else "a $x$"} for s in steps]
    evals = [
        {"kind": "eval", "step": s, HOSTILE: 0.1 * s, f"{HOSTILE}_ci95": [0.0, 1.0]} for s in (0, 4)
    ]
    write_jsonl(run / "metrics.jsonl", [evals[0], *steps, evals[1]])
    summary = {"stopped": HOSTILE, "machine": {"gpu": HOSTILE}, "versions": {HOSTILE: HOSTILE}}
    row_of_table = {"metric": HOSTILE, "before": 0, "after": 0, "difference": 0, "low": 0}
    (run / "summary.json").write_text(
        json.dumps({**summary, "table": [row_of_table | {"high": 0}]})
    )
    config = {
        "name": HOSTILE.replace("\ud800", ""),
        "policy": {"model": "<b>"},
        "method": {"a": "<i>"},
    }
    (run / "config.yaml").write_text(json.dumps(config))
    text = write_report(run).read_text()
    found = tags_of(text)
    assert not found.tags & {"script", "img", "iframe", "object", "a", "i", "link", "form"}
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    assert "\x1b" not in text and "\u202e" not in text
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 12
    assert "default-src &#x27;none&#x27;" in text or "default-src 'none'" in text


def picture(path: Path, size: tuple[int, int] = (40, 30)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (200, 30, 30)).save(path)


def with_medium(run: Path, kind: str, file: str) -> str:
    with opened_store() as store:
        return media_html(run, [{"media": [{"kind": kind, "file": file}]}], store)


def test_a_picture_of_the_run_is_embedded_small(run: Path) -> None:
    picture(run / "rollouts" / "media" / "a.png", (1600, 800))
    text = with_medium(run, "image", "media/a.png")
    assert '<img alt="" src="data:image/jpeg;base64,' in text
    data, kind = small_picture(Image.new("RGB", (1600, 800)))
    assert kind == "jpeg" and len(data) < 20_000
    picture(run / "rollouts" / "media" / "b.png")
    assert '<img class="pixels" alt="" src="data:image/png;' in with_medium(
        run, "image", "media/b.png"
    )


def test_answers_and_reference_are_drawn_over_their_picture(run: Path) -> None:
    picture(run / "rollouts" / "media" / "a.png")
    media = [{"kind": "image", "file": "media/a.png"}] * 2
    box = {"medium": 0, "box": [0.25, 0.5, 0.75, 1.5], "label": HOSTILE}
    point = {"medium": 1, "point": [0.1, 0.2], "label": ""}
    route = {"medium": 0, "line": [[0, 0], [1, 1]], "label": ""}
    bad = {"medium": 0, "box": ['"><script>', 0, 1, 1], "label": ""}
    rows = [
        {"media": media, "overlay": {"boxes": [box, bad], "points": [point]}, "gold_overlay": None},
        {"media": media, "overlay": {"routes": [route]}, "gold_overlay": {"boxes": [box]}},
    ]
    with opened_store() as store:
        first, second = media_html(run, rows, store).split("</svg>")[:2]
        gold = media_html(run, rows[1:], store)
    corners = "0.2500,0.5000 0.7500,0.5000 0.7500,1.5000 0.2500,1.5000 0.2500,0.5000"
    assert re.findall(r'class="([^"]*)" points="([^"]*)"', first) == [
        ("answer", "0.0000,0.0000 1.0000,1.0000"),
        ("answer first", corners),  # last drawn: the best answer lies on top
    ]
    assert re.findall(r'class="([^"]*)" points="([^"]*)"', second) == [
        ("answer first dot", "0.1000,0.2000 0.1000,0.2000")
    ]
    assert f'<polyline class="gold" points="{corners}"/></svg>' in gold
    assert "script" not in first + second + gold


def test_a_clip_is_a_strip_with_seconds(run: Path) -> None:
    frames = np.zeros((16, 32, 48, 3), np.uint8)
    (run / "rollouts" / "media").mkdir()
    (run / "rollouts" / "media" / "c.mp4").write_bytes(write_video(list(frames), fps=8))
    text = with_medium(run, "video", "media/c.mp4")
    assert text.count("<figure>") == 8
    assert "<figcaption>0.0 s</figcaption>" in text


def test_a_clip_that_hangs_its_reader_ends_at_a_limit(run: Path) -> None:
    """The reader here spins in native code, as decord can; the report says so and goes on."""
    (run / "rollouts" / "media").mkdir()
    frames = list(np.zeros((16, 32, 48, 3), np.uint8))
    (run / "rollouts" / "media" / "hang.mp4").write_bytes(write_video(frames, fps=8))
    hanging = str(Path(__file__).parents[1] / "media" / "hanging_worker.py")
    with DecodePool(1, 1.0, command=(hanging,)) as pool, MediaStore(pool=pool) as store:
        medium = {"kind": "video", "file": "media/hang.mp4"}
        text = media_html(run, [{"media": [medium]}], store)
    assert "cannot be shown: timeout" in text
    with opened_store() as store:
        assert (store.pool.workers, store.pool.timeout_s) == (1, CLIP_LIMIT_S)


@pytest.mark.parametrize(
    "name",
    [
        "../secret.png",
        "media/../../secret.png",
        "media/../step-000002.jsonl",
        "/etc/passwd",
        "media/link.png",
        "media/linked/x.png",
        "media",
        "media/missing.png",
        "",
        "media/\x00.png",
        "media/" + "x" * 5000,
    ],
)
def test_a_path_out_of_the_media_folder_is_refused(run: Path, tmp_path: Path, name: str) -> None:
    picture(run / "secret.png")
    picture(tmp_path / "outside" / "x.png")
    media = run / "rollouts" / "media"
    media.mkdir()
    (media / "link.png").symlink_to(run / "secret.png")
    (media / "linked").symlink_to(tmp_path / "outside")
    with pytest.raises(MediaError):
        confined_media(name, run / "rollouts", ())
    text = with_medium(run, "image", name)
    assert "<img" not in text and "not in the run folder" in text


def test_a_file_that_is_no_picture_is_named_by_its_reason(run: Path) -> None:
    (run / "rollouts" / "media").mkdir()
    (run / "rollouts" / "media" / "a.png").write_bytes(b"<svg onload=alert(1)>")
    assert "cannot be shown: not_media" in with_medium(run, "image", "media/a.png")
    (run / "rollouts" / "media" / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    assert "cannot be shown: not_an_image" in with_medium(run, "image", "media/b.png")


@pytest.mark.parametrize("link", ["rollouts", "rollouts/media"])
def test_media_behind_a_linked_folder_are_refused(run: Path, tmp_path: Path, link: str) -> None:
    picture(run / "rollouts" / "media" / "a.png")
    assert "<img" in with_medium(run, "image", "media/a.png")
    (run / link).rename(tmp_path / "outside")
    (run / link).symlink_to(tmp_path / "outside")
    text = with_medium(run, "image", "media/a.png")
    assert "<img" not in text and "not in the run folder" in text


def test_groups_are_chosen_over_all_steps_and_ranks(run: Path) -> None:
    """Steps 0 to 2; the best in step 1, nothing right in step 0, the gain of one sample 0.75."""
    files: dict[str, list[tuple[str, tuple[float | None, ...], str]]] = {
        "step-000000": [("0.0", (0.0, 0.0), "a"), ("0.1", (0.1, 0.3), "b")],
        "step-000001": [("1.0", (1.0, 1.0), "c")],
        "step-000001.rank1": [("1.0r", (0.0, 1.0), "d")],
        "step-000002": [("2.0", (0.9, 0.6), "a"), ("2.1", (0.1, None), "b")],
    }
    for name, groups in files.items():
        rows = [
            a_row(int(name[5:11]), draw, g, reward, sample=sample, num_tokens=g + int(draw[2]))
            for draw, rewards, sample in groups
            for g, reward in enumerate(rewards)
        ]
        write_jsonl(run / "rollouts" / f"{name}.jsonl", rows)
    keys = with_gains(scan(run))
    assert len(keys) == 6
    chosen = {title.partition(":")[0]: [k.draw for k in found] for title, found in choose(keys)}
    assert chosen["Best"] == ["1.0", "2.0"]
    assert chosen["Nothing right"] == ["0.0", "2.1"]
    assert chosen["Largest gain"] == ["2.0"]
    assert chosen["Largest loss"] == ["2.1"]  # 0.2 -> 0.1: the unscorable one is left out
    assert chosen["Largest spread of rewards"][0] == "1.0r"
    assert next(k.gain for k in keys if k.draw == "2.0") == pytest.approx(0.75)
    text = write_report(run).read_text()
    assert "Chosen among 6 groups" in text
    assert "<b>unscorable</b>" in text
    assert text.count("where is 1.0r") == 1  # shown once, though it is chosen twice


def test_long_texts_and_large_groups_are_cut(run: Path) -> None:
    rows = [a_row(2, "2.0", g, g / 20, text="x" * 50_000) for g in range(20)]
    write_jsonl(run / "rollouts" / "step-000002.jsonl", rows)
    text = write_report(run).read_text()
    assert text.count(" … 48000 more characters") == 16
    assert "and 4 more rollouts" in text


def test_no_run_folder_is_an_error_that_names_those_beside(run: Path) -> None:
    with pytest.raises(ConfigError, match=r'not a run folder .*Did you mean "a_run"'):
        write_report(run.parent / "a_rum")


def test_a_line_broken_in_the_middle_is_an_error_that_names_it(run: Path) -> None:
    (run / "metrics.jsonl").write_text('{"kind": "st\n{"kind": "step", "step": 1}\n')
    with pytest.raises(DataError, match=r"metrics\.jsonl:1: "):
        write_report(run)
