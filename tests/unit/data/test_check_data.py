"""`check_data`: every fault of a data set is named by file and line, none hides the next."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmrl.data.check import MOST_ALIKE, check_data
from mmrl.errors import PolicyError
from mmrl.media.store import MediaStore
from mmrl.roles import Reward
from mmrl.tasks.base import TASKS

ROOT = Path(__file__).parents[3]
PICTURE = ROOT / "tests" / "data" / "rows" / "images" / "163.jpg"


@pytest.fixture
def store():
    with MediaStore(workers=0) as store:
        yield store


def data_of(tmp_path, rows, **settings):
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    values = {"name": "d", "task": "rows_test", "licence": "MIT", "source": "rows.jsonl"}
    path = tmp_path / "d.yaml"
    path.write_text(json.dumps({**values, **settings}))
    return path


def said(findings):
    return [(f.level, f.rule, f.where.rpartition("/")[2], f.message) for f in findings]


def row(number, **more):
    return {"id": number, "question": "q", "answer": "B", **more}


def test_good_data_has_no_findings(tmp_path, store):
    (tmp_path / "a.jpg").write_bytes(PICTURE.read_bytes())
    path = data_of(tmp_path, [row(i, image="a.jpg") for i in range(3)], expected_rows=3)
    steps = []
    found = check_data(path, store=store, progress=lambda done, of: steps.append((done, of)))
    assert found == [] and steps == [(1, 3), (2, 3), (3, 3)]


def test_each_fault_is_found_and_the_check_goes_on(tmp_path, store):
    (tmp_path / "cut.jpg").write_bytes(PICTURE.read_bytes()[:2000])
    rows = [
        row(1),
        '{"id": 2, "question"',
        row(3, image="missing.jpg"),
        row(1),
        row(5, image="cut.jpg"),
        row(6, answer="</answer>"),
        {"id": 7, "question": "q"},
    ]
    found = said(check_data(data_of(tmp_path, rows, expected_rows=8), store=store))
    assert sorted((rule, where) for _, rule, where, _ in found) == [
        ("id", "rows.jsonl:4"),
        ("media", "rows.jsonl:3"),
        ("media", "rows.jsonl:5"),
        ("reward", "rows.jsonl:6"),
        ("row", "rows.jsonl:2"),
        ("row", "rows.jsonl:7"),
        ("rows", "d.yaml"),
    ]
    texts = {where: message for _, _, where, message in found}
    assert texts["rows.jsonl:2"].startswith("not JSON")
    assert 'id "1" is that of' in texts["rows.jsonl:4"]
    assert texts["rows.jsonl:3"].endswith("(missing)")
    assert texts["rows.jsonl:6"].endswith('earns 0 of reward "exact", expected 1')
    assert texts["rows.jsonl:7"].startswith('no column "answer" (answer).')
    assert texts["d.yaml"] == "split train has 7 rows, expected_rows says 8"


def test_reward_that_pays_for_nothing_is_found(tmp_path, store):
    def generous(rollout, sample, evidence, clock, /):
        return 1.0

    def failing(rollout, sample, evidence, clock, /):
        raise KeyError("level")

    def needs_more(rollout, sample, evidence, clock, /):
        raise AssertionError("not called without its evidence")

    rewards = [
        Reward(name="generous", fn=generous),
        Reward(name="failing", fn=failing),
        Reward(name="later", fn=needs_more, needs=(int,)),
        Reward(name="unscorable", fn=lambda *_: None),
    ]
    found = said(check_data(data_of(tmp_path, [row(1)]), rewards=rewards, store=store))
    assert [message for *_, message in found] == [
        "reward \"failing\" of the gold answer fails: exception: KeyError: 'level'",
        "the empty completion '' earns 1 of reward \"generous\", expected 0",
        "reward \"failing\" of the empty completion fails: exception: KeyError: 'level'",
    ]


def test_alike_findings_are_counted_not_listed(tmp_path, store):
    rows = [row(i, image="missing.jpg") for i in range(MOST_ALIKE + 5)]
    found = check_data(data_of(tmp_path, rows), store=store)
    assert len(found) == MOST_ALIKE + 1
    assert found[-1].message == "5 more findings of the kind `media`"
    assert len(check_data(data_of(tmp_path, rows), store=store, limit=4)) == 4


def test_token_budget_and_summary(tmp_path, store):
    class Plan:
        media = ()

        def __init__(self, num):
            self.num_tokens = num

    class Policy:
        def plan(self, messages, *, name=""):
            number = int(name)
            if number > 2:
                raise PolicyError(f'sample "{name}": 99 tokens, at most 50')
            return Plan(10 * number)

    path = data_of(tmp_path, [row(i) for i in (1, 2, 3)])
    found = said(check_data(path, policy=Policy(), store=store))
    assert found == [
        ("error", "tokens", "rows.jsonl:3", 'sample "3": 99 tokens, at most 50'),
        ("info", "summary", "d", "prompts have 10 to 20 tokens, 15 on average"),
    ]


def test_specification_that_cannot_be_used_is_a_finding(tmp_path):
    path = data_of(tmp_path, [row(1)], fields={"answer": "anser"})
    (finding,) = check_data(path)
    assert finding.rule == "row" and "no such column; there are id, question" in finding.message


@pytest.fixture
def real_tasks(monkeypatch):
    monkeypatch.setattr(TASKS, "_loaded", False)


def test_shipped_example_passes(real_tasks, store):
    assert check_data(ROOT / "datasets_cfg" / "boxes.yaml", store=store) == []


def test_nextgqa_configuration_reads_real_rows(real_tasks, tmp_path, store):
    text = (ROOT / "datasets_cfg" / "nextgqa.yaml").read_text()
    rows = (ROOT / "tests" / "data" / "rows" / "nextgqa.json").read_text()
    (tmp_path / "nextgqa_val_mixed.json").write_text(rows)
    path = tmp_path / "nextgqa.yaml"
    path.write_text(text.replace("../data/nextgqa/", ""))
    from mmrl.data.load import open_dataset

    data = open_dataset(path, "test")
    sample = data[0]
    assert sample.target == [13.8, 29.8] and sample.task == "temporal"
    assert sample.question.endswith("move to the sofa")
    assert sample.media[0].path == tmp_path / "NExTQA/videos/4882821564.mp4"
    gold = TASKS.get("temporal").gold(sample)
    assert gold.endswith("<answer>[13.8,29.8]</answer>")
