"""Verdicts on pairs, scores behind them, texts with labels exchanged or verdicts removed."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrl.parse.pairs import relabelled, without_verdict
from mmrl.parse.verdicts import PairVerdict, parse_pair_scores, parse_verdict, verdict_text


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("A", ("", 0)),
        ("(B)", ("", 1)),
        ("b.", ("", 1)),
        ("The answer is B", ("", 1)),
        ("C", None),
        ("A or B", None),
        ("Image 1 is better", ("image", 0)),
        ("**Answer 2 is better.**", ("answer", 1)),
        ("video 2 is  better", ("video", 1)),
        ("Response 1 is better", ("response", 0)),
        ("Image 3 is better", None),
        ("Image 12 is better", None),
        ("Overall, Image 1 is better", None),
        ("Image 1 is better than Image 2", None),
        ("Image 1 is better, or Image 2 is better", None),
        ("", None),
    ],
)
def test_only_a_verdict_is_a_verdict(text, verdict):
    assert parse_verdict(text) == (None if verdict is None else PairVerdict(*verdict))


@pytest.mark.parametrize("noun", ["", "image", "video", "answer", "response"])
@pytest.mark.parametrize("better", [0, 1])
def test_a_verdict_in_words_reads_back(noun, better):
    assert parse_verdict(verdict_text(PairVerdict(noun, better))) == (noun, better)


CARD = """1. Semantic consistency: Image 1 (9/10) - all there; Image 2 (6/10) - no dog
2. Aesthetics: Image 1 (7.5/10); Image 2 (8/10)
Total score:
Image 1: 9+7.5=16.5
Image 2: 14"""


def test_scores_are_read_from_numbered_lines_and_totals():
    scores = parse_pair_scores(CARD)
    assert scores is not None
    assert scores.dimensions == (("Semantic consistency", 9, 6), ("Aesthetics", 7.5, 8))
    assert scores.totals == (16.5, 14)
    assert scores.sums == ((9, 7.5), ())


@pytest.mark.parametrize(
    ("text", "num_dimensions", "totals"),
    [
        ("1. a: Image 1 (2/10); Image 2 (9/10)\nTotal score:\nImage 1: 2\nImage 2: 9", 1, (2, 9)),
        ("Total score:\nImage 1: 20\nImage 2: 20", 0, (20, 20)),
        ("1. a: Image 1 (11/10); Image 2 (9/10)\nTotal score:\nImage 1: 2\nImage 2: 9", 0, (2, 9)),
        ("1. a: Image 1 (1/10); Image 1 (9/10)", None, None),
        ("1. a: Image 1 (1/10); Image 2 (9/10)\nTotal score: Image 1: 1+, Image 2: 9", 1, None),
        ("1. a: Image 1 (1/10); Image 2 (9/10)", 1, None),
        ("nothing", None, None),
        ("Total score:\nImage 1: 1+2", None, None),  # a sum without its total
    ],
)
def test_what_is_missing_is_missing(text, num_dimensions, totals):
    scores = parse_pair_scores(text)
    assert (scores is None) is (num_dimensions is None)
    if scores is not None:
        assert (len(scores.dimensions), scores.totals) == (num_dimensions, totals)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("A: red square. B: blue circle", "A: blue circle. B: red square"),
        ("A: red square. B: blue circle. So B.", "A: blue circle. B: red square. So A."),
        ("A red square is in B", "A red square is in A"),
        ("B has it; A does not", "A has it; B does not"),
        ("the second picture, not picture 1", "the first picture, not picture 2"),
        ("Second one, of 2 things", "First one, of 2 things"),
        ("a: Image 1 (9/10); Image 2 (4/10)", "a: Image 1 (4/10); Image 2 (9/10)"),
        ("Image 1: 9\nImage 2: 4", "Image 1: 4\nImage 2: 9"),
        ("images 12 and ABBA", "images 12 and ABBA"),
        ("", ""),
    ],
)
def test_labels_are_exchanged(text, other):
    assert relabelled(text) == other
    assert relabelled(other) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("A: red. B: blue. So B wins.", "A: red. B: blue."),
        ("A: red. Therefore, the answer is A", "A: red."),
        ("Image 2 is clearly better. It has a dog.", "It has a dog."),
        ("I prefer the second image! Its sky is blue.", "Its sky is blue."),
        ("A: red. B: blue\nHence B", "A: red. B: blue"),
        ("Image 1 is sharper. I choose a dog.", "Image 1 is sharper. I choose a dog."),
        ("A fits", ""),
        ("B is not the better one", ""),  # says it too
        ("1.5 of A: red", "1.5 of A: red"),
    ],
)
def test_sentences_with_the_verdict_are_taken_out(text, left):
    assert without_verdict(text) == left


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="AB12 image.:;(/10)+=\nsoisbetter", max_size=200))
def test_any_text_is_read_without_an_exception(text):
    parse_verdict(text)
    parse_pair_scores(text)
    assert len(without_verdict(text)) <= len(text)
    relabelled(text)


@pytest.mark.parametrize(
    "parser",
    [parse_verdict, parse_pair_scores, relabelled, without_verdict],
    ids=lambda p: p.__name__,
)
def test_hostile_text_costs_linear_time(parser):
    seeds = ["A", "A: ", "A: x. B: y", "image 1 ", "image 2", "Image 1: 9+", "a: Image 1 (9/10); ",
             "9+", "so ", "the answer is ", "Image 2 is ", "total score", ". ", ";", "first one ",
             " ", "\n", "a:", "Image 1 (9/10)", "Image 2: 1=", "the "]  # fmt: skip
    slowest = 0.0
    for seed in seeds:
        for text in ((seed * 100_000)[:100_000], "x" + (seed * 100_000)[:100_000] + "x"):
            start = time.process_time()
            parser(text)
            slowest = max(slowest, time.process_time() - start)
    assert slowest < 1.0  # about 0.1 s
