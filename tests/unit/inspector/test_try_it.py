"""Try it: answers equal `mmrl eval`'s, questions queue and can stop, hostile input is told."""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import threading
import time
import weakref
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from building import write_run
from html_reading import Reading
from PIL import Image
from safetensors.torch import load_file, save_file

from mmrl.errors import ConfigError, DataError, MediaError, PolicyError
from mmrl.inspector import models
from mmrl.inspector.html_tried import asked_html, progress_html, upload_html
from mmrl.inspector.models import Holder, checkpoints, named, recipe_of
from mmrl.inspector.runs import RunFiles
from mmrl.inspector.targets import candidates, with_target
from mmrl.inspector.try_it import (
    Question,
    Stopped,
    Studio,
    Ticket,
    question_about,
    spaces_of,
)
from mmrl.inspector.uploads import MAX_BYTES, Shelf, Upload, read_upload, try_upload
from mmrl.media.workers import DecodePool
from mmrl.tasks.base import TASKS
from mmrl.train.run import evaluate
from mmrl.types import MediaInfo, Sample

TINY = Path(__file__).parents[3] / "assets" / "tiny-vlm"
HOSTILE = "<script>alert(1)</script> ${alert(2)} {{x}} <img src=x onerror=alert(3)> \x1b[2J\u202e"
INFO = MediaInfo(
    kind="image", digest="0", original_size=(112, 112), processed_size=(112, 112), num_tokens=16
)


@pytest.fixture(scope="module")
def studio() -> Iterator[Studio]:
    studio = Studio({}, {"tiny": TINY})
    yield studio
    studio.close()


@pytest.fixture(scope="module")
def pool() -> Iterator[DecodePool]:
    with DecodePool(1, 60.0) as pool:
        yield pool


def drawn(task: str = "digit_box", index: int = 0) -> Sample:
    world = TASKS.get(task).world
    assert world is not None
    return world(index, split="test", seed=0)


def question(sample: Sample | None = None, **changes: Any) -> Question:
    given: dict[str, Any] = {"num": 2, "max_new_tokens": 24, **changes}
    return Question(checkpoint="tiny", sample=sample or drawn(), **given)


def png(size: tuple[int, int] = (30, 20)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, (9, 99, 9)).save(out, "png")
    return out.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_that_claims(width: int, height: int) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress(bytes(1_000_000)))
    return b"\x89PNG\r\n\x1a\n" + head + rows + chunk(b"IEND", b"")


# answers


def test_answers_are_those_that_an_evaluation_samples_and_scores(studio: Studio) -> None:
    asked = studio.ask(question(num=4, max_new_tokens=48, scored=True), Ticket())
    overrides = ["rollout.max_new_tokens=48", "eval.greedy=false"]
    found = evaluate(TINY, "digit_box", samples=4, best_of=4, limit=1, overrides=overrides)
    (item,) = found.items
    assert [record["text"] for record in asked.records] == list(item.texts)
    scores = [record["score"] for record in asked.records]
    assert sum(scores) / 4 == item.values["iou"] > 0
    for record in asked.records:
        parts, weights = record["parts"], record["weights"]
        assert weights == {"box_iou": 1.0, "format": 0.2}
        assert record["reward"] == pytest.approx(parts["box_iou"] + 0.2 * parts["format"])
    assert asked.gold == TASKS.get("digit_box").gold(asked.sample)
    wanted = [v / 100 for v in asked.sample.target]
    assert asked.records[0]["gold_overlay"]["boxes"][0]["box"] == pytest.approx(wanted)


def test_an_uploaded_picture_is_answered_like_the_sample_it_came_from(studio: Studio) -> None:
    sample = drawn(index=3)
    data = sample.media[0].data
    assert data is not None
    own = question_about(
        "digit_box", sample.question, [try_upload(data).ref], name=sample.id,
        coord_space="norm_100", answer_space="norm_100",
    )  # fmt: skip
    typed = studio.ask(question(own, target=json.dumps(sample.target), scored=True), Ticket())
    known = studio.ask(question(sample, scored=True), Ticket())
    for key in ("text", "score", "reward", "overlay", "gold_overlay"):
        assert [r[key] for r in typed.records] == [r[key] for r in known.records], key


