"""claims.yaml: what is refused, in which words, before anything is trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import papers
import pytest

from mmrl.errors import ConfigError
from mmrl.eval.replicate.claims import load_claims, open_paper, papers_with_claims
from mmrl.eval.replicate.items import check_evaluations, is_pilot, items_of, measures_of, shares
from mmrl.eval.replicate.run import check_paper
from mmrl.eval.replicate.schema import EvaluationConfig

ROOT = Path(__file__).parents[3]
BOXES = str(ROOT / "datasets_cfg" / "boxes.yaml")

Change = Callable[[dict[str, Any]], Any]


def claim(index: int, **values: Any) -> Change:
    return lambda data: data["claims"][index].update(values)


WRONG: dict[str, tuple[Change, str]] = {
    "unknown key": (
        lambda d: d.update(evaluation={}),
        r'claims.yaml:\d+: evaluation: no such setting. Did you mean "evaluations"',
    ),
    "unknown key of an evaluation": (
        lambda d: d["evaluations"]["test"].update(itmes=3),
        r'claims.yaml:11: evaluations.test.itmes: no such setting. Did you mean "items"',
    ),
    "unknown key of a claim": (
        claim(0, agianst="plain"),
        r'claims.0.agianst: no such setting. Did you mean "against"',
    ),
    "too few items": (
        lambda d: d["evaluations"]["test"].update(items=3),
        "evaluations.test.items: wanted at least 4; got the number 3",
    ),
    "too few seeds": (lambda d: d.update(seeds=4), "seeds: wanted at least 5; got the number 4"),
    "limit": (
        lambda d: d["evaluations"]["test"]["data"][0].update(limit=7),
        "evaluations.test.data.0.limit: items says how many",
    ),
    "arm": (claim(0, arm="stepe"), 'claims.0.arm: no arm "stepe". Did you mean "steep"'),
    "against itself": (claim(0, against="steep"), '"steep" is compared with itself'),
    "evaluation": (
        claim(0, measure="tset.iou"),
        'claims.0.measure: "tset.iou": no evaluation "tset". Did you mean "test"',
    ),
    "direction": (claim(0, direction="upp"), 'wanted one of up, down; got text "upp"'),
    "kind": (claim(0, kind="guess"), "wanted one of trained, mechanism"),
    "no measure": (lambda d: d["claims"][0].pop("measure"), "give one of measure"),
    "both": (claim(0, function="measures.py:length"), "give one of measure"),
    "function": (
        claim(1, measure="measures.py:lenght"),
        r'claims.1.measure: .*no function "lenght".* Did you mean "length"',
    ),
    "file": (
        claim(1, measure="measure.py:length"),
        r'no file .*measure.py. Did you mean "measures.py"',
    ),
    "outside": (claim(1, measure="../measures.py:length"), "a file of"),
    "mechanism without a function": (
        claim(2, function=None, measure="test.iou"),
        "a mechanism is a function of the seed",
    ),
    "same name": (claim(1, name="better"), 'two claims are called "better"'),
    "recipe": (
        lambda d: d.update(recipe="tini.yaml"),
        'recipe: no file .* Did you mean "tiny.yaml"',
    ),
    "start": (lambda d: d.update(start="warm.yaml"), "start: no file"),
    "arm that is no mapping": (lambda d: d["arms"].update(plain=3), "arms.plain: wanted a mapping"),
    "blank": (lambda d: d["arms"].update(blind={"blank": "yes"}), "wanted true or false"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_refused_in_words(name: str, tmp_path: Path) -> None:
    change, words = WRONG[name]
    data = papers.claims()
    change(data)
    with pytest.raises(ConfigError, match=words):
        load_claims(papers.write(tmp_path / "toy", data), least_items=4)


LATER: dict[str, tuple[Change, str]] = {
    "measure": (
        claim(0, measure="test.iuo"),
        r'claims.0.measure: evaluation "test" has no measure "iuo". It has .*, iou, iou_50',
    ),
    "task": (
        lambda d: d["evaluations"]["test"].update(data=[{"task": "digit_bix"}]),
        'evaluations.test.data.0.task: no task "digit_bix". Did you mean "digit_box"',
    ),
    "override": (
        lambda d: d["arms"].update(plain={"train": {"stpes": 1}}),
        'arms.plain: .*train.stpes: no such setting. Did you mean "steps"',
    ),
    "method": (
        lambda d: d["arms"].update(plain={"method": {"name": "gpro"}}),
        'arms.plain: .*no method "gpro"',
    ),
    "method setting": (
        lambda d: d["arms"].update(plain={"method": {"clip_hihg": 0.3}}),
        "arms.plain: .*clip_hihg",
    ),
}


@pytest.mark.parametrize("name", LATER)
def test_arms_and_measures_are_checked_before_a_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    change, words = LATER[name]
    data = papers.claims()
    change(data)
    paper = load_claims(papers.write(tmp_path / "toy", data), least_items=4)
    with pytest.raises(ConfigError, match=words):
        check_paper(paper)


def test_unknown_paper_names_the_nearest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    papers.write(tmp_path / "recipes" / "rewardmap", {**papers.CLAIMS})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r'no paper "rewardmpa".* Did you mean "rewardmap"'):
        open_paper("rewardmpa")
    assert open_paper("rewardmap", least_items=4).name == "rewardmap"


def evaluation(**given: Any) -> EvaluationConfig:
    data = given.pop("data", [{"task": "digit_box"}])
    return EvaluationConfig.model_validate({"data": data, "items": 5, **given})


def test_items_are_those_of_the_seed_and_differ_between_seeds() -> None:
    config = evaluation()
    first, again, other = items_of(config, 3), items_of(config, 3), items_of(config, 4)
    assert [s.id for s in first] == [f"digit_box-test-3-{i}" for i in range(5)]
    assert [s.target for s in first] == [s.target for s in again]
    assert {s.id for s in first}.isdisjoint(s.id for s in other)


def test_entries_of_one_world_never_show_an_item_twice() -> None:
    config = evaluation(data=[{"task": "digit_box"}, {"task": "digit_box", "weight": 3}], items=9)
    assert shares(config.data, 9) == [3, 6]  # 9/4 = 2.25 -> 2, 6.75 -> 6, the one left to the first
    assert [s.id.rsplit("-", 1)[1] for s in items_of(config, 0)] == [str(i) for i in range(9)]


def test_rows_with_an_end_are_split_between_pilots_and_results() -> None:
    config = evaluation(data=[{"cfg": BOXES, "split": "train"}], items=1)
    results = {s.id for seed in range(40) for s in items_of(config, seed)}
    pilots = {s.id for seed in range(1000, 1040) for s in items_of(config, seed)}
    assert results and pilots and results.isdisjoint(pilots)
    assert is_pilot(1000) and not is_pilot(999)


def test_measures_are_known_before_an_evaluation() -> None:
    names = measures_of(evaluation(samples=4, best_of=8))
    assert {"iou", "iou_best8", "iou_greedy", "accuracy", "format", "length"} <= set(names)
    assert "iou_greedy" not in measures_of(evaluation(greedy=False))


@pytest.mark.parametrize("name", sorted(papers_with_claims(ROOT / "recipes")))
def test_the_papers_of_the_package_keep_the_rules(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At least 512 items and 5 seeds, a control that is blind, measures and recipes that exist."""
    monkeypatch.chdir(ROOT)
    paper = open_paper(name)
    assert all(config.items >= 512 for config in paper.evaluations.values())
    assert paper.seeds >= 5
    assert paper.trained_claims
    sees = [c for c in paper.trained_claims if c.name == "sees"]
    assert len(sees) == 1 and "blind" in (sees[0].arm, sees[0].against)
    assert paper.arms["blind"].blank
    check_evaluations(paper)
