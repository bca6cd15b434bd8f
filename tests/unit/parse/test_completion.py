"""Tags: the last complete answer by offsets, and a verdict on everything malformed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrl.parse.completion import parse_completion
from mmrl.types import Verdict

T, A = "<think>so</think>", "<answer>5</answer>"


@pytest.mark.parametrize(
    ("text", "verdict", "answer"),
    [
        (T + A, Verdict.OK, "5"),
        (f" \n{T}\n\n{A}\n", Verdict.OK, "5"),
        ("", Verdict.NO_ANSWER, None),
        ("5", Verdict.NO_ANSWER, None),
        (T, Verdict.NO_ANSWER, None),
        (T + "<answer> \n</answer>", Verdict.NO_ANSWER, ""),
        (T + "</answer>", Verdict.NO_ANSWER, None),
        ("<think></think>" + A, Verdict.NO_REASONING, "5"),
        (A, Verdict.NO_REASONING, "5"),
        (T + A + A, Verdict.REPEATED_TAG, "5"),
        (T + T + A, Verdict.REPEATED_TAG, "5"),
        (T + A + "<answer>6</answer>", Verdict.REPEATED_TAG, "6"),
        (T + "<answer>5", Verdict.UNCLOSED_TAG, None),
        (T + A + "<answer>6", Verdict.UNCLOSED_TAG, "5"),
        (T + "<answer>4<answer>5</answer>", Verdict.UNCLOSED_TAG, "5"),
        ("<think>so" + A, Verdict.UNCLOSED_TAG, "5"),
        (A + T, Verdict.WRONG_ORDER, None),
        ("<answer>" + T + "5</answer>", Verdict.WRONG_ORDER, None),
        ("<think>so<answer>5</think></answer>", Verdict.WRONG_ORDER, None),
        (T + "well " + A, Verdict.EXTRA_TEXT, "5"),
        ("Sure! " + T + A, Verdict.EXTRA_TEXT, "5"),
        (T + A + "!", Verdict.EXTRA_TEXT, "5"),
        (T + "</think>" + A, Verdict.EXTRA_TEXT, "5"),
        ("<THINK>so</THINK><ANSWER>5</ANSWER>", Verdict.NO_ANSWER, None),
        ("<think>so</think><answer >5</answer>", Verdict.NO_ANSWER, None),
    ],
)
def test_verdict_and_answer(text, verdict, answer):
    parsed = parse_completion(text)
    assert (parsed.verdict, parsed.answer) == (verdict, answer)


def test_an_answer_inside_the_reasoning_is_not_the_answer():
    parsed = parse_completion("<think>maybe <answer>4</answer> no</think><answer>5</answer>")
    assert parsed.answer == "5"
    assert parsed.verdict is Verdict.REPEATED_TAG


def test_offsets_cut_the_text_that_was_parsed():
    text = "<think> a </think> <answer> [1,2] </answer>"
    parsed = parse_completion(text)
    assert text[slice(*parsed.answer_span)] == " [1,2] "
    assert text[slice(*parsed.reasoning_span)] == " a "
    assert parsed.answer == "[1,2]"


PIECES = ["<think>", "</think>", "<answer>", "</answer>", "5", " ", "x", "<", "</", "<answer"]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_any_text_has_a_verdict_and_ok_means_one_shape(text):
    parsed = parse_completion(text)
    if parsed.answer is not None:
        start, end = parsed.answer_span
        assert text[start:end].strip() == parsed.answer
        assert text[:start].endswith("<answer>") and text[end:].startswith("</answer>")
        assert "<answer>" not in text[start:end]
    if parsed.verdict is Verdict.OK:
        rebuilt = f"<think>{parsed.reasoning}</think><answer>{parsed.answer}</answer>"
        assert "".join(text.split()) == "".join(rebuilt.split())
        assert parsed.answer and parsed.reasoning
