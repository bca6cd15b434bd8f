"""What holds for every registered reward, over the samples of every task that uses it."""

from __future__ import annotations

import inspect
import math
import re
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judging import (
    ANY_ANSWER,
    EVIDENCE,
    FORMS,
    WHOLE_TEXT,
    WITHOUT_GOLD,
    Case,
    cases_of,
    evidence_of,
    names,
    samples_of,
)

from mmrl.errors import MmrlError
from mmrl.parse.boxes import Box, parse_boxes
from mmrl.rewards.builtin import REWARDS
from mmrl.tasks.base import TASKS
from mmrl.tasks.drawing import number_text

EXAMPLES = settings(max_examples=200, deadline=None, derandomize=True, database=None)
HOSTILE = [
    "<think>", "</think>", "<answer>", "</answer>", "<answer", "< answer>", "<ANSWER>", "\\boxed{",
    "}", "{", "<CODE>", "<DIRECT>", "```python\n", "\n```", "chart_data = pd.DataFrame({'a': [",
    "]})", "[", "]", ",", "(", ")", "nan", "inf", "-inf", "-", "+", "1", "0", "9" * 400, "1e999",
    "1e308", "-1e308", ".", ":", ";", " ", "\n", "\t", "[0,0,1e308,1e308]", "[5,5,1,1]",
    "[0,0,0,0]", "[-9,-9,-1,-1]", "[nan,nan,nan,nan]", "[1,2,3,4]", "[[1,2,3,4]]", "[1,2,3]",
    "(1,2)", "A", "B.", "yes", "no", "to", "red", "red: A > B", ">", "--", "Route Name: x\n",
    "click", "count", '{"a": 1}', "bbox_2d", "\x00", "\ud800", "\u202e", "é", "１", "½", "[[[[",
    "\\frac{1}{0}", "%", "$", "\r\n", "null", "True", "__import__('os')",
]  # fmt: skip
PIECE = st.one_of(
    st.sampled_from(HOSTILE),
    st.integers(0, 10**6),  # a piece of the gold completion
    st.floats().map(repr),
    st.text(max_size=8),
)
PIECES = st.lists(PIECE, max_size=12)
_TOKENS = re.compile(r"\w+|\s+|.", re.DOTALL)


def text_of(pieces: list[object], case: Case, inside: bool) -> str:
    tokens = _TOKENS.findall(case.gold)
    text = "".join(tokens[p % len(tokens)] if isinstance(p, int) else str(p) for p in pieces)
    return FORMS[case.task.parse].one_of_each.format(text) if inside else text


def pick(name: str, number: int) -> Case:
    cases = cases_of(name)
    return cases[number % len(cases)]


def test_every_reward_is_used_by_a_task_whose_samples_are_known() -> None:
    for name in names():
        assert cases_of(name), (
            f'no samples for reward "{name}": no task with a world (or with rows in judging.ROWS) '
            "has it among its rewards. Add it to a task, a task that it can judge to judging.ALSO, "
            "or samples of its own to judging.MADE"
        )
        for need in REWARDS.get(name).needs:
            assert need in EVIDENCE, f'reward "{name}" needs {need}: say in judging.EVIDENCE how'


@pytest.mark.parametrize("name", TASKS.names())
def test_every_task_says_its_rewards_and_form(name: str) -> None:
    task = TASKS.get(name)
    assert task.parse in FORMS, f'task "{name}": add its parser to judging.FORMS'
    for reward in task.rewards:
        assert reward.name in REWARDS, f'task "{name}": register its reward "{reward.name}"'
    parameters = _options(task.world)
    for option in ("level", "difficulty"):
        if option in parameters:
            assert all(option in given for given in task.levels.values()), (
                f'task "{name}": its world has the option {option}; give the task '
                f'levels=levels_of("{option}", NAMES)'
            )


def _options(world: Callable[..., object] | None) -> set[str]:
    return set() if world is None else set(inspect.signature(world).parameters)


@pytest.mark.parametrize("name", names())
def test_gold_earns_the_maximum_and_an_empty_completion_the_minimum(name: str) -> None:
    low, high = REWARDS.get(name).bounds
    applied = 0
    for case in cases_of(name):
        if case.reward.needs:
            continue
        got = case.value(case.gold)
        assert got is None or got == pytest.approx(high), (case.sample, case.gold)
        applied += got is not None
        assert case.value("") in (None, low), case.sample
        assert case.value(" \n") in (None, low), case.sample
    assert applied or REWARDS.get(name).needs, (
        f'reward "{name}" scores no sample: add options to judging.MORE or rows to judging.ROWS'
    )