def test_a_clip_is_asked_about_and_its_spans_drawn(studio: Studio, pool: DecodePool) -> None:
    sample = drawn("digit_span")
    data = sample.media[0].data
    assert data is not None
    own = question_about("digit_span", sample.question, [try_upload(data).ref], name="u")
    asked = studio.ask(question(own, target="[1.0, 2.5]", scored=True), Ticket())
    assert asked.records[0]["gold_overlay"]["spans"][0]["span"] == [1.0, 2.5]
    assert Reading(asked_html(asked, pool, "tiny")).pictures >= 1


def test_without_a_target_nothing_is_scored_and_no_card_says_right_or_wrong(
    studio: Studio, pool: DecodePool
) -> None:
    own = question_about("grounding", HOSTILE, drawn().media, name="u", plain=True)
    asked = studio.ask(question(own, num=1), Ticket())
    record = asked.records[0]
    assert asked.gold is None and record["reward"] is None and record["parts"] == {}
    assert asked.sample.task == "grounding:as it stands"
    seen = Reading(asked_html(asked, pool, "<b>tiny</b>")).text
    assert "<script>alert(1)</script> ${alert(2)} {{x}} <img src=x onerror=alert(3)>" in seen
    assert "right" not in seen and "wrong" not in seen and "<b>tiny</b>" in seen


def test_temperature_zero_is_one_greedy_answer(studio: Studio) -> None:
    asked = studio.ask(question(num=5, temperature=0.0), Ticket())
    again = studio.ask(question(num=1, temperature=0.0, seed=7), Ticket())
    assert [r["text"] for r in asked.records] == [r["text"] for r in again.records]
    assert len(asked.records) == 1


