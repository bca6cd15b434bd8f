"""Rewards by kind of answer, by hand."""

from __future__ import annotations

import time

import pytest
from builders import a_sample, answered

from mmrl.errors import DataError
from mmrl.parse.words import LONGEST, rouge, word_error_rate, words_of
from mmrl.rewards.answer_kinds import (
    KINDS,
    answer_kind_reward,
    gold_of_kind,
    near_number_reward,
    rouge_reward,
    rounded_number_reward,
    transcript_reward,
)
from mmrl.rewards.choice import choices_exact_reward, choices_f1_reward, choices_reward


@pytest.mark.parametrize(
    ("said", "reference", "want"),
    [
        ("the cat sat", "the cat sat", 0.0),
        ("", "the cat sat", 1.0),
        ("the sat", "the cat sat", 1 / 3),  # one deletion
        ("the fat cat sat", "the cat sat", 1 / 3),  # one insertion
        ("the dog sat", "the cat sat", 1 / 3),  # one substitution
        ("sat cat the", "the cat sat", 2 / 3),  # cat stays
        ("The cat sat", "the cat sat", 1 / 3),  # in their own case
        ("a b c d", "x", 4.0),
    ],
)
def test_word_error_rate(said: str, reference: str, want: float) -> None:
    assert word_error_rate(said, reference) == pytest.approx(want)


def test_a_reference_without_words_has_no_error_rate() -> None:
    with pytest.raises(ValueError, match="no words"):
        word_error_rate("a", "  ")


@pytest.mark.parametrize(
    ("said", "reference", "want"),
    [
        ("a red car", "a red car", 1.0),
        ("blue", "blue", 1.0),  # no pairs of words: ROUGE-2 is left out
        ("Blue!", "blue", 1.0),
        ("голубой кот", "голубой кот", 1.0),
        # words 2/3 and 2/4 in common: 4/7; no pair; longest in order is one: 2/7
        ("the car is red", "a red car", (4 / 7 + 0 + 2 / 7) / 3),
        # one word against two: 2/3, pairs 0 of 1, in order 2/3
        ("red", "red car", (2 / 3 + 0 + 2 / 3) / 3),
        ("red red red", "red", (2 / 4 + 0 + 2 / 4) / 3),
        ("", "a", 0.0),
        ("?!", "a", 0.0),
    ],
)
def test_rouge(said: str, reference: str, want: float) -> None:
    assert rouge(said, reference) == pytest.approx(want)


def test_long_answers_cost_little() -> None:
    start = time.process_time()
    assert word_error_rate("a " * 50_000, "b " * 30) > 1.0
    assert rouge("a " * 50_000, "b " * 30) == 0.0
    assert len(words_of("a " * 10)) == 10 and LONGEST >= 1000
    assert time.process_time() - start < 1.0


@pytest.mark.parametrize(
    ("answer", "gold", "want"),
    [
        ("3.14159", "3.14", 1.0),
        ("3.145", "3.14", 0.0),  # rounds to 3.15
        ("42", 42, 1.0),
        ("1e300", "1e300", 1.0),
        ("12 or 13", "12", 0.0),
        ("", "0", 0.0),
    ],
)
def test_numbers_at_two_decimals(answer: str, gold: object, want: float) -> None:
    assert rounded_number_reward(answered(answer), a_sample(gold)) == want


@pytest.mark.parametrize(
    ("answer", "gold", "want"),
    [
        ("10", "10", 1.0),
        ("9", "10", 0.9),
        ("15", "10", 0.5),
        ("-5", "-10", 0.5),
        ("20", "10", 0.0),
        ("0", "0", 1.0),
        ("0.001", "0", 0.0),
        ("1e308", "-1e308", 0.0),
        ("many", "10", 0.0),
    ],
)
def test_relative_error(answer: str, gold: object, want: float) -> None:
    assert near_number_reward(answered(answer), a_sample(gold)) == pytest.approx(want)


def test_transcripts_and_free_text() -> None:
    assert transcript_reward(answered("hello word"), a_sample("hello world")) == 0.5
    assert transcript_reward(answered("a b c"), a_sample("x")) == 0.0
    assert rouge_reward(answered("red"), a_sample("Red.")) == 1.0


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("gold", [None, "", "   ", [], 7.5j])
def test_references_of_no_kind_are_data_errors(kind: str, gold: object) -> None:
    with pytest.raises(DataError, match='sample "s1"'):
        answer_kind_reward(answered("7"), a_sample(gold, problem_type=kind))


@pytest.mark.parametrize("kind", [None, "ocr", 3, "multiple-choice"])
def test_an_unknown_kind_names_the_nearest(kind: object) -> None:
    with pytest.raises(DataError, match='meta\\["problem_type"\\] = '):
        answer_kind_reward(answered("7"), a_sample("7", problem_type=kind))


@pytest.mark.parametrize(
    ("kind", "gold", "want"),
    [
        ("multiple choice", "(b)", "B"),
        ("numerical", "1,000", "1000"),
        ("regression", 2.5, "2.5"),
        ("OCR", " Hello world ", "Hello world"),
        ("free-form", "a cat", "a cat"),
    ],
)
def test_gold_of_each_kind_earns_the_maximum(kind: str, gold: object, want: str) -> None:
    sample = a_sample(gold, problem_type=kind)
    assert gold_of_kind(sample) == want
    assert answer_kind_reward(answered(want), sample) == 1.0


@pytest.mark.parametrize(
    ("answer", "soft", "exact", "f1"),
    [
        ("A,C", 1.0, 1.0, 1.0),
        ("C", 0.5, 0.0, 2 / 3),
        ("A,B", 0.0, 0.0, 0.5),  # a wrong one spoils the soft reward, not F1
        ("A,B,C", 0.0, 0.0, 0.8),
        ("B", 0.0, 0.0, 0.0),
        ("", 0.0, 0.0, 0.0),
        ("AC", 0.0, 0.0, 0.0),
    ],
)
def test_several_letters(answer: str, soft: float, exact: float, f1: float) -> None:
    rollout, sample = answered(answer), a_sample("A,C")
    assert choices_reward(rollout, sample) == soft
    assert choices_exact_reward(rollout, sample) == exact
    assert choices_f1_reward(rollout, sample) == pytest.approx(f1)