@pytest.mark.parametrize("name", sorted(set(names()) - set(ANY_ANSWER)))
def test_in_each_task_some_well_formed_wrong_answer_earns_less_than_gold(name: str) -> None:
    cases = cases_of(name)
    if REWARDS.get(name).needs:
        return
    high = REWARDS.get(name).bounds[1]
    for task in {case.task.name for case in cases}:
        mine = [case for case in cases if case.task.name == task]
        pairs = [case.value(other.gold) for case in mine for other in mine]
        earned = [got for got in pairs if got is not None]
        assert not earned or min(earned) < high - 1e-6, (
            f"{task}: every gold answer of another sample earns {high}"
        )


@pytest.mark.parametrize("name", names())
def test_gold_cut_short_surrounded_and_repeated(name: str) -> None:
    low = REWARDS.get(name).bounds[0]

    @EXAMPLES
    @given(st.integers(0, 10**6), st.integers(0, 10**6), st.text(max_size=20), st.data())
    def check(number: int, cut: int, junk: str, data: st.DataObject) -> None:
        case = pick(name, number)
        evidence = data.draw(evidence_of(case)) if case.reward.needs else {}
        form, gold = FORMS[case.task.parse], case.gold

        def value(text: str) -> float | None:
            return case.value(text, evidence)

        whole = value(gold)
        assert value(gold) == whole  # the same rollout, the same reward
        empty = value("")
        assert empty in (None, low)
        short = gold[: cut % len(gold)]
        got = value(short)
        if name not in WHOLE_TEXT and case.task.parse(short).answer is None:
            assert got in (None, low), short
        other = pick(name, number + 1 + cut)
        if other.task is case.task and empty is not None:
            wrong = value(other.gold)
            assert wrong is None or wrong >= empty
        if name in WHOLE_TEXT:
            return
        answer = case.task.parse(gold).answer or ""
        said_wrong, said_right = (form.open + text + form.close for text in ("zz not this", answer))
        wrong = value(form.one_of_each.format("zz not this"))
        assert value(gold + said_wrong) == wrong, "the last complete answer counts"
        assert value(gold + said_wrong + "\n" + said_right) == whole, "the last complete counts"
        assert value(gold + form.open + "zz not this") == whole, "an answer without end is none"
        plain = re.sub(r"[<>\\{}]", "", junk)
        assert value(gold + plain) == whole
        if form.prefix:
            assert value(plain + gold) == whole
            hidden = gold.replace("<think>", "").replace("</think>", "")
            assert value(f"<think>{hidden}</think>") in (None, low), "reasoning is no answer"
            assert value(f"<think>{hidden}</think>{form.open}{form.close}") in (None, low)

    check()


@pytest.mark.parametrize("name", names())
def test_any_text_earns_a_number_inside_the_bounds(name: str) -> None:
    @EXAMPLES
    @given(st.integers(0, 10**6), PIECES, st.booleans(), st.data())
    def check(number: int, pieces: list[object], inside: bool, data: st.DataObject) -> None:
        case = pick(name, number)
        evidence = data.draw(evidence_of(case)) if case.reward.needs else {}
        text = text_of(pieces, case, inside)
        got = case.value(text, evidence)  # raises where it is out of bounds or not finite
        assert got == case.value(text, evidence)

    check()


NUMBERS = re.compile(r"\d+(?:\.\d+)?")
EXTREME = [
    "nan", "NaN", "inf", "-inf", "Infinity", "-Infinity", "1e308", "-1e308", "1e999", "-1", "-0",
    "0", "0.0", "9" * 400, "9" * 5000, "1e-320", "0x10", "1_0", "１", "½", "", "None", "null",
    "True", "[]", "[0]", "'7'", '"7"', "1+1j", "10**9",
]  # fmt: skip


@pytest.mark.parametrize("name", names())
def test_gold_with_extreme_numbers_in_it(name: str) -> None:
    extreme = st.lists(st.sampled_from([None, *EXTREME]), min_size=1, max_size=6)

    @EXAMPLES
    @given(st.integers(0, 10**6), extreme, st.booleans(), st.data())
    def check(number: int, new: list[str | None], turned: bool, data: st.DataObject) -> None:
        case = pick(name, number)
        evidence = data.draw(evidence_of(case)) if case.reward.needs else {}
        numbers = iter(range(10**6))

        def other(found: re.Match[str]) -> str:
            put = new[next(numbers) % len(new)]
            return found[0] if put is None else put

        text = NUMBERS.sub(other, case.gold)
        if turned:
            text = text.replace('"', "'")
        case.value(text, evidence)  # raises where it is out of bounds or not finite

    check()