def test_new_tokens_are_bounded_by_the_question(studio: Studio) -> None:
    asked = studio.ask(question(num=1, max_new_tokens=3), Ticket())
    assert asked.records[0]["num_tokens"] == 3 and asked.records[0]["stop"] == "length"
    assert studio.ask(question(num=1, max_new_tokens=40), Ticket()).records[0]["num_tokens"] > 3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num": 0}, "1 to 16, got 0"),
        ({"num": 17}, "1 to 16, got 17"),
        ({"temperature": -0.1}, "0 to 2, got -0.1"),
        ({"temperature": float("nan")}, "0 to 2, got nan"),
        ({"max_new_tokens": 10**9}, "1 to 2048"),
        ({"sample": replace(drawn(), question="x" * 8001)}, "8,001 characters"),
        ({"sample": Sample(id="u", task="text", question=" ")}, "nothing is asked"),
    ],
)
def test_what_cannot_be_asked_is_told(studio: Studio, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        studio.ask(question(**changes), Ticket())


# turns


class _Impatient(Ticket):
    """Takes its question back at the third token."""

    def check(self) -> None:
        if self.status.startswith("token 3"):
            self.cancel()
        super().check()


def test_a_cancelled_question_ends_between_two_tokens_and_the_next_is_answered(
    studio: Studio,
) -> None:
    ticket = _Impatient()
    with pytest.raises(Stopped, match="cancelled"):
        studio.ask(question(max_new_tokens=40), ticket)
    assert ticket.status == "token 3 of at most 40" and 0 < ticket.share < 0.1
    loaded = studio.loaded
    assert len(studio.ask(question(), Ticket()).records) == 2
    assert studio.loaded == loaded  # the same model, still in memory


def test_a_question_past_its_time_is_stopped(studio: Studio) -> None:
    with pytest.raises(Stopped, match="time limit"):
        studio.ask(question(), Ticket(limit_s=0.0))


def test_questions_queue_for_one_model(studio: Studio) -> None:
    studio.ask(question(num=1), Ticket())
    loaded = studio.loaded
    patient, done = Ticket(), []
    with studio._in_turn(Ticket()):
        with pytest.raises(Stopped, match="waiting for its turn, 1 in line"):
            studio.ask(question(), Ticket(wait_s=0.3))
        thread = threading.Thread(target=lambda: done.append(studio.ask(question(), patient)))
        thread.start()
        time.sleep(0.5)
        assert patient.status.startswith("waiting") and not done
    thread.join(60)
    assert len(done) == 1 and studio.loaded == loaded


# models


@pytest.mark.parametrize(
    "name", ["", "../tiny-vlm", str(TINY), "Qwen/Qwen2.5-VL-3B-Instruct", "x" * 5000, "tiny\0"]
)
def test_only_names_of_known_models_are_loaded(studio: Studio, name: str) -> None:
    with pytest.raises(ConfigError, match="no model"):
        studio.ask(replace(question(), checkpoint=name), Ticket())


def test_one_model_is_in_memory_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other"
    shutil.copytree(TINY, other)
    known = checkpoints({}, {"tiny": TINY, "other": other})
    holder = Holder()
    first = weakref.ref(holder.get(known["tiny"]).policy)
    assert holder.get(known["tiny"]).policy is first()
    load, gone = models._load, []

    def after(checkpoint: models.Checkpoint) -> Any:
        gone.append(first() is None)
        return load(checkpoint)

    monkeypatch.setattr(models, "_load", after)
    holder.get(known["other"])
    assert gone == [True] and holder.loaded == 2  # the first left before the second came
    path = other / "generation_config.json"
    path.write_text(path.read_text() + "\n")  # written anew: loaded anew
    holder.get(known["other"])
    assert holder.loaded == 3
    holder.release()


def test_models_of_runs_are_found_and_links_and_pickles_are_not(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", steps=1)
    shutil.copytree(TINY, folder / "model")
    (folder / "best").symlink_to(TINY)
    middle = folder / "checkpoints" / "step-000050"
    middle.mkdir(parents=True)
    (middle / "policy.safetensors").write_bytes(b"x")
    (folder / "checkpoints" / "step-000060").symlink_to(middle)
    (folder / "checkpoints" / ".writing-000070").mkdir()
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "config.json").write_text("{}")
    (pickled / "pytorch_model.bin").write_bytes(b"x")
    run = RunFiles(folder)
    assert list(checkpoints({"run": run}, {"pickled": pickled, "tiny": TINY})) == [
        "run · model",
        "run · step 50",
        "tiny",
    ]


def test_a_run_brings_its_budgets_and_nothing_that_is_run(tmp_path: Path) -> None:
    marker = tmp_path / "was_imported"
    plugin = tmp_path / "plug.py"
    plugin.write_text(f"open({str(marker)!r}, 'w')\n")
    settings = {
        "plugins": [str(plugin)],
        "rewards": [{"name": "mine", "function": f"{plugin}:f"}],
        "policy": {"model": str(TINY), "device": "cuda", "max_prompt_tokens": 777},
        "media": {"cache_dir": str(tmp_path / "cache"), "image": {"max_pixels": 4321}},
        "rollout": {"max_new_tokens": 99_999, "top_p": 0.5},
    }
    folder = write_run(tmp_path / "run", steps=1, settings=settings)
    shutil.copytree(TINY, folder / "model")
    known = checkpoints({"run": RunFiles(folder)}, {})
    run = recipe_of(known["run · model"]).run
    assert run.policy.model == str(folder / "model") and run.policy.device == "auto"
    assert run.policy.max_prompt_tokens == 777 and run.media.image.max_pixels == 4321
    assert run.rollout.max_new_tokens == 2048 and run.rollout.top_p == 0.5
    assert run.media.cache_dir is None and run.plugins == () and run.rewards is None
    holder = Holder()
    assert holder.get(known["run · model"]).policy.device.type == "cpu"
    holder.release()
    assert not marker.exists() and not (tmp_path / "cache").exists()


def test_a_checkpoint_in_the_middle_goes_onto_the_first_model(tmp_path: Path) -> None:
    settings = {"policy": {"model": str(TINY)}}
    folder = write_run(tmp_path / "run", steps=1, settings=settings)
    middle = folder / "checkpoints" / "step-000007"
    middle.mkdir(parents=True)
    weights = load_file(TINY / "model.safetensors")
    holder = Holder()
    known = checkpoints({"run": RunFiles(folder)}, {"tiny": TINY})
    state = holder.get(known["tiny"]).policy.trainable_state()
    assert len(state) == len(weights)
    name = max(state, key=lambda key: state[key].numel())
    state[name] = state[name] + 1.0
    save_file(state, middle / "policy.safetensors")
    chosen = named(checkpoints({"run": RunFiles(folder)}, {}), "run · step 7")
    loaded = holder.get(chosen).policy.trainable_state()
    assert all(loaded[key].equal(value) for key, value in state.items())
    (middle / "policy.safetensors").write_bytes(b"no safetensors")
    with pytest.raises(PolicyError, match="step 7: cannot be loaded"):
        holder.get(checkpoints({"run": RunFiles(folder)}, {})["run · step 7"])
    holder.release()


# uploads

UPLOADS: dict[str, tuple[bytes, str, str]] = {
    "picture that ends early": (png()[:60], "truncated corrupt", "the upload"),
    "picture that claims 60,000 x 60,000": (png_that_claims(60_000, 60_000), "too_large", "limit"),
    "picture that claims 8,000 x 8,000": (png_that_claims(8000, 8000), "too_large", "36,000,000"),
    "html named .png": (b"<html><script>alert(1)</script>", "not_media", "none of PNG"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg" onload="x"/>', "not_media", "none of PNG"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not_media", "none of PNG"),
    "playlist": (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "not_media", "none of PNG"),
    "concat list": (b"ffconcat version 1.0\nfile /etc/passwd\n", "not_media", "none of PNG"),
    "pickle": (b"\x80\x04\x95\x1a\x00\x00\x00", "not_media", "none of PNG"),
    "heic": (b"\0\0\0\x18ftypheic" + bytes(100), "not_media", "none of PNG"),
    "empty": (b"", "empty", "empty"),
    "mp4 with a broken header": (b"\0\0\0\x20ftypisom" + b"\xff" * 5000, "truncated", "ends"),
    "mp4 of zeros": (b"\0\0\0\x20ftypisom" + bytes(5000), "container corrupt truncated", "upload"),
    "webm of noise": (b"\x1a\x45\xdf\xa3" + b"\x99" * 500, "container corrupt", "upload"),
    "jpeg of noise": (b"\xff\xd8\xff\xe0" + b"\x99" * 500, "not_an_image corrupt", "upload"),
}


@pytest.mark.parametrize("name", UPLOADS)
def test_hostile_uploads_give_a_plain_message_and_are_gone(tmp_path: Path, name: str) -> None:
    data, reasons, words = UPLOADS[name]
    path = tmp_path / "hash" / "a.png"
    path.parent.mkdir()
    path.write_bytes(data)
    with pytest.raises(MediaError) as caught:
        read_upload(path, tmp_path)
    message = str(caught.value)
    assert caught.value.reason in reasons.split() and words in message
    assert "Traceback" not in message and "bytes in memory" not in message
    assert list(tmp_path.iterdir()) == []


def test_a_good_upload_is_gone_too_and_a_picture_goes_on_as_our_own_png(tmp_path: Path) -> None:
    picture = Image.effect_noise((32, 20), 80).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    exif[0x010E] = "<script>secret</script>"
    path = tmp_path / "a.jpg"
    picture.save(path, "jpeg", exif=exif, quality=95)
    stored = np.asarray(Image.open(path).convert("RGB"))
    upload = read_upload(path, tmp_path)
    assert not path.exists() and upload.size == (20, 32) and upload.kind == "image"
    assert upload.data[:8] == b"\x89PNG\r\n\x1a\n" and b"secret" not in upload.data
    assert (np.asarray(Image.open(io.BytesIO(upload.data))) == np.rot90(stored, -1)).all()


def test_a_clip_is_held_as_it_is(tmp_path: Path) -> None:
    data = drawn("digit_span").media[0].data
    assert data is not None
    upload = try_upload(data)
    assert (upload.kind, upload.data, upload.size) == ("video", data, (56, 56))
    assert upload.seconds == pytest.approx(4.0)


def test_a_link_is_removed_and_what_it_names_is_not_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(png())
    folder = tmp_path / "uploads"
    folder.mkdir()
    (folder / "a.png").symlink_to(secret)
    with pytest.raises(MediaError, match="cannot be opened"):
        read_upload(folder / "a.png", folder)
    assert secret.exists() and not (folder / "a.png").is_symlink()


@pytest.mark.parametrize("name", ["../secret.png", "x/../../secret.png"])
def test_files_elsewhere_are_neither_read_nor_removed(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.png").write_bytes(png())
    folder = tmp_path / "uploads"
    (folder / "x").mkdir(parents=True)
    with pytest.raises(MediaError, match="no uploads arrive"):
        read_upload(folder / name, folder)
    assert (tmp_path / "secret.png").read_bytes() == png()


def test_100_megabytes_of_nothing_are_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "big.png"
    with path.open("wb") as file:
        file.truncate(100 * 10**6)
    assert path.stat().st_size > MAX_BYTES
    with pytest.raises(MediaError, match="95 MiB; at most 64"):
        read_upload(path, tmp_path)
    assert not path.exists()


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(MediaError, match="no file"):
        read_upload(tmp_path / "a.png", tmp_path)


def test_an_upload_that_takes_too_long_is_left() -> None:
    with pytest.raises(MediaError, match=r"within 0\.01 s") as caught:
        try_upload(png(), limit_s=0.01)
    assert caught.value.reason == "timeout"


def test_uploads_are_held_by_secret_names_and_within_bounds() -> None:
    shelf = Shelf(most_bytes=100)
    held = [shelf.put(Upload("image", bytes(40), (1, 1))) for _ in range(3)]
    assert len(shelf) == 2 and len(set(held)) == 3 and all(len(name) == 32 for name in held)
    with pytest.raises(MediaError, match="upload it again"):
        shelf.get(held[0])
    assert shelf.get(held[2]).data == bytes(40)
    shelf.drop(held[2])
    with pytest.raises(MediaError):
        shelf.get(held[2])
    alone = shelf.put(Upload("image", bytes(400), (1, 1)))
    assert len(shelf) == 1 and shelf.get(alone)  # the last one stays, whatever its size


def test_an_upload_is_shown_small(pool: DecodePool) -> None:
    html = upload_html(try_upload(png((3000, 2000))), pool)
    seen = Reading(html)
    assert seen.pictures == 1 and "3000 × 2000" in seen.text and len(html) < 20_000


# targets


def about(task: str) -> Sample:
    return question_about(task, "?", [], name="upload", coord_space="norm_100")


@pytest.mark.parametrize(
    ("task", "text", "value"),
    [
        ("digit_box", "[62, 20, 83, 47]", [62, 20, 83, 47]),
        ("digit_box", "the box [62, 20, 83, 47]", "the box [62, 20, 83, 47]"),
        ("number", "7", 7),
        ("digit_box", '{"box": [1, 2, 3, 4]}', '{"box": [1, 2, 3, 4]}'),  # as text it holds a box
        ("text", "7", "7"),  # JSON gives a number, which is no text: the text is taken
        ("text", '["car", "a car"]', ["car", "a car"]),
        ("choice", "B", "B"),
        ("digit_span", "[1.5, 3]", [1.5, 3]),
    ],
)
def test_a_target_is_json_or_text_whichever_the_task_reads(
    task: str, text: str, value: object
) -> None:
    assert with_target(about(task), text, [INFO]).target == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 10_000, "deeper than 32"),
        ('{"a":' * 10_000 + "1" + "}" * 10_000, "20,000 are read"),
        ('{"a":' * 3_000 + "1" + "}" * 3_000, "deeper than 32"),
        ("[NaN, 1, 2, 3]", "NaN is no number"),
        ("[1, -Infinity, 2, 3]", "-Infinity is no number"),
        ("[1e999, 1, 2, 3]", "1e999 is no number"),
        (f"[{'9' * 5000}, 1, 2, 3]", "5,000 digits"),
        ("", "empty"),
        ("x" * 20_001, "20,001 characters"),
        ("[1, 2, 3]", r"should be a box \[x1, y1, x2, y2\]"),
        ("[9, 9, 2, 2]", "positive width"),
        (HOSTILE, "at least one box"),
        ("null", "at least one box"),
        ("true", "at least one box"),
        ("\ud800", "at least one box"),
    ],
)
def test_hostile_and_wrong_targets_are_told(text: str, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        with_target(about("digit_box"), text, [INFO])
    assert len(str(caught.value)) < 1200


def test_every_task_takes_or_refuses_every_target_in_words() -> None:
    texts = ["7", "[1, 2, 3, 4]", "{}", "[[]]", '{"a": {"b": [1]}}', HOSTILE, "B", "[1.5, 3]"]
    for task in [name for name in TASKS if ":" not in name]:
        for text in texts:
            try:
                assert with_target(about(task), text, [INFO]).target in candidates(text)
            except DataError as error:
                assert str(error).startswith("target: ")


def test_a_wrong_target_shows_what_the_task_has() -> None:
    own = drawn("digit_box", 0)
    with pytest.raises(DataError, match=r"A target of this task: \[\d+, \d+, \d+, \d+\]"):
        with_target(replace(own, target=None), "house", [INFO])
    assert spaces_of("digit_box") == ("norm_100", "norm_100") and spaces_of("text") == (None, None)


def test_a_wrong_target_is_told_before_anything_is_sampled(studio: Studio) -> None:
    ticket = Ticket()
    with pytest.raises(DataError, match="at least one box"):
        studio.ask(question(target="no box", scored=True), ticket)
    assert ticket.share == 0.0


def test_progress_is_inert() -> None:
    assert HOSTILE[:20] in Reading(progress_html(HOSTILE, 7.0)).text
    assert 'style="width:100.0%"' in progress_html("x", 7.0)


# the view, without a browser


VALUES: dict[str, Any] = {
    "model": "tiny", "source": "my own", "held": "", "data": "digit_box", "index": 0,
    "split": "test", "task": "digit_box", "plain": False, "question": "box of the 4",
    "target": "", "target_space": "norm_100", "answer_space": "norm_100", "num": 2, "heat": 1.0,
    "tokens": 24, "seed": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The functions behind the tab, by name, and the folder where uploads arrive."""
    gr = pytest.importorskip("gradio")
    from mmrl.inspector.page import Page
    from mmrl.inspector.views import try_it

    folder = write_run(tmp_path_factory.mktemp("runs") / "run", steps=1)
    uploads = tmp_path_factory.mktemp("uploads")
    with (
        pytest.MonkeyPatch.context() as patch,
        Page.open([folder], models=[TINY]) as page,
    ):
        patch.setenv("GRADIO_TEMP_DIR", str(uploads))
        VALUES["model"] = TINY.name
        with gr.Blocks(analytics_enabled=False) as app:
            try_it.tab(page)
        assert all(fn.api_visibility == "private" for fn in app.fns.values())
        found = {fn.name: fn.fn for fn in app.fns.values()}
        yield {"uploads": uploads, **found}


def asking(view: dict[str, Any], **changes: Any) -> list[Any]:
    """All that asking puts into the status line and below it, in order."""
    assert set(changes) <= set(VALUES)
    reader = SimpleNamespace(session_hash="reader")
    return list(view["run"](reader, *{**VALUES, **changes}.values()))


def test_the_view_takes_an_upload_asks_and_shows_the_answers(view: dict[str, Any]) -> None:
    sample = drawn()
    data = sample.media[0].data
    assert data is not None
    path = view["uploads"] / "x" / "a.png"
    path.parent.mkdir()
    path.write_bytes(data)
    held, preview, _, cleared = view["admit"](str(path), "")
    assert not path.exists() and cleared is None and "112 × 112" in Reading(preview).text
    *before, (status, shown) = asking(view, held=held, target=json.dumps(sample.target))
    assert before and all("mi-progress" in line for line, _ in before)
    seen = Reading(shown)
    assert status == "" and seen.pictures >= 1 and "mean reward" in seen.text
    assert view["remove"](held)[0] == ""
    assert "upload it again" in asking(view, held=held)[-1][0]


def test_the_view_asks_about_a_sample_of_a_data_set(view: dict[str, Any]) -> None:
    status, shown = asking(view, source="of a data set", index=4)[-1]
    assert status == "" and drawn(index=4).question in Reading(shown).text
    assert "[" + ", ".join(map(str, drawn(index=4).target)) + "]" in Reading(shown).text


def test_closing_the_page_takes_questions_back_and_lets_the_model_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gr = pytest.importorskip("gradio")
    from mmrl.inspector.page import Page
    from mmrl.inspector.views import try_it

    made: list[Studio] = []

    class Slow(Studio):
        """Answers nothing until it is taken back."""

        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            made.append(self)

        def _answer(self, question: Question, doors: Any, ticket: Ticket) -> Any:
            ticket.status = "answering"
            while True:
                ticket.check()
                time.sleep(0.01)

    monkeypatch.setattr(try_it, "Studio", Slow)
    values = {**VALUES, "model": TINY.name}.values()
    folder = write_run(tmp_path / "run", steps=1)
    with Page.open([folder], models=[TINY]) as page, gr.Blocks(analytics_enabled=False) as app:
        try_it.tab(page)
        (run,) = [fn.fn for fn in app.fns.values() if fn.name == "run"]
        asked = run(SimpleNamespace(session_hash="reader"), *values)
        assert any("answering" in line for line, _ in asked)  # goes on until then
        (studio,) = made
        assert studio._holder._doors is not None
    assert studio._holder._doors is None
    assert "cancelled" in list(asked)[-1][0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": "../tiny-vlm"}, "no model"),
        ({"model": None}, "no model"),
        ({"task": "<b>"}, "no task"),
        ({"num": 10**9}, "completions: 1 to 16"),
        ({"num": None}, "completions: 1 to 16"),
        ({"heat": 1e9}, "temperature: 0 to 2"),
        ({"tokens": -3}, "new tokens: 1 to 2048"),
        ({"held": "guessed"}, "upload it again"),
        ({"target": "house"}, "at least one box"),
        ({"target_space": "<script>", "target": "[1,2,3,4]"}, "target: "),
        ({"source": "of a data set", "data": "../x"}, "no data set"),
        ({"question": ""}, "nothing is asked"),
    ],
)
def test_the_view_tells_what_is_wrong_in_words(
    view: dict[str, Any], changes: dict[str, Any], words: str
) -> None:
    status, _ = asking(view, **changes)[-1]
    assert words in Reading(status).text and "mi-bad" in status


def test_the_view_refuses_an_upload_in_words_and_keeps_the_page(view: dict[str, Any]) -> None:
    path = view["uploads"] / "a.png"
    path.write_bytes(b"<html><script>alert(1)</script>")
    held, preview, *_ = view["admit"](str(path), "")
    assert held == "" and "none of PNG" in Reading(preview).text and not path.exists()
    held, preview, *_ = view["admit"]("/etc/hostname", "")
    assert held == "" and "no uploads arrive" in preview and Path("/etc/hostname").exists()


def test_the_view_cancels_the_reader_s_own_question(view: dict[str, Any]) -> None:
    reader, other = SimpleNamespace(session_hash="a"), SimpleNamespace(session_hash="b")
    going = view["run"](reader, *VALUES.values())
    assert "mi-progress" in next(going)[0]
    view["cancel"](other)  # nothing of theirs is under way
    view["cancel"](reader)
    *_, (status, _) = going
    assert "cancelled" in status
