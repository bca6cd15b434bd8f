"""RewardMap: rewards and advantages worked out by hand, and what each of its parts changes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import CLOCK, a_rollout, a_sample, alone, answered

from mmrl.errors import ConfigError, DataError, MethodError
from mmrl.methods.base import Method, method_spec
from mmrl.rewards.combine import weighted_sum
from mmrl.rewards.functions import load_user_function
from mmrl.tasks.base import TASKS
from mmrl.train.score import Scorer
from mmrl.types import Group, Sample, ScoredGroup

RECIPE = Path(__file__).parents[2] / "recipes" / "rewardmap"
LINES = {"red": list("ABCD"), "blue": list("ECF")}
GOLD = "red: A > C; blue: C > F"
HALF = "red: A > C; blue: E > F"
"""Right ends, two rides that do not connect: 2 + 3 + 3 points of 9."""
WRONG = "red: A > D"
"""Wrong end: no points."""


def of_recipe(name: str) -> Any:
    """A function of a file of the recipe's folder."""
    return load_user_function(f"{RECIPE}/{name}")


def asked(level: str = "hard", target: Any = GOLD, transfers: int = 1) -> Sample:
    meta = {"difficulty_city": level, "question_transfer_count": transfers, "lines": LINES}
    return replace(a_sample(target, **meta), task="transit")


def method(**settings: Any) -> Method:
    return method_spec({"name": "rewardmap", **settings}).build(TASKS.get("transit"))


def scored(made: Method, sample: Sample, answers: list[str]) -> ScoredGroup:
    rollouts = tuple(answered(a) if a else a_rollout("on foot") for a in answers)
    group = Group(draw_id="0", sample=sample, rollouts=rollouts)
    scorer = Scorer(rewards={"transit": made.rewards}, bonuses=(), combine=made.combine)
    return scorer([group], CLOCK)[0]


def advantages(made: Method, sample: Sample, answers: list[str]) -> list[Any]:
    return list(made.credit([scored(made, sample, answers)], alone, CLOCK)[0])


def test_rewards_and_advantages_by_hand():
    group = scored(method(), asked(), [GOLD, HALF, WRONG, ""])
    # W = 1.5 + 0.5; 1 + 0.5 + 0.1, then 0.5 · 8/9 + 0.1, then a well-formed answer, then nothing
    assert group.rewards == pytest.approx([3.2, 2 * (4 / 9 + 0.1), 0.2, 0.0])
    assert group.score == (1.0, 0.0, 0.0, 0.0)
    mean = (3.2 + 8 / 9 + 0.2 + 0.2) / 4
    assert advantages(method(), asked(), [GOLD, HALF, WRONG, ""]) == pytest.approx(
        [3.2 - mean, 8 / 9 + 0.2 - mean, 0.2 - mean, -mean]
    )


def test_questions_without_a_route_have_no_detail():
    group = scored(method(), asked("middle", "yes", -1), ["yes", "no"])
    assert group.rewards == pytest.approx([1.2 * 1.1, 1.2 * 0.1])


def test_the_stops_passed_are_not_rewarded():
    assert "route_via" in [r.name for r in TASKS.get("transit").rewards]
    assert [(r.name, r.weight) for r in method().rewards] == [
        ("map_right", 1.0), ("route_detail", 0.5), ("format", 0.1),
    ]  # fmt: skip


def test_without_detail_a_group_of_wrong_routes_is_flat():
    answers = [HALF, WRONG, WRONG]
    with_detail = scored(method(), asked(), answers)
    without = scored(method(detail=0.0), asked(), answers)
    assert with_detail.spread == pytest.approx(2 * 4 / 9)
    assert without.spread == 0.0
    assert method(detail=0.0).credit([without], alone, CLOCK) == [[0.0, 0.0, 0.0]]
    assert advantages(method(), asked(), answers)[0] == pytest.approx(2 * 4 / 9 * 2 / 3)


def test_difficulty_doubles_advantages_under_mean_only_and_cancels_under_std():
    answers, twice = [GOLD, HALF, WRONG], {"easy": 1.0, "hard": 2.0}
    easy, hard = asked("easy"), asked("hard")
    made = method(of_map=twice, of_transfers=0.0)
    assert advantages(made, hard, answers) == pytest.approx(
        [2 * a for a in advantages(made, easy, answers)]
    )
    with pytest.warns(UserWarning, match="factor cancels; normalize: mean_only"):
        published = method(of_map=twice, of_transfers=0.0, normalize="std", std_eps=1e-6)
    assert advantages(published, hard, answers) == pytest.approx(
        advantages(published, easy, answers), abs=1e-5
    )