def improper(box: Box) -> list[str]:
    """The box inverted, flat, without end and without numbers."""
    x1, y1, x2, y2 = box
    made = [(x2, y1, x1, y2), (x1, y2, x2, y1), (x1, y1, x1, y2), (x1, y1, x2, y1), (x1,) * 4]
    written = [",".join(map(number_text, each)) for each in made]
    written += [f"{number_text(x1)},{number_text(y1)},1e999,{number_text(y2)}", "nan,nan,nan,nan"]
    written += ["-1e999,-1e999,1e999,1e999", f"1e308,{number_text(y1)},-1e308,{number_text(y2)}"]
    return written


@pytest.mark.parametrize("name", names())
def test_improper_boxes_earn_the_minimum(name: str) -> None:
    low = REWARDS.get(name).bounds[0]
    for case in cases_of(name):
        answer = case.task.parse(case.gold).answer or ""
        boxes = parse_boxes(answer)
        if not boxes or case.reward.needs or name in set(WHOLE_TEXT) - {"box_format"}:
            continue
        for k in range(len(improper(boxes[0]))):
            each = iter(boxes)
            text = _FOUR.sub(lambda _: f"[{improper(next(each))[k]}]", case.gold)  # noqa: B023
            assert text != case.gold
            assert case.value(text) in (None, low), text


_FOUR = re.compile(r"\[[^\[\],]*(?:,[^\[\],]*){3}\]")


BROKEN = [
    None,
    "",
    "   ",
    [],
    {},
    [1, 2, 3],
    math.nan,
    object(),
    [[]],
    [None],
    {"a": 1},
    -1.5,
    b"x",
]


@pytest.mark.parametrize("name", names())
def test_broken_gold_is_an_error_in_words_and_never_a_reward(name: str) -> None:
    for case in cases_of(name)[:24]:
        if case.reward.needs:
            continue
        applies = case.value(case.gold) is not None
        for target in BROKEN:
            broken = case._replace(sample=replace(case.sample, target=target))
            _only_words(broken)
        for key in case.sample.meta:
            for value in BROKEN:
                meta = {**case.sample.meta, key: value}
                _only_words(case._replace(sample=replace(case.sample, meta=meta)))
        if applies and name not in WITHOUT_GOLD:
            bare = replace(case.sample, meta={})
            got = [_judged(case._replace(sample=x)) for x in (bare, replace(bare, target=object()))]
            assert None in got, f'"{name}" reads no gold: say why in judging.WITHOUT_GOLD'


def _judged(case: Case) -> float | None:
    """The reward of the gold completion; None where it cannot score or says that gold is broken."""
    try:
        return case.value(case.gold)
    except MmrlError:
        return None


def _only_words(broken: Case) -> None:
    """A MmrlError that names the sample, or a number inside the bounds."""
    try:
        got = broken.value(broken.gold)
    except MmrlError as error:
        assert broken.sample.id in str(error), error
    else:
        assert got is None or math.isfinite(got)


def many(case: Case) -> list[str]:
    """100 kB each of what a parser may choke on."""
    form = FORMS[case.task.parse]
    answer = case.task.parse(case.gold).answer or "x"
    seeds = [
        "<think>", "<answer>", "</answer>", "<answer></answer>", "[", "[1,2,3,4]", "[1,2,3,4],",
        "[1,2],", "\\boxed{", "{", "\\boxed{1}", "1", "1 ", " ", "a ", "\n", "(1,", "red: A > B; ",
        "A > ", "```python\n", "chart_data = 1\n", "-", "é", answer + " ", answer + "\n", case.gold,
    ]  # fmt: skip
    texts = []
    for seed in seeds:
        body = seed * (SIZE_BIG // len(seed))
        texts += [body, form.one_of_each.format(body)]
    return texts


SIZE_BIG = 100_000
ENOUGH = 0.2
"""Seconds of processor time for 100 kB: linear reading takes a tenth, quadratic minutes."""


@pytest.mark.parametrize("name", names())
def test_a_hundred_kilobytes_cost_little(name: str) -> None:
    seen: set[str] = set()
    for case in cases_of(name):
        if case.task.name in seen or case.reward.needs:
            continue
        seen.add(case.task.name)
        for text in many(case)[len(seen) - 1 :: len(seen) ** 2]:
            took = _seconds(case, text)
            if took > ENOUGH:  # another process in the way, or is it the text?
                took = min(_seconds(case, text) for _ in range(3))
                quarter = min(_seconds(case, text[: len(text) // 4]) for _ in range(3))
                linear = took <= 8 * quarter and took <= 5 * ENOUGH
                assert took <= ENOUGH or linear, (case.task.name, text[:60], took)


def _seconds(case: Case, text: str) -> float:
    start = time.process_time()
    case.value(text)
    return time.process_time() - start


def test_samples_of_a_task_are_met_in_turn() -> None:
    assert len({case.task.name for case in cases_of("format")[:20]}) >= 10
    assert len(samples_of("plain_text")) == 4
