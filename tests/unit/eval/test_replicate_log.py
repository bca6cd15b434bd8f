"""Keys, stale lines, results from a log alone, tables: no model is loaded here."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import papers
import pytest

from mmrl.cli.replicate import _rerun_text, _tables, _unused, replicate
from mmrl.config.schema import EvalConfig
from mmrl.errors import ConfigError
from mmrl.eval.replicate import claims, fresh
from mmrl.eval.replicate.arms import arm_recipe, run_of
from mmrl.eval.replicate.claims import Paper, load_claims
from mmrl.eval.replicate.fresh import load_result, outdated, rerun
from mmrl.eval.replicate.keys import (
    arm_key,
    claim_digest,
    code_digest,
    folder_code,
    line_key,
    method_code,
    project_code,
)
from mmrl.eval.replicate.log import append, log_path, read_log
from mmrl.eval.replicate.result import make_result
from mmrl.eval.replicate.rollouts import count
from mmrl.eval.replicate.run import outcome, plan, run_mechanisms
from mmrl.eval.replicate.table import as_markdown, as_text, write_table
from mmrl.methods.base import METHODS

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def toy(folder: Path, **parts: Any) -> Paper:
    return load_claims(papers.write(folder / "toy", **parts), least_items=4)


def log_arms(paper: Paper, values: dict[str, list[float]], *, first: int = 0, **more: Any) -> None:
    """Lines as a run writes them: test.iou and the length (0, 1, …) of each arm and seed."""
    code = code_digest(paper.folder / "measures.py")
    for arm, found in values.items():
        compared = arm in ("steep", "plain")
        for seed, value in enumerate(found, start=first):
            line = {
                "kind": "arm",
                "arm": arm,
                "seed": seed,
                "pilot": seed >= 1000,
                "key": line_key(paper, paper.arms[arm]),
                "measures": {"measures.py:length": float(seed)} if compared else {},
                "codes": {"measures.py:length": code} if compared else {},
                "estimates": {"test": {"iou": value}},
                "items": {"test": 4},
                "skipped": {"test": 0},
                "steps": 0 if arm == "untouched" else 2,
                "seconds": {"train": 6.0, "evaluate": 3.0},
                "versions": {"mmrl": "0.1.0"},
                "date": "2026-01-01T00:00:00+00:00",
                **more,
            }
            append(log_path(paper), line)


STEEP = [0.2, 0.4, 0.6, 0.8, 1.0]
PLAIN = [0.1, 0.2, 0.3, 0.4, 0.5]
FULL = {"steep": STEEP, "plain": PLAIN, "blind": [0.0] * 5, "untouched": [0.25] * 5}


def test_a_result_is_made_from_the_log_alone(tmp_path: Path) -> None:
    paper = toy(tmp_path)
    log_arms(paper, FULL)
    run_mechanisms(paper, range(5))
    found = outcome(paper, range(5))
    assert found.why_not == ""
    assert found.stored == paper.folder / "result.json"
    result = json.loads(found.stored.read_text())
    better, short, total = result["claims"]
    # differences 0.1 … 0.5: s = 0.158114, t = 2.776445, half = t * s / sqrt(5) = 0.196324
    assert better["difference"] == 0.3
    assert better["difference_ci95"] == [0.103676, 0.496324]
    assert better["prediction95"] == [-0.180894, 0.780894]  # 0.3 -+ t * s * sqrt(1.2)
    assert better["differences"] == {"0": 0.1, "1": 0.2, "2": 0.3, "3": 0.4, "4": 0.5}
    assert better["verdict"] == "shown"
    assert better["arms"]["steep"]["mean"] == 0.6
    assert better["arms"]["steep"]["values"] == STEEP
    assert better["arms"]["steep"]["ci95"] == [0.207351, 0.992649]  # s = 0.316228
    assert list(better["arms"]) == ["steep", "plain", "blind", "untouched"]
    assert better["start"] == 0.25
    assert short["verdict"] == "not shown"  # equal lengths: an interval of width 0 at 0
    assert short["difference_ci95"] == [0.0, 0.0]
    assert list(short["arms"]) == ["steep", "plain"]
    assert (total["verdict"], total["difference_ci95"]) == ("shown", [0.5, 0.5])
    assert result["seeds"] == [0, 1, 2, 3, 4]
    assert result["items"] == {"test": 4}
    assert result["steps"] == 2
    assert result["arm_seconds"]["plain"] == 45.0
    assert result["versions"]["mmrl"] == "0.1.0"
    # the arms' lines are older than the entry, the mechanism's are of the present code
    assert result["versions"]["code"] == f"{project_code()}, unknown"


def test_a_measure_that_not_every_item_has_is_told(tmp_path: Path) -> None:
    paper = toy(tmp_path)  # evaluations of 4 items
    run_mechanisms(paper, range(5))
    log_arms(paper, FULL, counts={"test": {"iou": 4}})
    full = outcome(paper, range(5))
    assert full.why_not == ""
    # of the function and of the mechanism it is not known
    assert [c["items"] for c in full.result["claims"]] == [4, None, None]
    log_arms(paper, {"plain": [0.3]}, first=2, counts={"test": {"iou": 3}})
    assert "not every item" not in as_text("toy", full.result)
    few = outcome(paper, range(5))
    assert (few.why_not, few.result["claims"][0]["items"]) == ("", 3)
    assert "not every item has the measure: better 3 of 4" in as_text("toy", few.result)
    assert "Not every item has the measure: better 3 of 4." in as_markdown(few.result)


def test_lines_older_than_the_counts_pass(tmp_path: Path) -> None:
    paper = toy(tmp_path)
    log_arms(paper, FULL)
    run_mechanisms(paper, range(5))
    found = outcome(paper, range(5))
    assert (found.why_not, found.result["claims"][0]["items"]) == ("", None)


def test_skipped_items_are_told(tmp_path: Path) -> None:
    paper = toy(tmp_path)
    log_arms(paper, {"steep": [0.1], "plain": [0.1]})
    log_arms(paper, {"plain": [0.2]}, first=1, skipped={"test": 2})
    result = make_result(paper, read_log(paper), range(2))
    assert result["skipped"] == {"test": 2}
    words = "f evaluation test, up to 2 items of a run could not be shown"
    assert f"  o{words}" in as_text("toy", result)
    assert f"\nO{words}.\n" in as_markdown(result)


def test_a_claim_that_is_newer_than_its_runs_says_so(tmp_path: Path) -> None:
    paper = toy(tmp_path / "a")
    names = {claim.name: claim_digest(claim) for claim in paper.claims}

    def priors(**more: Any) -> list[bool | None]:
        log_arms(paper, {"steep": [0.1, 0.2], "plain": [0.1, 0.2]}, **more)
        found = make_result(paper, read_log(paper), range(2))
        text = as_text("toy", found)
        assert ("claim newer than its runs" in text) == (found["claims"][0]["prior"] is False)
        return [claim["prior"] for claim in found["claims"]]

    assert priors() == [None, None, None]  # lines that are older than the entry
    assert priors(claims=names) == [True, True, None]
    assert priors(claims={"short": names["short"]}) == [False, True, None]
    assert priors(claims={**names, "better": "another"}) == [False, True, None]


def test_the_digest_of_a_claim_is_of_measure_arms_and_direction(tmp_path: Path) -> None:
    data = papers.claims()
    before = [claim_digest(claim) for claim in toy(tmp_path / "a", given=data).claims]
    data["claims"][0] |= {"claim": "In other words.", "source": "Table 2", "added": "later"}
    data["claims"][1]["direction"] = "up"
    data["claims"][2]["function"] = "measures.py:length"
    after = [claim_digest(claim) for claim in toy(tmp_path / "b", given=data).claims]
    assert [a == b for a, b in zip(after, before, strict=True)] == [True, False, False]


def test_an_added_claim_is_told_behind_its_verdict(tmp_path: Path) -> None:
    data = papers.claims()
    data["claims"][0]["added"] = "after the seeds, from their values"
    paper = toy(tmp_path, given=data)
    log_arms(paper, FULL, claims={})
    run_mechanisms(paper, range(5))
    result = outcome(paper, range(5)).result
    assert result["claims"][0]["added"] == "after the seeds, from their values"
    assert result["claims"][0]["prior"] is False
    assert "shown (added after the seeds, from their values)" in as_text("toy", result)
    assert "| shown (added after the seeds, from their values) |" in as_markdown(result)
    assert "| not shown (claim newer than its runs) |" in as_markdown(result)  # the other one


def test_a_difference_on_the_other_side_is_opposite(tmp_path: Path) -> None:
    paper = toy(tmp_path)
    log_arms(paper, {**FULL, "steep": PLAIN, "plain": STEEP})
    assert make_result(paper, read_log(paper), range(5))["claims"][0]["verdict"] == "opposite"


def test_four_seeds_are_preliminary(tmp_path: Path) -> None:
    paper = toy(tmp_path)
    log_arms(paper, {arm: values[:4] for arm, values in FULL.items()})
    run_mechanisms(paper, range(4))
    few = outcome(paper, range(4))
    assert few.stored is None
    assert "preliminary: 4 seeds" in few.why_not
    five = outcome(paper, range(5))
    assert "4 runs are missing (steep_4, plain_4, blind_4, untouched_4)" in five.why_not
    assert not (paper.folder / "result.json").exists()


def test_pilots_are_no_result(tmp_path: Path) -> None:
    paper = toy(tmp_path)
    log_arms(paper, FULL, first=1000)
    run_mechanisms(paper, range(1000, 1005))
    assert outcome(paper, range(1000, 1005)).why_not == "pilots are no result"
    assert plan(paper, range(1)) != []


def test_logged_runs_are_not_planned_again(tmp_path: Path) -> None:
    paper = toy(tmp_path)
    log_arms(paper, {"steep": [0.1], "plain": [0.1, 0.2]})
    todo = [(job.arm, job.seed) for job in plan(paper, range(2))]
    assert todo == [
        *(("blind", 0), ("untouched", 0)),
        *(("steep", 1), ("blind", 1), ("untouched", 1)),
    ]
    assert [job.arm for job in plan(paper, range(2), ["steep"])] == ["steep"]
    with pytest.raises(ConfigError, match=r'no arm "stepe"\. Did you mean "steep"'):
        plan(paper, range(1), ["stepe"])


def recipe(**sections: Any) -> dict[str, Any]:
    return {**papers.RECIPE, **sections}


CHANGES: dict[str, dict[str, Any]] = {
    "learning rate": recipe(optimizer={"lr": 2e-4}),
    "steps": recipe(train={**papers.RECIPE["train"], "steps": 3}),
    "method": recipe(method={**papers.RECIPE["method"], "clip_high": 0.25}),
    "data": recipe(data=[{"task": "digit_box", "options": {"level": "hard"}}]),
}


@pytest.mark.parametrize("name", CHANGES)
def test_lines_of_other_settings_are_stale(name: str, tmp_path: Path) -> None:
    before = toy(tmp_path)
    log_arms(before, {"steep": [0.1], "plain": [0.2]})
    assert (len(read_log(before).arms), read_log(before).num_stale) == (2, 0)
    after = toy(tmp_path, recipe=CHANGES[name])
    log = read_log(after)
    if name == "learning rate":  # the steep arm has its own
        assert list(log.arms) == [("steep", 0)]
        return
    assert (len(log.arms), log.num_stale) == (0, 2)


SAME: dict[str, dict[str, Any]] = {
    "name": recipe(name="other"),
    "seed": recipe(seed=7),
    "own evaluation": recipe(eval={"data": [{"task": "digit_box"}], "limit": 9}),
    "log": recipe(log={"rollouts_every": 3}),
    "a default written out": recipe(method={**papers.RECIPE["method"], "epochs": 1}),
}


@pytest.mark.parametrize("name", SAME)
def test_what_changes_no_figure_changes_no_key(name: str, tmp_path: Path) -> None:
    before, after = toy(tmp_path / "a"), toy(tmp_path / "b", recipe=SAME[name])
    for arm in before.arms:
        assert line_key(before, before.arms[arm]) == line_key(after, after.arms[arm])


def test_keys_differ_between_arms_and_with_the_evaluations(tmp_path: Path) -> None:
    paper = toy(tmp_path / "a")
    assert len({line_key(paper, arm) for arm in paper.arms.values()}) == 4
    data = papers.claims()
    data["evaluations"]["test"]["items"] = 5
    longer = toy(tmp_path / "b", given=data)
    plain, other = paper.arms["plain"], longer.arms["plain"]
    assert line_key(paper, plain) != line_key(longer, other)
    assert arm_key(paper, plain, None) == arm_key(longer, other, None)  # not trained again


def test_other_start_weights_are_another_run(tmp_path: Path) -> None:
    paper = toy(tmp_path)
    for name in ("plain", "untouched"):
        keys = {arm_key(paper, paper.arms[name], start) for start in (None, "aaa", "bbb")}
        assert len(keys) == 3


def test_a_changed_measure_is_measured_again_a_changed_docstring_is_not(tmp_path: Path) -> None:
    paper = toy(tmp_path)
    log_arms(paper, {"plain": [0.1], "blind": [0.1]})
    file = paper.folder / "measures.py"
    file.write_text(file.read_text().replace("Measures of the toy", "Other words  # and more"))
    assert set(read_log(paper).arms) == {("plain", 0), ("blind", 0)}
    file.write_text(file.read_text().replace(".mean", ".low"))
    log = read_log(paper)
    assert set(log.arms) == {("blind", 0)}  # no claim measures its length
    assert log.num_stale == 1


def test_method_code_is_of_the_method_and_what_it_is_made_of() -> None:
    grpo, dapo = (method_code(METHODS.get(name)) for name in ("grpo", "dapo"))
    assert grpo == method_code(METHODS.get("grpo"))
    assert grpo != dapo


def test_the_code_of_a_folder_is_of_every_file_below_it(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    for name in ("b.py", "inner/a.py", "notes.txt"):
        (tmp_path / name).write_text("x = 1\n")
    before = folder_code(tmp_path)
    assert len(before) == 12
    (tmp_path / "notes.txt").write_text("other")
    assert folder_code(tmp_path) == before
    (tmp_path / "inner" / "a.py").write_text("x = 2\n")
    assert folder_code(tmp_path) != before


def test_a_result_over_mixed_code_names_both(tmp_path: Path) -> None:
    paper = toy(tmp_path)
    log_arms(paper, {"steep": STEEP, "plain": PLAIN})
    log = read_log(paper)
    for (arm, _), line in log.arms.items():
        line["versions"]["code"] = {"steep": "aaa", "plain": "bbb"}[arm]  # type: ignore[index]
    found = make_result(paper, log, range(5))["versions"]
    assert found == {"mmrl": "0.1.0", "code": "aaa, bbb"}


def test_seconds_are_those_of_the_seeds_of_the_result(tmp_path: Path) -> None:
    paper = toy(tmp_path)
    run_mechanisms(paper, [0, 1, 1000])
    log = read_log(paper)
    for line in log.mechanisms.values():
        line["seconds"]["claim"] = 2.0  # type: ignore[index]
    assert make_result(paper, log, [0, 1])["arm_seconds"] == {"sum": 4.0}


def test_a_cut_off_line_hurts_only_itself(tmp_path: Path) -> None:
    paper = toy(tmp_path)
    log_arms(paper, {"plain": [0.1]})
    path = log_path(paper)
    path.write_text(path.read_text() + '{"kind": "arm", "arm": "pl')
    log_arms(paper, {"steep": [0.3]})
    log = read_log(paper)
    assert set(log.arms) == {("plain", 0), ("steep", 0)}
    assert log.num_broken == 1


def test_a_value_that_is_no_number_leaves_its_pair_out(tmp_path: Path) -> None:
    paper = toy(tmp_path)
    log_arms(paper, {**FULL, "plain": [0.1, 0.2, 0.3, 0.4, float("nan")]})
    run_mechanisms(paper, range(5))
    found = outcome(paper, range(5))
    assert list(found.result["claims"][0]["differences"]) == ["0", "1", "2", "3"]
    assert found.why_not == "preliminary: fewer than 5 pairs for better"


def test_rerun_says_whether_the_stored_intervals_hold_the_seed(tmp_path: Path) -> None:
    paper = toy(tmp_path)
    log_arms(paper, FULL)
    run_mechanisms(paper, range(5))
    stored = outcome(paper, range(5)).stored
    assert stored is not None
    before = stored.read_bytes()
    # the difference 0.7 is inside [-0.180894, 0.780894], outside of [0.103676, 0.496324]
    log_arms(paper, {"steep": [0.9], "plain": [0.2], "blind": [0.0], "untouched": [0.2]}, first=7)
    better, short, total = rerun(paper, 7, jobs=0, show=False)
    assert better["difference"] == 0.7
    assert (better["in_prediction95"], better["in_ci95"]) == (True, False)
    assert (short["in_prediction95"], short["in_ci95"]) == (True, True)  # 0 in [0, 0]
    assert total["difference"] == 0.5
    assert stored.read_bytes() == before
    for seed in (0, 1000):
        with pytest.raises(ConfigError, match="wanted a fresh seed"):
            rerun(paper, seed, jobs=0, show=False)


def test_a_seed_without_a_value_is_neither_inside_nor_outside(tmp_path: Path) -> None:
    paper = toy(tmp_path)
    log_arms(paper, FULL)
    run_mechanisms(paper, range(5))
    outcome(paper, range(5))
    log_arms(paper, {arm: [float("nan")] for arm in FULL}, first=7)
    better, short, _ = rerun(paper, 7, jobs=0, show=False)
    assert (better["difference"], better["in_ci95"], better["in_prediction95"]) == (None,) * 3
    lines = _rerun_text("toy", 7, [better, short]).splitlines()
    assert lines[1] == "  better: no value"
    assert lines[2].startswith("  short: +0.000, inside [+0.000, +0.000] (one more seed)")


def test_a_result_of_other_settings_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paper = toy(tmp_path)
    log_arms(paper, FULL)
    run_mechanisms(paper, range(5))
    stored = outcome(paper, range(5)).stored
    assert stored is not None
    result = json.loads(stored.read_text())
    assert result["keys"] == {name: line_key(paper, arm) for name, arm in paper.arms.items()}
    assert _tables([paper]) == 0
    assert "warning" not in capsys.readouterr().out
    after = toy(tmp_path, recipe=CHANGES["learning rate"])  # the steep arm has its own
    words = (
        f"{stored} is of other settings or code: arms plain, blind; mmrl replicate toy renews it"
    )
    assert _tables([after]) == 0
    assert f"warning: {words}\n" in capsys.readouterr().out
    with pytest.raises(ConfigError, match=re.escape(words)):
        rerun(after, 7, jobs=0, show=False)
    del result["keys"]  # a file that is older than the entry
    stored.write_text(json.dumps(result))
    assert outdated(after, load_result(after)) == ""


def test_all_results_are_looked_at_before_a_seed_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = toy(tmp_path)
    log_arms(first, FULL)
    run_mechanisms(first, range(5))
    outcome(first, range(5))
    second = papers.write(tmp_path / "second")
    monkeypatch.setattr(claims, "LEAST_ITEMS", 4)
    monkeypatch.setattr(claims.open_paper, "__kwdefaults__", {"least_items": 4})
    ran: list[str] = []
    monkeypatch.setattr(fresh, "rerun", lambda paper, *given, **more: ran.append(paper.name) or [])
    with pytest.raises(ConfigError, match="no result yet; mmrl replicate second makes it"):
        replicate(asked([str(first.folder), str(second)], rerun=7))
    assert ran == []
    assert replicate(asked([str(first.folder)], rerun=7)) == 0
    assert ran == ["toy"]


def asked(papers: list[str], **given: Any) -> argparse.Namespace:
    plain = {"table": False, "seeds": None, "arms": None, "pilot": 0, "dry_run": False}
    return argparse.Namespace(**{"papers": papers, "jobs": 0, "rerun": None, **plain, **given})


@pytest.mark.parametrize("given", [{"seeds": "0-4"}, {"arms": "plain"}, {"pilot": 1}])
def test_rerun_chooses_its_own_seed_and_arms(given: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"leave --seeds, --arms, --pilot out"):
        replicate(asked([str(tmp_path)], rerun=7, **given))


def test_lines_that_count_for_nothing_are_told(tmp_path: Path) -> None:
    paper = toy(tmp_path)
    log_arms(paper, {"plain": [0.1]})
    assert _unused(outcome(paper, range(5))) == ""
    log_arms(paper, {"plain": [0.1]}, key="another")
    path = log_path(paper)
    path.write_text(path.read_text() + '{"kind": "arm", "arm": "pl')
    assert _unused(outcome(paper, range(5))) == (
        "1 lines of log.jsonl are of other claims, settings or code; "
        "1 lines of log.jsonl are cut off\n"
    )


PROMOTED: dict[str, Any] = {
    "stages": [
        {"name": "one", "steps": 4, "promote": {"measure": "iou", "above": 0.5, "every": 2}},
        {"name": "two", "steps": 1},
    ],
    "eval": {"data": [{"task": "digit_box"}], "limit": 4, "samples": 2, "early_stop": None},
}


def test_an_arm_s_run_keeps_of_eval_what_is_read(tmp_path: Path) -> None:
    given = {**papers.RECIPE["eval"], "limit": 9, "samples": 2, "every": 1, "batch_prompts": 5}
    for name, stages, samples in (("a", {}, 4), ("b", {"stages": PROMOTED["stages"]}, 2)):
        paper = toy(tmp_path / name, recipe=recipe(eval=given, **stages))
        loaded = arm_recipe(paper, paper.arms["plain"])
        run = run_of(loaded, paper="toy", arm="plain", seed=0, folder=tmp_path, start=None).run
        assert run.eval == EvalConfig(samples=samples, batch_prompts=5)
        for stage in run.stages[:1]:  # it looks at the recipe's own data
            assert stage.promote is not None
            assert [entry.task for entry in stage.promote.data] == ["digit_box"]


OTHERS = [
    ("limit", 9, False),  # the promotion has its own
    ("batch_prompts", 5, False),
    ("every", 2, False),
    ("samples", 3, True),
    ("temperature", 0.5, True),
    ("data", [{"task": "digit_box", "options": {"level": "hard"}}], True),
]


@pytest.mark.parametrize(("name", "value", "matters"), OTHERS)
def test_the_key_has_what_a_promotion_reads(
    name: str, value: Any, matters: bool, tmp_path: Path
) -> None:
    changed = {**PROMOTED["eval"], name: value}
    before = toy(tmp_path / "a", recipe=recipe(**PROMOTED))
    after = toy(tmp_path / "b", recipe=recipe(**{**PROMOTED, "eval": changed}))
    keys = [arm_key(paper, paper.arms["plain"], None) for paper in (before, after)]
    assert (keys[0] != keys[1]) == matters
    # without a promotion nothing of it is read
    before = toy(tmp_path / "a", recipe=recipe(eval=PROMOTED["eval"]))
    after = toy(tmp_path / "b", recipe=recipe(eval=changed))
    keys = [arm_key(paper, paper.arms["plain"], None) for paper in (before, after)]
    assert keys[0] == keys[1]


def test_the_table_changes_nothing_but_what_is_between_its_marks(tmp_path: Path) -> None:
    paper = toy(tmp_path)
    log_arms(paper, FULL)
    run_mechanisms(paper, range(5))
    result = outcome(paper, range(5)).result
    readme = paper.folder / "README.md"
    write_table(readme, result)
    once = readme.read_text()
    assert once.startswith("# toy\n\nbefore\n<!-- result -->\n| claim | kind |")
    assert once.endswith("<!-- /result -->\nafter\n")
    assert "old" not in once
    row = next(line for line in once.splitlines() if line.startswith("| **better**"))
    assert row == (
        "| **better**: Steep is better than \\| plain. | trained | `test.iou` | steep 0.600, plain "
        "0.300, blind 0.000, untouched 0.250 | steep - plain: +0.300 [+0.104, +0.496] | shown | "
        "Table 1 |"
    )
    write_table(readme, result)
    assert readme.read_text() == once
    readme.write_text("# no marks\n")
    with pytest.raises(ConfigError, match="wanted the lines <!-- result -->"):
        write_table(readme, result)
    assert readme.read_text() == "# no marks\n"


def test_the_printed_table_names_pairs_that_are_few(tmp_path: Path) -> None:
    paper = toy(tmp_path)
    log_arms(paper, {"steep": STEEP[:2], "plain": PLAIN[:2]})
    text = as_text("toy", make_result(paper, read_log(paper), range(2)))
    assert "+0.150 [-0.485, +0.785]  not shown (2 pairs)" in text  # 12.7062 * 0.0707107 / sqrt(2)
    assert "steep 0.300" in text and "plain 0.150" in text


def test_arms_of_other_lengths_are_told(tmp_path: Path) -> None:
    paper = toy(tmp_path)
    log_arms(paper, {"steep": [0.1, 0.2], "plain": [0.1, 0.2]})
    result = make_result(paper, read_log(paper), range(2))
    assert "steps are not equal" not in as_text("toy", result)
    result["arm_steps"]["plain"] = [2, 5]
    assert "  steps are not equal: steep 2, plain 2 to 5" in as_text("toy", result)
    assert "\nSteps are not equal: steep 2, plain 2 to 5." in as_markdown(result)


def test_arms_with_other_numbers_of_rollouts_are_told(tmp_path: Path) -> None:
    paper = toy(tmp_path)
    log_arms(paper, {"steep": [0.1, 0.2]}, rollouts=32)
    log_arms(paper, {"plain": [0.1, 0.2]}, rollouts=32)
    log_arms(paper, {"blind": [0.1, 0.2]})  # lines older than the entry
    log_arms(paper, {"untouched": [0.1, 0.2]}, rollouts=0)
    result = make_result(paper, read_log(paper), range(2))
    assert "rollouts are not equal" not in as_text("toy", result)
    log_arms(paper, {"plain": [0.2]}, first=1, rollouts=48)
    result = make_result(paper, read_log(paper), range(2))
    assert "  rollouts are not equal: steep 32, plain 32 to 48" in as_text("toy", result)
    assert "\nRollouts are not equal: steep 32, plain 32 to 48." in as_markdown(result)


def test_rollouts_are_counted_from_what_each_step_drew() -> None:
    records = [
        {"kind": "step", "stage": "filter", "draws": 10.0, "skipped/media": 2.0},  # 8 x 4
        {"kind": "step", "stage": "rl", "draws": 3.0},  # 3 x 8
        {"kind": "step", "stage": "rl"},  # nothing was drawn
        {"kind": "step", "stage": "cold", "draws": 9.0},  # sft: no completions
        {"kind": "eval", "step": 3},
    ]
    assert count(records, {"filter": 4, "rl": 8}) == 56


def test_an_arm_with_another_method_leaves_behind_what_that_one_lacks(tmp_path: Path) -> None:
    own = {"name": "rewardmap", "group_size": 4, "detail": 0.7}
    data = papers.claims()
    data["arms"]["plain"] = {"method": {"name": "grpo", "epochs": 2}}
    paper = toy(tmp_path, given=data, recipe=recipe(method=own))
    assert "detail" not in METHODS.get("grpo").model_fields
    assert arm_recipe(paper, paper.arms["plain"]).run.method == {
        "name": "grpo",
        "group_size": 4,
        "epochs": 2,
    }


def test_a_blind_arm_is_blind_in_every_stage(tmp_path: Path) -> None:
    stages = [
        {"name": "one", "kind": "sft", "steps": 1, "data": [{"task": "digit_box"}]},
        {"name": "two", "kind": "rl", "steps": 1},
    ]
    paper = toy(tmp_path, recipe=recipe(stages=stages))
    run = arm_recipe(paper, paper.arms["blind"]).run
    assert [e.blank for e in (*run.data, *run.stages[0].data)] == [True, True]
    assert run.stages[1].data == ()
    assert not any(e.blank for e in arm_recipe(paper, paper.arms["plain"]).run.data)
