r"""Rewards for questions about charts: answer, decision, data, format (arXiv 2509.09286, eq. 3).

`0.8 · answer + 0.3 · decision + 0.15 · data + 0.05 · format`. The completion takes one of two ways,
`<CODE>` (a program that writes the chart's numbers into a frame `chart_data`) or `<DIRECT>`, and
ends in `\boxed{answer}`. `sample.target` holds the answer; `meta["programmable"]` is "high" or
"low" (would a table keep what this question needs?), `meta["csv_gt"]` the chart's table,
`meta["tolerance"]` the relative error of a number that still counts as right.

Departures from the paper: the data part applies only where the label is "high" (with it on every
sample a wrong way still earned 0.15 and unlabelled data were drawn to code); where there is no
reference table or no label the parts that need them do not apply, instead of being 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from mmrl.errors import DataError, nearest
from mmrl.parse.boxed import Strategy, parse_boxed, strategy_of
from mmrl.parse.code_tables import table_of_completion
from mmrl.parse.tables import Table, gold_table, number_of_text, within
from mmrl.parse.values import normal_text, parse_number
from mmrl.rewards.programs import RunPrograms
from mmrl.rewards.tables import DataAccuracy
from mmrl.types import Group, Rollout, Sample, Verdict

WAYS: Mapping[str, Strategy] = {"high": Strategy.CODE, "low": Strategy.DIRECT}
"""Label of a chart and question -> the way that answers it."""
MAX_ANSWER = 1000
"""Characters of a boxed answer that is read; a longer one is no short answer."""
_YEARS = range(1500, 2101)


@dataclass(frozen=True, kw_only=True)
class ChartAnswer:
    """1 where the last box holds the reference answer, else 0.

    A reference that is a number as a whole (`1,200`, `45%`, `$3`) is compared with the answer's one
    number to `meta["tolerance"]`, else `relative`, of the reference; years are compared exactly.
    Any other reference, one text or several accepted ones, is compared as text.
    """

    relative: float = 1e-2
    """The paper's tolerance for cells; it prints none for answers. ChartQA's is 0.05."""

    def __call__(
        self,
        rollout: Rollout,
        sample: Sample,
        /,
    ) -> float:
        golds = gold_answers(sample)
        relative = answer_tolerance(sample, self.relative)
        answer = parse_boxed(rollout.text).answer or ""
        if not answer or len(answer) > MAX_ANSWER:
            return 0.0
        return 1.0 if any(same_answer(answer, gold, relative) for gold in golds) else 0.0


@dataclass(frozen=True, kw_only=True)
class ChartDecision:
    """1 for the right way and a right answer, `partial` for the right way alone, else 0.

    A completion that names both ways, or neither at its beginning, took no way. None where the
    sample has no label.
    """

    partial: float = 0.5
    """Right way, wrong answer. Not printed in the paper; ours."""
    answer: ChartAnswer = field(default_factory=ChartAnswer)

    def __call__(
        self,
        rollout: Rollout,
        sample: Sample,
        /,
    ) -> float | None:
        way = right_way(sample)
        right = self.answer(rollout, sample)
        if way is None:
            return None
        if strategy_of(rollout.text) is not way:
            return 0.0
        return 1.0 if right else self.partial


@dataclass(frozen=True, kw_only=True)
class ChartData:
    """Accuracy of the table that the completion's program spells out; 0 on other ways.

    The table is read off the syntax tree and the program is never run, unless `run` says so: then
    it is what `chart_data` holds when the program has ended in the sandbox. None where the sample
    has no table, and (unless `everywhere`, as published) where its label is not "high".
    """

    accuracy: DataAccuracy = field(default_factory=DataAccuracy)
    everywhere: bool = False
    drawing_calls: bool = False
    """Whether a program without a frame may spell its numbers in `plt.bar(x, y)` and the like."""
    run: RunPrograms | None = None
    """How to run programs instead of reading them: `{}` in a recipe takes the defaults."""

    def __call__(
        self,
        rollout: Rollout,
        sample: Sample,
        /,
    ) -> float | None:
        reference = self.reference(sample)
        if reference is None:
            return None
        table = None
        if strategy_of(rollout.text) is Strategy.CODE:
            if self.run is not None:
                table = self.run.frame(rollout.text)
            else:
                table = table_of_completion(rollout.text, drawing_calls=self.drawing_calls)
        return self.of_table(table, reference)

    def check(self) -> None:
        """SandboxError where programs are to be run and this system lacks the isolation for it."""
        if self.run is not None:
            self.run.check()

    def start(self, group: Group, /) -> None:
        """Begins to run the programs of a group, all that are to be run."""
        if self.run is None or self.reference(group.sample) is None:
            return
        for rollout in group.rollouts:
            if strategy_of(rollout.text) is Strategy.CODE:
                self.run.start(rollout.text)

    def reference(self, sample: Sample) -> Table | None:
        """The table that a completion is compared with; None where this part does not apply."""
        if not self.everywhere and right_way(sample) is not Strategy.CODE:
            return None
        return gold_table(sample.id, sample.meta.get("csv_gt"))

    def of_table(self, table: Table | None, reference: Table) -> float:
        """The same arithmetic for a table from elsewhere, such as one found by running."""
        return 0.0 if table is None else self.accuracy(table, reference)


def chart_format_reward(
    rollout: Rollout,
    sample: Sample,
    /,
) -> float:
    """1 where there is a complete box with something in it, else 0."""
    return 1.0 if parse_boxed(rollout.text).verdict is Verdict.OK else 0.0


def right_way(sample: Sample) -> Strategy | None:
    """The way that the sample's label calls for; None without a label."""
    label = sample.meta.get("programmable")
    if label is None or label == "":
        return None
    if not isinstance(label, str) or label not in WAYS:
        raise DataError(
            f'sample "{sample.id}": programmable is {label!r}, wanted high or low.'
            f"{nearest(str(label), WAYS)}"
        )
    return WAYS[label]


