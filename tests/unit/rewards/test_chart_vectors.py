"""Visual Programmability by the paper's formulas, and where ours differs on purpose."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import CLOCK, a_rollout, a_sample

from mmrl.parse.tables import table_of_columns, table_of_csv
from mmrl.rewards.builtin import CHART_ANSWER, CHART_DATA, CHART_DECISION, CHART_FORMAT
from mmrl.rewards.charts import ChartData
from mmrl.rewards.tables import DataAccuracy

VECTORS = json.loads(
    (Path(__file__).parents[2] / "vectors" / "visual-programmability.json").read_text()
)
PARTS = (CHART_ANSWER, CHART_DECISION, CHART_DATA, CHART_FORMAT)

TOTALS_OF_OURS = {
    # The data part applies only where the label is "high": a wrong way must not earn 0.15 of 1.15.
    "code where direct was right, data 0.9": 0.85,
    "nothing boxed, wrong way, code emitted, data 0.9": 0.0,
}
DATA_OF_OURS = {
    # Columns are matched one to one: the reference column 2019 has no partner left,
    # 0.2 · 1/2 + 0.1 + 0.7 · 1.
    "one predicted column serves two reference columns (greedy)": 0.9,
}


def parts_of(case: dict[str, Any], data: ChartData | None = None) -> list[float]:
    given = case["input"]
    sample = a_sample(given["answer"], programmable=given["label"], csv_gt=given["csv"])
    rollout = a_rollout(given["completion"])
    values = []
    for reward in PARTS:
        asked = replace(reward, fn=data) if data is not None and reward is CHART_DATA else reward
        value = asked(rollout, sample, {}, CLOCK)
        values.append(0.0 if value is None else value)
    return values


@pytest.mark.parametrize("case", VECTORS["total"], ids=lambda c: c["name"])
def test_totals_as_published_with_data_everywhere(case: dict[str, Any]) -> None:
    values = parts_of(case, ChartData(everywhere=True))
    assert values == pytest.approx(case["parts"])
    total = sum(r.weight * v for r, v in zip(PARTS, values, strict=True))
    assert total == pytest.approx(case["output"], abs=1e-9)


@pytest.mark.parametrize("case", VECTORS["total"], ids=lambda c: c["name"])
def test_totals_of_the_defaults(case: dict[str, Any]) -> None:
    total = sum(r.weight * v for r, v in zip(PARTS, parts_of(case), strict=True))
    assert total == pytest.approx(TOTALS_OF_OURS.get(case["name"], case["output"]), abs=1e-9)


@pytest.mark.parametrize("case", VECTORS["data"], ids=lambda c: c["name"])
def test_data_accuracy(case: dict[str, Any]) -> None:
    table = table_of_columns(case["input"]["columns"])
    got = DataAccuracy()(table, table_of_csv(case["input"]["csv"]))
    assert got == pytest.approx(DATA_OF_OURS.get(case["name"], case["output"]), abs=1e-9)


def test_every_departure_is_a_case() -> None:
    assert set(TOTALS_OF_OURS) <= {case["name"] for case in VECTORS["total"]}
    assert set(DATA_OF_OURS) <= {case["name"] for case in VECTORS["data"]}
    assert len(VECTORS["total"]) == 9 and len(VECTORS["data"]) == 18
