"""Spans, letters, numbers and texts of answers."""

import math

import pytest

from mmrl.parse.choices import parse_choice
from mmrl.parse.spans import parse_span, parse_spans, span_iou
from mmrl.parse.values import normal_text, parse_number, same_number


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("[1.5, 3.2]", (1.5, 3.2)),
        ("[1.5,3.2]", (1.5, 3.2)),
        ("1.5s to 3.2s", (1.5, 3.2)),
        ("from 3 seconds to 4.5 seconds", (3.0, 4.5)),
        ("1.5 - 3.2", (1.5, 3.2)),
        ("5-10", (5.0, 10.0)),
        ("2 and 4", (2.0, 4.0)),
        ("<1.5–2.5>", (1.5, 2.5)),
        ("01:20 - 01:35", (80.0, 95.0)),
        ("1:02:03.5, 1:02:09", (3723.5, 3729.0)),
        ("00:00 to 00:07.5", (0.0, 7.5)),
        ("[1,2] or [3,4]", (3.0, 4.0)),
        ("[9, 3]", (9.0, 3.0)),
        ("", None),
        ("12", None),
        ("-5, 10", None),
        ("1:75 - 2:00", None),
        ("a to b", None),
        ("1.5", None),
    ],
)
def test_span_forms(text, span):
    assert parse_span(text) == span


def test_every_span_is_found_once():
    assert parse_spans("[1, 2], [3, 4]") == [(1.0, 2.0), (3.0, 4.0)]


def test_span_overlap_by_hand():
    assert span_iou((0.0, 4.0), (2.0, 6.0)) == pytest.approx(2 / 6)
    assert span_iou((0.0, 4.0), (0.0, 4.0)) == 1.0
    assert span_iou((0.0, 1.0), (1.0, 2.0)) == 0.0


@pytest.mark.parametrize(
    "bad", [(3.0, 1.0), (1.0, 1.0), (0.0, math.inf), (-1.0, 2.0), (math.nan, 2.0)]
)
def test_improper_spans_overlap_with_nothing(bad):
    assert span_iou(bad, (0.0, 2.0)) == span_iou((0.0, 2.0), bad) == span_iou(bad, bad) == 0.0


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        ("b", "B"),
        ("(b)", "B"),
        ("[C]", "C"),
        ("B.", "B"),
        ("**B**", "B"),
        ("B) a cat", "B"),
        ("(B) a cat", "B"),
        ("B. A cat", "B"),
        ("\\boxed{C}", "C"),
        ("The answer is D", "D"),
        ("answer: (D)", "D"),
        ("option B is right", "B"),
        ("", None),
        ("A or B", None),
        ("A) or B)", None),
        ("answer is A or B", None),
        ("option A, option B", None),
        ("A. x B. y", None),
        ("A cat", None),
        ("AB", None),
        ("F", None),
        ("5", None),
        ("Because", None),
        ("the answer is Apple", None),
    ],
)
def test_letters_and_hedges(text, letter):
    assert parse_choice(text, num_options=5) == letter


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("42", 42.0),
        (" -3.5 ", -3.5),
        ("−4", -4.0),
        ("+7", 7.0),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("3.", 3.0),
        ("0", 0.0),
        ("1,234,567.5", 1234567.5),
        ("$12", 12.0),
        ("50%", 50.0),
        ("3 cm", 3.0),
        ("1/2", 0.5),
        ("the answer is 7.", 7.0),
        ("", None),
        ("none", None),
        ("1 2", None),
        ("12 of 20", None),
        ("3-4", None),
        ("12,34", None),
        ("1/0", None),
        ("v2", None),
        ("inf", None),
        ("nan", None),
        ("1e999", None),
        ("9" * 5000, None),
        (r"$\frac{1}{2}$", 0.5),
        (r"-\dfrac{ 3 }{ 8 }", -0.375),
        (r"5\text{ cm}", 5.0),
        (r"30^\circ", 30.0),
        (r"$\frac{\pi}{4}$", None),
        (r"$\sqrt{5}$", None),
        (r"2\pi", None),
        ("x^2", None),
    ],
)
def test_numbers_and_hedges(text, number):
    assert parse_number(text) == number


def test_only_zero_equals_zero():
    assert same_number(0.0, 0.0) and same_number(0.0, -0.0)
    assert not same_number(0.0, 1e-12)
    assert same_number(1e6, 1e6 + 0.5) and not same_number(1e6, 1e6 + 2)


@pytest.mark.parametrize(
    ("text", "normal"),
    [('  "The  Cat." ', "the cat"), ("ﬁsh", "fish"), ("STRASSE", "strasse"), ("...", "")],
)
def test_texts_made_comparable(text, normal):
    assert normal_text(text) == normal
