"""A paper from its claims to its log on the shipped model, broken off and gone on with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import papers
import pytest
import torch

from mmrl.errors import ConfigError, MmrlError
from mmrl.eval.replicate import Outcome, job, replicate
from mmrl.eval.replicate import __main__ as process
from mmrl.eval.replicate.claims import load_claims
from mmrl.eval.replicate.job import run_arm
from mmrl.eval.replicate.keys import line_key, project_code
from mmrl.eval.replicate.start import train_start
from mmrl.train.loop import Loop

ROOT = Path(__file__).parents[3]
LOOKS = """

def looks(trained):
    with trained.models() as doors:
        prompt = doors.encode(trained.samples["test"][0])
        [[said]] = doors.sample(
            [trained.samples["test"][0]], [prompt], seeds=[[0]], temperature=0.0, policy_step=0
        )
    greedy = trained.evaluations["test"].items[0].texts[-1]
    assert said.text == greedy
    return float(len(said.text))
"""


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(ROOT)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def run(folder: Path, runs: Path, **given: Any) -> Outcome:
    given = {"seeds": [0], "jobs": 0, "least_items": 4, "show": False, **given}
    return replicate(folder, runs=runs, **given)


def logged(folder: Path) -> list[dict[str, Any]]:
    path = folder / "log.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def figures(folder: Path) -> dict[str, Any]:
    return {f"{r['arm']}_{r['seed']}": r["estimates"] for r in logged(folder) if r["kind"] == "arm"}


def test_broken_off_and_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, runs = papers.write(tmp_path / "toy"), tmp_path / "runs"
    whole = papers.write(tmp_path / "whole" / "toy")
    both = ["steep", "plain"]
    run(whole, tmp_path / "runs_whole", arms=["plain"])
    step, calls = Loop.step, []

    def broken(self: Loop, clock: Any) -> Any:
        calls.append(clock.step)
        if len(calls) == 4:  # the second step of the second arm
            raise KeyboardInterrupt
        return step(self, clock)

    monkeypatch.setattr(Loop, "step", broken)
    with pytest.raises(KeyboardInterrupt):
        run(folder, runs, arms=both)
    assert list(figures(folder)) == ["steep_0"]
    found = run(folder, runs, arms=both)
    # the second arm goes on at its second step, the first is not made again
    assert calls == [0, 1, 0, 1, 1]
    assert figures(folder)["plain_0"] == figures(whole)["plain_0"]
    assert list(figures(folder)) == ["steep_0", "plain_0"]
    assert "preliminary" in found.why_not
    shutil.rmtree(runs)
    again = run(folder, runs, arms=both)
    assert len(calls) == 5  # the log is enough
    assert again.result == found.result
    plain = next(r for r in logged(folder) if r.get("arm") == "plain")
    assert (plain["steps"], plain["items"], plain["pilot"]) == (2, {"test": 4}, False)
    assert plain["rollouts"] == 8  # 2 steps x 2 prompts x 2
    assert plain["counts"]["test"]["iou"] == 4
    assert set(plain["claims"]) == {"better", "short", "sum"}
    assert plain["measures"]["test.iou"] == plain["estimates"]["test"]["iou"]
    assert plain["measures"]["measures.py:length"] == plain["estimates"]["test"]["length"]
    assert figures(folder)["plain_0"] != figures(folder)["steep_0"]


def test_what_is_there_is_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = papers.claims()
    data["arms"] = {"plain": {}, "untouched": {"untrained": True}}
    data["claims"] = [{**data["claims"][1], "arm": "plain", "against": "untouched"}]
    folder, runs = papers.write(tmp_path / "toy", data), tmp_path / "runs"
    run(folder, runs, pilot=1, seeds=None)
    assert [line["pilot"] for line in logged(folder)] == [True, True]
    model = runs / "toy" / "plain_1000" / "model" / "model.safetensors"
    before, evaluated = model.stat().st_mtime_ns, list(runs.glob("toy/*/replicate/*.jsonl"))
    assert len(evaluated) == 2
    assert not (runs / "toy" / "plain_1000" / "checkpoints").exists()

    # another measure is taken of the model and the items that are there
    (folder / "measures.py").write_text(papers.MEASURES.replace('["length"]', '["iou"]'))
    run(folder, runs, pilot=1, seeds=None, arms=["plain"])
    assert model.stat().st_mtime_ns == before
    assert list(runs.glob("toy/*/replicate/*.jsonl")) == evaluated
    last = logged(folder)[-1]
    assert last["measures"]["measures.py:length"] == last["estimates"]["test"]["iou"]

    # other settings are another run, in the place of the old one
    papers.write(folder, data, {**papers.RECIPE, "optimizer": {"lr": 3e-4}})
    run(folder, runs, pilot=1, seeds=None, arms=["plain"])
    assert model.stat().st_mtime_ns > before
    assert logged(folder)[-1]["key"] != last["key"]


def test_arms_start_from_a_model_that_is_trained_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = papers.claims()
    data |= {"start": "warm.yaml", "arms": {"plain": {}, "untouched": {"untrained": True}}}
    data["claims"] = [{**data["claims"][0], "arm": "plain", "against": "untouched"}]
    data["claims"][0]["measure"] = "measures.py:looks"
    folder, runs = papers.write(tmp_path / "toy", data), tmp_path / "runs"
    (folder / "measures.py").write_text(papers.MEASURES + LOOKS)
    warm = {**papers.RECIPE, "name": "warm", "optimizer": {"lr": 1e-2}}
    warm["stages"] = [{"name": "cold", "kind": "sft", "steps": 1}]
    (folder / "warm.yaml").write_text(json.dumps(warm))
    paper = load_claims(folder, least_items=4)
    line = run_arm(paper, paper.arms["plain"], 0, runs)
    [start] = runs.glob("toy/start-*/model")
    made = (start / "model.safetensors").stat().st_mtime_ns
    assert f"model: {start}" in (runs / "toy" / "plain_0" / "config.yaml").read_text()
    assert line["seconds"]["start"] > 0
    assert run_arm(paper, paper.arms["untouched"], 0, runs)["steps"] == 0
    # a start that is there is not opened again
    monkeypatch.setattr("mmrl.eval.replicate.start.train", None)
    found, seconds = train_start(paper, runs)
    assert found == start
    assert round(seconds, 1) == line["seconds"]["start"]  # a line has tenths
    assert (start / "model.safetensors").stat().st_mtime_ns == made


def test_a_line_has_the_key_of_the_files_as_they_were_at_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = papers.write(tmp_path / "toy")
    paper = load_claims(folder, least_items=4)
    before, evaluate = line_key(paper, paper.arms["untouched"]), job._evaluate

    def edited_meanwhile(*given: Any) -> Any:
        papers.write(folder, recipe={**papers.RECIPE, "rollout": {"max_new_tokens": 39}})
        return evaluate(*given)

    monkeypatch.setattr(job, "_evaluate", edited_meanwhile)
    line = run_arm(paper, paper.arms["untouched"], 0, tmp_path / "runs")
    assert line["key"] == before != line_key(paper, paper.arms["untouched"])
    assert line["versions"]["code"] == project_code()


def test_a_job_refuses_a_line_of_another_key_than_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, runs = papers.write(tmp_path / "toy"), tmp_path / "runs"
    paper = load_claims(folder, least_items=4)
    key = line_key(paper, paper.arms["plain"])
    monkeypatch.setattr(process, "_stop_with_the_parent", lambda: None)
    monkeypatch.setattr(process, "run_arm", lambda *given: {"key": "another"})
    monkeypatch.setattr("sys.argv", ["job", str(folder), "plain", "0", str(runs), "4", key])
    monkeypatch.setattr("signal.signal", lambda *given: None)
    assert process.main() == 2
    assert "changed while this ran" in capsys.readouterr().out
    assert not runs.exists()
    monkeypatch.setattr(process, "run_arm", lambda *given: {"key": key})
    assert process.main() == 0
    assert (runs / "toy" / "plain_0" / "line.json").is_file()


def test_an_edit_of_the_recipe_s_own_evaluation_locks_no_unfinished_run_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, runs = papers.write(tmp_path / "toy"), tmp_path / "runs"
    step, calls = Loop.step, []

    def broken(self: Loop, clock: Any) -> Any:
        calls.append(clock.step)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return step(self, clock)

    monkeypatch.setattr(Loop, "step", broken)
    with pytest.raises(KeyboardInterrupt):
        run(folder, runs, arms=["plain"])
    own = {"data": [{"task": "digit_box"}], "limit": 9, "every": 1, "batch_prompts": 3}
    papers.write(folder, recipe={**papers.RECIPE, "eval": own})
    run(folder, runs, arms=["plain"])
    assert calls == [0, 1, 1]
    assert list(figures(folder)) == ["plain_0"]


def test_a_kill_while_an_old_run_is_deleted_leaves_no_foreign_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "toy" / "plain_0"
    assert job._claim(folder, "old") == {"key": "old", "seconds": {}}
    (folder / "model").mkdir()

    def killed(path: Path, **given: Any) -> None:
        (Path(path) / job.STATE).unlink(missing_ok=True)
        if not given:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            job._claim(folder, "new")
    assert job._claim(folder, "new") == {"key": "new", "seconds": {}}
    assert [path.name for path in folder.parent.iterdir()] == ["plain_0"]


def test_a_kill_while_the_first_state_is_written_leaves_no_foreign_folder(tmp_path: Path) -> None:
    folder = tmp_path / "toy" / "plain_0"
    folder.mkdir(parents=True)
    (folder / f".{job.STATE}.part").write_text('{"key"')
    assert job._claim(folder, "new") == {"key": "new", "seconds": {}}
    assert [path.name for path in folder.iterdir()] == [job.STATE]


def test_a_function_that_gives_no_number_is_named(tmp_path: Path) -> None:
    folder = papers.write(tmp_path / "toy")
    wrong = papers.MEASURES.replace('"more"', '"mroe"')
    (folder / "measures.py").write_text(wrong)
    with pytest.raises(MmrlError, match=r'claim sum, seed 0\): no value for "more".*"mroe"'):
        run(folder, tmp_path / "runs")
    assert logged(folder) == []


def test_a_folder_of_someone_else_is_left_alone(tmp_path: Path) -> None:
    folder, runs = papers.write(tmp_path / "toy"), tmp_path / "runs"
    other = runs / "toy" / "plain_0" / "thesis.txt"
    other.parent.mkdir(parents=True)
    other.write_text("years of work")
    with pytest.raises(ConfigError, match="was not made by mmrl replicate"):
        run(folder, runs, arms=["plain"])
    assert other.read_text() == "years of work"
