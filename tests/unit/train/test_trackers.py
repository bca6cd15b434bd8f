"""Trackers: curves and rollout tables, read back from event files or a module that records."""

import io
import re
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from builders import a_group, a_rollout
from PIL import Image

from mmrl.errors import ConfigError
from mmrl.eval.measures import Estimate
from mmrl.eval.run import Evaluation
from mmrl.train.observers.base import due
from mmrl.train.observers.tables import COLUMNS, LARGEST, markdown, table_rows
from mmrl.train.observers.trackers import TensorBoard, Trackio, Wandb
from mmrl.types import Clock, CreditedGroup, MediaRef, Sample, ScoredGroup

HOSTILE = "<script>x</script> | [a](javascript:b) `c` \x1b[2J\nnext"


def picture(size: tuple[int, int] = (1024, 256), colour: str = "red") -> MediaRef:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return MediaRef(kind="image", data=buffer.getvalue())


def a_credited(media: tuple[MediaRef, ...] = (), num: int = 2) -> CreditedGroup:
    sample = Sample(id="s", task="t", question=HOSTILE, target=[1, 2], media=media)
    rollouts = tuple(a_rollout(f"{HOSTILE}{g}") for g in range(num))
    group = replace(a_group([0.5] * num).group, sample=sample, rollouts=rollouts)
    rewards = tuple(None if g == 1 else 0.25 for g in range(num))
    scored = ScoredGroup(
        group=group,
        parts={"iou": rewards, "format": (1.0,) * num},
        score=rewards,
        outcome=(False,) * num,
        rewards=rewards,
    )
    advantages = {"main": tuple((0.1, 0.2) if g == 1 else -0.5 for g in range(num))}
    return CreditedGroup(scored=scored, advantages=advantages, weights=((1.0,),) * num)


def a_report(step: int, *credited: CreditedGroup) -> Any:
    return SimpleNamespace(
        clock=Clock(step=step, stage="train", stage_step=step, stage_steps=9),
        metrics={"reward": 0.5},
        seconds={"learn": 2.0},
        credited=credited,
    )


def a_run(every: int = 2) -> Any:
    log = SimpleNamespace(rollouts_every=every, project="p")
    return SimpleNamespace(name="n", log=log, model_dump=lambda mode: {"seed": 3})


def an_info(folder: Path, run: Any) -> Any:
    return SimpleNamespace(run=run, folder=folder, start_step=0, resumed=False)


