"""Options in texts: found, put in another order, relabelled, masked, implied."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrl.parse.choices import parse_choices
from mmrl.parse.options import (
    LETTERS,
    derangement,
    implied_option,
    letter_mentions,
    masked,
    new_letter,
    option_spans,
    relabelled,
    relisted,
    stem_of,
)

FOUR = ("red", "blue", "green", "light blue")


@pytest.mark.parametrize("size", [2, 3, 4, 7, 26])
def test_a_derangement_moves_every_place(size: int) -> None:
    for seed in range(50):
        order = derangement(size, seed)
        assert sorted(order) == list(range(size))
        assert all(place != option for place, option in enumerate(order))


def test_derangements_of_four_are_nine_and_equally_likely() -> None:
    counts = Counter(derangement(4, seed) for seed in range(1800))
    assert len(counts) == 9
    assert min(counts.values()) > 150 and max(counts.values()) < 250  # 200 each, sd 13


@pytest.mark.parametrize("size", [0, 1])
def test_one_option_cannot_be_deranged(size: int) -> None:
    with pytest.raises(ValueError, match="no permutation"):
        derangement(size, 0)


@pytest.mark.parametrize(
    ("question", "want"),
    [
        ("which: A red B blue C green D light blue", "which: A blue B red C light blue D green"),
        ("A. red\nB. blue\nC. green\nD. light blue", "A. blue\nB. red\nC. light blue\nD. green"),
        ("(A) red,(B) blue,(C) green,(D) light blue", "(A) blue,(B) red,(C) light blue,(D) green"),
        ("A) red B) blue C) green D) light blue", "A) blue B) red C) light blue D) green"),
        # the question itself names an option; the last list counts
        ("A red? A red B blue C green D light blue", "A red? A blue B red C light blue D green"),
    ],
)  # fmt: skip
def test_options_change_places_and_letters_stay(question: str, want: str) -> None:
    assert relisted(question, FOUR, (1, 0, 3, 2)) == want


@pytest.mark.parametrize(
    "question",
    [
        "which colour is it?",
        "A red B blue C green",  # one is missing
        "A redder B blue C green D light blue",
        "A blue B red C green D light blue",  # another order
        "",
    ],
)
def test_a_question_without_its_list_is_not_guessed_at(question: str) -> None:
    assert option_spans(question, FOUR) is None
    assert relisted(question, FOUR, (1, 0, 3, 2)) is None
    assert stem_of(question, FOUR) is None


def test_no_options_and_blank_options_have_no_list() -> None:
    assert option_spans("A red", ()) is None
    assert option_spans("A  B blue", ("", "blue")) is None


def test_a_shorter_order_takes_the_first_places() -> None:
    assert relisted("q A. red\nB. blue\nC. green\nD. light blue", FOUR, (3, 1)) == (
        "q A. light blue\nB. blue"
    )
    assert stem_of("q A. red\nB. blue\nC. green\nD. light blue", FOUR) == "q "


WORDS = st.text(st.sampled_from("abcdefgh .*(?$\\"), min_size=1, max_size=8).map(str.strip)


@settings(max_examples=200, deadline=None)
@given(st.lists(WORDS.filter(bool), min_size=2, max_size=6), st.randoms(use_true_random=False))
def test_any_options_are_found_again_after_a_derangement(options, rng) -> None:
    question = "why?\n" + "\n".join(f"{LETTERS[i]}. {o}" for i, o in enumerate(options))
    if option_spans(question, options) is None:  # a text that ends like the next label begins
        return
    order = derangement(len(options), rng.randint(0, 999))
    changed = relisted(question, options, order)
    assert changed is not None
    new = [options[o] for o in order]
    assert changed == "why?\n" + "\n".join(f"{LETTERS[i]}. {o}" for i, o in enumerate(new))
    for place, old in enumerate(order):
        assert new_letter(LETTERS[old], order) == LETTERS[place]


# order (1, 0, 3, 2): A <-> B, C <-> D
@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("so the answer is B.", "so the answer is A."),
        ("Option C fits; options A and D do not", "Option D fits; options B and C do not"),
        ("It is (B), not (A).", "It is (A), not (B)."),
        ("\\boxed{D}", "\\boxed{C}"),
        ("A. red is wrong\nB) is right", "B. red is wrong\nA) is right"),
        ("I see a ring, so B", "I see a ring, so A"),
        # no option is named: figures, articles, words, letters beyond the options
        ("In triangle ABC the angle A = 30 and I think a Big one.", None),
        ("A man walks. E is far", None),
        ("answer is E", None),
        ("red circle", None),
        ("the answer is a red thing", None),
        ("", None),
    ],
)
def test_letters_are_relabelled_where_they_name_an_option(text: str, want: str | None) -> None:
    changed = relabelled(text, FOUR, (1, 0, 3, 2))
    assert changed == (text if want is None else want)
    assert relabelled(changed, FOUR, (1, 0, 3, 2)) == text  # that order undoes itself
    hidden = masked(text, FOUR)
    assert (hidden == text) == (want is None)
    assert letter_mentions(hidden, FOUR) == []


def test_a_letter_before_its_own_option_names_it_but_an_article_does_not() -> None:
    order = (1, 0, 3, 2)
    assert relabelled("A red thing? It is B blue.", FOUR, order) == "A red thing? It is A blue."
    assert relabelled("not A. red; B: blue", FOUR, order) == "not B. red; A: blue"
    assert relabelled("B red", FOUR, order) == "B red"


def test_a_last_letter_that_is_an_options_text_is_left_alone() -> None:
    letters = ("K", "B", "A", "X")
    assert relabelled("it looks like B", letters, (1, 0, 3, 2)) == "it looks like B"
    assert relabelled("option B", letters, (1, 0, 3, 2)) == "option A"


def test_relabelling_costs_linear_time() -> None:
    rng = random.Random(0)
    text = " ".join(
        rng.choice(["answer is B", "(C)", "A red", "the", "option A and"]) for _ in range(20_000)
    )
    assert len(relabelled(text, FOUR, (1, 2, 3, 0))) == len(text)
    for piece in ("(", "option ", "A ", " ", "answer is A, "):
        relabelled(piece * (100_000 // len(piece)), FOUR, (1, 2, 3, 0))


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("I see blue", 1),
        ("red, no: it is GREEN", 2),
        ("it is light blue", 3),  # the longer of two that end together
        ("light blue or blue? the answer is A", 0),
        ("the answer is A. But no, green", 2),
        ("reddish bluer", None),
        ("nothing named", None),
        ("", None),
    ],
)
def test_the_option_named_last_is_implied(text: str, want: int | None) -> None:
    assert implied_option(text, FOUR) == want


def test_single_capitals_are_options_as_they_are_written() -> None:
    assert implied_option("a K", ("A", "K")) == 1
    assert implied_option("a k", ("A", "K")) is None


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("A,C", "AC"),
        ("A, C", "AC"),
        ("(A),(C)", "AC"),
        ("a; c", "AC"),
        ("A and C", "AC"),
        ("A, B, and C.", "ABC"),
        ("A C", "AC"),
        ("A/C", "AC"),
        ("A,A", "A"),
        ("A,", "A"),
        ("B. a cat", "B"),
        ("the answer is D", "D"),
        ("AC", None),
        ("A or C", None),
        ("A,cat", None),
        ("", None),
        (",;", None),
        ("and", None),
    ],
)
def test_letters_of_an_answer(text: str, want: str | None) -> None:
    assert parse_choices(text) == (None if want is None else frozenset(want))


def test_a_letter_beyond_the_options_spoils_the_list() -> None:
    assert parse_choices("A,D", 3) is None and parse_choices("A,C", 3) == frozenset("AC")
