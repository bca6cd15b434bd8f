"""Code-as-Thought: rewards and advantages worked out by hand, and what each part changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import CLOCK, a_rollout, a_sample, alone

from mmrl.errors import ConfigError, DataError, MethodError
from mmrl.methods.base import Method, method_spec
from mmrl.rewards.functions import load_user_function
from mmrl.rewards.programs import RunPrograms
from mmrl.tasks.base import TASKS
from mmrl.train.score import Scorer
from mmrl.types import Group, Sample, ScoredGroup

RECIPE = Path(__file__).parents[2] / "recipes" / "cat"
TABLE = "<CODE>chart_data=DataFrame({'x':['A','B'],'y':[3,4]})"
CODE_RIGHT, CODE_WRONG = TABLE + "\\boxed{4}", TABLE + "\\boxed{3}"
DIRECT_RIGHT, DIRECT_WRONG = "<DIRECT>\\boxed{4}", "<DIRECT>\\boxed{3}"
EVERY = [CODE_RIGHT, CODE_WRONG, DIRECT_RIGHT, DIRECT_WRONG, "four"]


def of_recipe(name: str) -> Any:
    """A function or class of a file of the recipe's folder."""
    return load_user_function(f"{RECIPE}/{name}")


def asked(label: str) -> Sample:
    return replace(a_sample("4", programmable=label, csv_gt="x,y\nA,3\nB,4"), task="chart_brief")


def method(**settings: Any) -> Method:
    return method_spec({"name": "cat", **settings}).build(TASKS.get("chart_brief"))


def scored(made: Method, label: str, texts: list[str]) -> ScoredGroup:
    group = Group(draw_id="0", sample=asked(label), rollouts=tuple(map(a_rollout, texts)))
    scorer = Scorer(rewards={"chart_brief": made.rewards}, bonuses=(), combine=made.combine)
    return scorer([group], CLOCK)[0]


def pull(made: Method, label: str) -> float:
    """Advantage of code over direct among right answers."""
    credited = made.credit([scored(made, label, [CODE_RIGHT, DIRECT_RIGHT])], alone, CLOCK)[0]
    return float(credited[0]) - float(credited[1])  # type: ignore[arg-type]


def test_rewards_by_hand():
    # answer 0.8, decision 0.3 or half of it, data 0.15 · 1, box 0.05
    assert scored(method(), "high", EVERY).rewards == pytest.approx([1.3, 0.35, 0.85, 0.05, 0.0])
    assert scored(method(), "low", EVERY).rewards == pytest.approx([0.85, 0.05, 1.15, 0.2, 0.0])


def test_as_published_a_wrong_way_earns_the_data_part_too():
    published = method(data_everywhere=True)
    assert scored(published, "low", EVERY).rewards == pytest.approx([1.0, 0.2, 1.15, 0.2, 0.0])


def test_advantages_are_standardised_without_kl():
    made = method(std_eps=0.0)
    # rewards 1.3 and 0.35: (r - mean) / unbiased std = ±1/√2
    (credited,) = made.credit([scored(made, "high", [CODE_RIGHT, CODE_WRONG])], alone, CLOCK)
    assert credited == pytest.approx([0.5**0.5, -(0.5**0.5)])
    assert made.group_size == 5 and not made.needs_reference


def test_the_decision_part_alone_tells_the_labels_apart():
    full, blunt = method(normalize="mean_only"), method(normalize="mean_only", decision=0.0, data=0)
    data_only = method(normalize="mean_only", decision=0.0, data_everywhere=True)
    assert (pull(full, "high"), pull(full, "low")) == pytest.approx((0.45, -0.3))
    assert (pull(blunt, "high"), pull(blunt, "low")) == (0.0, 0.0)
    assert (pull(data_only, "high"), pull(data_only, "low")) == pytest.approx((0.15, 0.15))


def test_a_part_of_weight_zero_is_left_out():
    assert [r.name for r in method(decision=0.0, data=0.0).rewards] == [
        "chart_answer", "chart_format",
    ]  # fmt: skip


def test_partial_is_the_worth_of_the_right_way_alone():
    assert scored(method(partial=0.0), "low", [DIRECT_WRONG]).rewards == pytest.approx([0.05])
    assert scored(method(partial=1.0), "low", [DIRECT_WRONG]).rewards == pytest.approx([0.35])