def test_difficulty_off_is_a_plain_sum():
    made = method(weighted=False)
    assert made.combine is weighted_sum
    assert scored(made, asked("hard"), [GOLD]).rewards == pytest.approx([1.6])


def test_own_rewards_of_a_recipe_stay_as_they_are():
    task = TASKS.get("transit")
    mine = replace(task.rewards[0], name="mine", weight=0.7)
    built = method_spec({"name": "rewardmap"}).build(replace(task, rewards=(*task.rewards, mine)))
    assert built.rewards[-1].name == "mine" and built.rewards[-1].weight == 0.7


def test_wrong_settings_fail_in_words():
    with pytest.raises(ConfigError, match=r'detial: .*Did you mean "detail"'):
        method(detial=0.5)
    with pytest.raises(ConfigError, match=r"method.detail: .*greater than or equal to 0"):
        method(detail=-1)
    with pytest.raises(MethodError, match=r'"map_right", which task "digit_box" does not have'):
        method_spec({"name": "rewardmap"}).build(TASKS.get("digit_box"))
    with pytest.raises(DataError, match=r"difficulty_city.*is 'hard'"):
        scored(method(of_map={"easy": 1.0}), asked("hard"), [GOLD])


# ---------------------------------------------------------------- the recipe's rows and mechanisms


def test_rows_are_parted_by_stage_in_their_order():
    rows = [
        {"id": i, "type": kind}
        for i, kind in enumerate(["Counting1", "TorF2", "Counting3", "TorF1", "Counting2"])
    ]
    parted = of_recipe("data.py:by_stage")(rows)
    assert {stage: [row["id"] for row in found] for stage, found in parted.items()} == {
        "judge": [1, 3], "count": [2, 4], "between": [0],
    }  # fmt: skip
    with pytest.raises(DataError, match=r'row "7": .*type "Counting4".*Did you mean "Counting'):
        of_recipe("data.py:by_stage")([{"id": 7, "type": "Counting4"}])


def test_published_rows_become_the_files_of_the_stages(tmp_path):
    stations = tmp_path / "stations" / "land"
    stations.mkdir(parents=True)
    (stations / "town.json").write_text(json.dumps({"red": ["A", "B", "C"]}))
    about = {"country": "land", "city": "town", "difficulty_city": "easy", "figure": "town.png"}
    asked_for = (("TorF1", 1), ("Counting2", 3), ("Counting1", 2))
    rows = [{**about, "type": t, "question": "?", "answer": a} for t, a in asked_for]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "maps" / "land").mkdir(parents=True)
    (tmp_path / "maps" / "land" / "town.png").write_bytes(b"png")
    to, given = tmp_path / "out", {"--rows": "rows.jsonl", "--stations": "stations"}
    argv = [part for k, v in {**given, "--maps": "maps"}.items() for part in (k, str(tmp_path / v))]
    of_recipe("data.py:main")([*argv, "--split", "train", "--to", str(to)])
    answers = {
        stage: [json.loads(line)["answer"] for line in file.read_text().splitlines()]
        for stage in ("judge", "count", "between")
        for file in [to / f"plus_train_{stage}.jsonl"]
    }
    assert answers == {"judge": ["yes"], "count": [3], "between": ["C"]}


def test_a_file_that_is_not_there_ends_in_words(tmp_path):
    with pytest.raises(SystemExit, match=r"none\.jsonl: no such file"):
        of_recipe("data.py:main")(
            ["--rows", "none.jsonl", "--stations", str(tmp_path), "--to", str(tmp_path)]
        )


def test_mechanisms_show_on_the_weak_riders_answers():
    flat, size = of_recipe("mechanism.py:sparsity")(7), of_recipe("mechanism.py:weights")(7)
    assert flat["detail"] < flat["right_or_wrong"] - 0.2
    assert size["mean_only"] == pytest.approx(2.0)
    assert size["std"] == pytest.approx(1.0, abs=2e-3)
