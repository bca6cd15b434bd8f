"""100 kB of hostile text costs every parser linear time: ten times the text, no hundred times."""

import time

import pytest

from mmrl.parse.boxes import parse_boxes
from mmrl.parse.choices import parse_choice
from mmrl.parse.completion import parse_completion
from mmrl.parse.fenced import parse_fenced
from mmrl.parse.objects import parse_things
from mmrl.parse.points import parse_points
from mmrl.parse.spans import parse_spans
from mmrl.parse.values import normal_text, parse_number

PARSERS = [
    parse_points,
    parse_things,
    parse_fenced,
    parse_boxes,
    parse_spans,
    parse_choice,
    parse_number,
    normal_text,
    parse_completion,
]
SEEDS = [
    "1", "[", "[1,", "(1,2),", "((", "1,", "1.", "1:", "1 ", "1s ", " ", "[1 ", "1e", "-", "A)",
    "(A ", "answer is ", "<think>", "</", "<answer>", "[1,2,3,", "1,111", "1/", "1 to ", "1:1",
    "1:11:", "a", "1e1", "\\boxed{", ".", "[1.1.1", " \n", "$", "+", "[1,2,3,4", "0:00", "--1",
]  # fmt: skip
SIZE = 100_000


@pytest.mark.parametrize("parser", PARSERS, ids=lambda p: p.__name__)
def test_linear_time(parser):
    slowest = 0.0
    for seed in SEEDS:
        body = (seed * SIZE)[:SIZE]
        for text in (body, body + "x", "[" + body, "1" + body + "]"):
            start = time.process_time()
            parser(text)
            slowest = max(slowest, time.process_time() - start)
    assert slowest < 1.0  # about 0.05 s; quadratic would take minutes
