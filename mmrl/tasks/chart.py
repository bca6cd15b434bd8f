r"""Charts: a question answered by a program that writes the chart's numbers down, or by looking.

Visual Programmability (Code-as-Thought, arXiv 2509.09286): a completion begins with `<CODE>` or
`<DIRECT>` and ends in `\boxed{answer}`. `chart` explains this in its prompt and serves data sets
as well; `chart_brief` asks in a few words and wants the shortest form, for models trained from
scratch. Both draw the same world.
"""

from __future__ import annotations

from collections.abc import Callable

from mmrl.parse.boxed import Strategy, parse_boxed, strategy_of
from mmrl.parse.tables import Cell, Table, gold_table
from mmrl.rewards.builtin import CHART_ANSWER, CHART_DATA, CHART_DECISION, CHART_FORMAT
from mmrl.rewards.charts import (
    chart_answer_reward,
    chart_data_reward,
    chart_decision_reward,
    gold_answers,
    right_way,
)
from mmrl.tasks.base import Task, levels_of, register_task
from mmrl.tasks.chart_world import LEVELS, ChartWorld
from mmrl.tasks.drawing import number_text
from mmrl.types import Rollout, Sample

TEMPLATE = (
    "{question}\n"
    "There are two ways to answer; name yours with the first word.\n"
    "<CODE>: the numbers of the chart are enough. Write Python in a ```python block that imports "
    "pandas and first of all puts every number of the chart into one pandas.DataFrame called "
    "chart_data, with named columns and the rows in the order of the chart; then work the answer "
    "out from it. Take this way whenever a table keeps what the question needs.\n"
    "<DIRECT>: the answer is in what a table would lose, such as colours, shapes, places or marks "
    "without numbers. Say what you see.\n"
    "Either way end with the answer in \\boxed{}."
)


def boxed(answer: str) -> str:
    r"""`\boxed{answer}` with braces in it escaped."""
    plain = answer.replace("{", "\\{").replace("}", "\\}")
    return f"\\boxed{{{plain}}}"


def gold_chart_answer(sample: Sample) -> str:
    """The reference answer by the way that the label calls for; without a label by looking."""
    answer = gold_answers(sample)[0]
    table = gold_table(sample.id, sample.meta.get("csv_gt"))
    if right_way(sample) is Strategy.CODE:
        lines = ["import pandas as pd", "", *([frame_code(table)] if table is not None else [])]
        program = "\n".join(lines)
        return f"<CODE>\n```python\n{program}\n```\nThe table gives {boxed(answer)}"
    return f"<DIRECT> The chart shows it: {boxed(answer)}"


def gold_brief_answer(sample: Sample) -> str:
    """The same in the fewest characters."""
    answer = boxed(gold_answers(sample)[0])
    table = gold_table(sample.id, sample.meta.get("csv_gt"))
    if right_way(sample) is Strategy.CODE:
        return f"<CODE>{frame_code(table, brief=True) if table is not None else ''}{answer}"
    return f"<DIRECT>{answer}"


def frame_code(table: Table, *, brief: bool = False) -> str:
    """`chart_data = pd.DataFrame({...})` of a table; `brief` without spaces or `pd.`."""
    between, colon, equals, module = (",", ":", "=", "") if brief else (", ", ": ", " = ", "pd.")
    columns = between.join(
        f"{name!r}{colon}[{between.join(map(_literal, column))}]"
        for name, column in zip(table.columns, table.cells, strict=True)
    )
    return f"chart_data{equals}{module}DataFrame({{{columns}}})"


def _literal(cell: Cell) -> str:
    if cell is None:
        return "None"
    return repr(cell) if isinstance(cell, str) else number_text(cell)


def takes_code(rollout: Rollout, sample: Sample) -> float:
    """1 where the completion goes by `<CODE>`."""
    return float(strategy_of(rollout.text) is Strategy.CODE)


def code_where_high(rollout: Rollout, sample: Sample) -> float | None:
    """Use of code where a table is enough: should come to exceed `code_where_low`."""
    return takes_code(rollout, sample) if right_way(sample) is Strategy.CODE else None


def code_where_low(rollout: Rollout, sample: Sample) -> float | None:
    """Use of code where a table is not enough."""
    return takes_code(rollout, sample) if right_way(sample) is Strategy.DIRECT else None


def took_right_way(rollout: Rollout, sample: Sample) -> float | None:
    """1 where the way is that of the label."""
    way = right_way(sample)
    return None if way is None else float(strategy_of(rollout.text) is way)


def _chart_task(name: str, template: str, gold: Callable[[Sample], str], brief: bool) -> Task:
    return Task(
        name=name,
        template=template,
        rewards=(CHART_ANSWER, CHART_DECISION, CHART_DATA, CHART_FORMAT),
        score=chart_answer_reward,
        score_name="right",
        gold=gold,
        parse=parse_boxed,
        measures={
            "decision": chart_decision_reward,
            "right_way": took_right_way,
            "code_where_high": code_where_high,
            "code_where_low": code_where_low,
            "data": chart_data_reward,
        },
        world=ChartWorld(task=name, brief=brief),
        levels={**levels_of("level", LEVELS), "real": {"level": "medium", "tables": "real"}},
    )


CHART = register_task(_chart_task("chart", TEMPLATE, gold_chart_answer, False))
CHART_BRIEF = register_task(_chart_task("chart_brief", "{question}", gold_brief_answer, True))