def gold_answers(sample: Sample) -> tuple[str, ...]:
    """The accepted answers of a sample as texts; a number or a text, or several."""
    target = sample.target
    listed = isinstance(target, list | tuple)
    golds = tuple(_text(gold) for gold in (target if listed else (target,)))
    if not golds or not all(golds):
        raise DataError(
            f'the target of sample "{sample.id}" (task "{sample.task}") should be a short answer, '
            f"a number or a text, or a list of such; it is {target!r:.80}"
        )
    return golds


def same_answer(answer: str, gold: str, relative: float) -> bool:
    """Whether an answer is the reference, as number where the reference is one, else as text."""
    wanted = number_of_text(gold)
    if wanted is None:
        return normal_text(answer) == normal_text(gold)
    number = number_of_text(answer)
    number = parse_number(answer) if number is None else number
    if number is None:
        return False
    return within(number, wanted, 0.0 if _is_year(gold, wanted) else relative)


def answer_tolerance(sample: Sample, default: float) -> float:
    """The sample's own tolerance, else `default`."""
    own = sample.meta.get("tolerance")
    if own is None:
        return default
    if isinstance(own, bool) or not isinstance(own, int | float) or not 0.0 <= own < 1.0:
        raise DataError(f'sample "{sample.id}": tolerance is {own!r}, wanted a number in [0, 1)')
    return float(own)


def _text(value: object) -> str:
    """A finite number or a text that is not blank; "" for anything else."""
    if isinstance(value, str):
        return value.strip() if normal_text(value) else ""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return ""
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(value)


def _is_year(gold: str, number: float) -> bool:
    return gold.strip().isdecimal() and number in _YEARS


chart_answer_reward = ChartAnswer()
chart_decision_reward = ChartDecision()
chart_data_reward = ChartData()