def test_settings_of_the_recipes_own_rewards_are_kept():
    task = TASKS.get("chart_brief")
    run = RunPrograms()
    rewards = tuple(
        replace(r, fn=replace(r.fn, run=run)) if r.name == "chart_data" else r for r in task.rewards
    )
    built = method_spec({"name": "cat", "data_everywhere": True}).build(
        replace(task, rewards=rewards)
    )
    data: Any = built.rewards[2].fn
    assert data.run is run and data.everywhere


def test_wrong_settings_fail_in_words():
    with pytest.raises(ConfigError, match=r'decison: .*Did you mean "decision"'):
        method(decison=0.3)
    with pytest.raises(ConfigError, match=r"method.partial: .*less than or equal to 1"):
        method(partial=1.5)
    with pytest.raises(MethodError, match=r'"chart_answer", which task "digit_box" does not have'):
        method_spec({"name": "cat"}).build(TASKS.get("digit_box"))


# ---------------------------------------------------------------- the recipe's rows and mechanisms

ROW = {"chart": "ori_500/bar_1", "question": "highest?", "answer": "B", "programmable": "high"}


def test_a_question_takes_its_table_from_the_charts_code():
    convert = of_recipe("data.py:converted")
    plot = "import matplotlib.pyplot as plt\nplt.bar(['A', 'B'], [3, 4], label='n')"
    assert convert(ROW, plot, "q.jsonl:3") == {
        "id": "3",
        "image": "charts/ori_500/bar_1.png",
        "question": "highest?",
        "answer": "B",
        "programmable": "high",
        "csv_gt": "x,n\nA,3\nB,4\n",
    }
    frame = "import pandas as pd\nchart_data = pd.DataFrame({'k': ['A'], 'v': [5]})"
    assert convert(ROW, frame, "q.jsonl:1")["csv_gt"] == "k,v\nA,5\n"


def test_without_a_readable_table_the_row_has_none():
    convert = of_recipe("data.py:converted")
    assert "csv_gt" not in convert(ROW, None, "q.jsonl:1")
    assert "csv_gt" not in convert(ROW, "plt.bar(read('x'), y)", "q.jsonl:1")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"programmable": "hihg"}, r'q:1: programmable is "hihg".*Did you mean "high"'),
        ({"answer": ""}, r"q:1: no answer; there are chart, question"),
    ],
)
def test_a_wrong_row_is_named(change: dict[str, str], words: str):
    with pytest.raises(DataError, match=words):
        of_recipe("data.py:converted")({**ROW, **change}, None, "q:1")


def test_a_chart_stays_in_its_folder(tmp_path: Path):
    (tmp_path / "charts").mkdir()
    (tmp_path / "out.png").write_bytes(b"")
    inside = of_recipe("data.py:inside")
    with pytest.raises(DataError, match="leads out of"):
        inside(tmp_path / "charts", "../out.png", "q:1")
    with pytest.raises(DataError, match="no picture"):
        inside(tmp_path / "charts", "none.png", "q:1")


def test_ways_of_the_warm_start_lean_to_the_label_and_are_right():
    shown = of_recipe("ways.py:EitherWay")("train", 200)
    took: dict[str, list[bool]] = {"high": [], "low": []}
    label_way = {"high": "<CODE>", "low": "<DIRECT>"}
    for sample in shown[:]:
        text = sample.meta["completion"]
        label = sample.meta["programmable"]
        took[label].append(text.startswith(label_way[label]))
        task = TASKS.get(sample.task)
        assert task.score(replace(a_rollout(text), parsed=task.parse(text)), sample) == 1.0
    for ways in took.values():
        assert 0.55 < sum(ways) / len(ways) < 0.75
    assert shown[3] == shown[3]


def test_mechanisms_show_on_the_stored_rollouts():
    pulls, right = of_recipe("mechanism.py:pull")(7), of_recipe("mechanism.py:buckets")(7)
    assert pulls["cat"] > 1.0 > 0.6 > max(pulls["grpo"], pulls["data"])
    assert right["above_0.8"] > right["below_0.6"]