class Recorder(ModuleType):
    """Stands in for wandb or trackio: the calls that are documented, kept in order."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.calls: list[tuple[Any, ...]] = []
        self.images: list[Any] = []

    def init(self, **settings: Any) -> None:
        self.calls.append(("init", settings))

    def log(self, values: dict[str, Any], step: int | None = None) -> None:
        self.calls.append(("log", values, step))

    def finish(self) -> None:
        self.calls.append(("finish",))

    def Image(self, value: Any) -> Any:
        self.images.append(value)
        return ("image", value.size)

    def Table(self, columns: Any = None, data: Any = None, dataframe: Any = None) -> Any:
        if dataframe is not None:
            columns, data = list(dataframe.columns), dataframe.values.tolist()
        return ("table", columns, data)


def test_tables_are_due_when_rollouts_are_written() -> None:
    credited = a_credited()
    assert [due(a_report(s, credited), 2) for s in range(4)] == [True, False, True, False]
    assert not due(a_report(0, credited), 0)
    assert not due(a_report(0), 1)


def test_rows_hold_a_few_groups_with_small_pictures_and_cut_texts() -> None:
    groups = table_rows(a_report(3, *(a_credited((picture(),), num=10) for _ in range(6))))
    assert [len(rows) for rows in groups] == [8, 8, 8, 8]
    row, other = groups[0][:2]
    assert row.picture is not None and row.picture.size == (LARGEST, 128)
    assert row.picture is other.picture
    assert (row.step, row.sample, row.target) == (3, "s", "[1, 2]")
    assert (row.reward, row.advantage, row.parts_text) == (0.25, -0.5, "iou 0.250, format 1.000")
    assert (other.reward, other.advantage) == (None, None)
    assert other.parts_text == "iou none, format 1.000"
    assert "«ESC»" in row.completion and "\x1b" not in row.completion
    credited = a_credited()
    long = replace(credited.group.rollouts[0], text="x" * 5000)
    group = replace(credited.group, rollouts=(long,))
    report = a_report(0, replace(credited, scored=replace(credited.scored, group=group)))
    assert table_rows(report)[0][0].completion == "x" * 2000 + " … 3000 more characters"


def test_clips_and_broken_pictures_have_no_picture() -> None:
    for ref in (MediaRef(kind="video", data=b"x"), MediaRef(kind="image", data=b"x")):
        assert table_rows(a_report(0, a_credited((ref,))))[0][0].picture is None


def test_markdown_shows_hostile_text_as_it_stands() -> None:
    shown = markdown(HOSTILE)
    assert "\n" not in shown and "\x1b" not in shown
    # each mark that Markdown or HTML reads has a backslash: 4 of <>, 1 |, 3 of [], 2 of (), 2 `
    bare = shown.replace("\\\\", "")
    marks = [i for i, c in enumerate(bare) if c in "<>|[]()`&*_#!"]
    assert len(marks) == 12 and all(bare[i - 1] == "\\" for i in marks)


def test_tensorboard_holds_curves_texts_and_pictures(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="an extra: pip install 'mmrl[tensorboard]'")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    board = TensorBoard(tmp_path)
    board.on_start(an_info(tmp_path, a_run(every=2)))
    for step in range(3):
        board.on_step(a_report(step, a_credited((picture(),)), a_credited()))
    board.on_eval(Evaluation(step=3, items=(), estimates={"iou": Estimate(0.7, 0.6, 0.8, 4)}), 1.0)
    board.on_end({})
    found = EventAccumulator(str(tmp_path / "events"), {"tensors": 0, "images": 0, "scalars": 0})
    found.Reload()
    tags = found.Tags()
    assert {"train/reward", "time/learn", "eval/iou"} == set(tags["scalars"])
    assert [e.step for e in found.Scalars("train/reward")] == [0, 1, 2]
    assert tags["images"] == ["rollouts/0/picture"]
    images = found.Images("rollouts/0/picture")
    assert [(e.step, e.width, e.height) for e in images] == [(0, 512, 128), (2, 512, 128)]
    pixel = Image.open(io.BytesIO(images[0].encoded_image_string)).getpixel((5, 5))
    assert pixel == (255, 0, 0)
    texts = found.Tensors("rollouts/1/text_summary")
    assert [e.step for e in texts] == [0, 2]
    text = texts[0].tensor_proto.string_val[0].decode()
    assert r"| 0\.250 | \-0\.500 | \<script\>x\<\/script\>" in text
    assert "| none | none |" in text and "<script" not in text.replace("\\<", "")


def test_wandb_gets_one_call_a_step_with_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = Recorder("wandb")
    monkeypatch.setitem(sys.modules, "wandb", module)
    run = a_run(every=2)
    tracker = Wandb(tmp_path, run)
    tracker.on_start(an_info(tmp_path, run))
    tracker.on_step(a_report(0, a_credited((picture(),))))
    tracker.on_step(a_report(1, a_credited()))
    tracker.on_eval(Evaluation(step=2, items=(), estimates={"iou": Estimate(0.7, 0, 1, 4)}), 1.0)
    tracker.on_end({})
    init, first, second, evaluated, finish = module.calls
    assert init[1]["resume"] == "allow" and re.fullmatch("[0-9a-f]{8}", init[1]["id"])
    again = Wandb(tmp_path, run)
    again.on_start(an_info(tmp_path, run))
    assert module.calls[-1][1]["id"] == init[1]["id"]
    curves = {"train/reward": 0.5, "time/learn": 2.0}
    assert {k: v for k, v in first[1].items() if k != "rollouts"} == {**curves, "step": 0}
    kind, columns, data = first[1]["rollouts"]
    assert kind == "table" and columns == list(COLUMNS)
    assert [len(row) for row in data] == [len(COLUMNS)] * 2
    assert dict(zip(columns, data[0], strict=True))["picture"] == ("image", (512, 128))
    assert dict(zip(columns, data[1], strict=True))["reward"] is None
    assert len(module.images) == 1  # both rollouts share the group's picture
    assert second[1] == {**curves, "step": 1}
    assert evaluated[1] == {"eval/iou": 0.7, "step": 2} and finish == ("finish",)


def test_trackio_gets_markdown_that_is_safe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = Recorder("trackio")
    monkeypatch.setitem(sys.modules, "trackio", module)
    run = a_run(every=1)
    tracker = Trackio(run)
    tracker.on_start(an_info(tmp_path, run))
    tracker.on_step(a_report(4, a_credited((picture(),))))
    _, (_, values, step) = module.calls
    assert step == 4
    _, columns, data = values["rollouts"]
    row = dict(zip(columns, data[0], strict=True))
    assert row["completion"] == markdown(HOSTILE + "0")
    assert row["picture"] == ("image", (512, 128)) and row["advantage"] == -0.5


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_a_missing_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    made = {"wandb": lambda: Wandb(tmp_path, a_run()), "trackio": lambda: Trackio(a_run())}
    with pytest.raises(ConfigError, match=rf"pip install mmrl\[{name}\]"):
        made[name]()
