"""Routes out of answers, names that are compared, lines as data sets write them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrl.parse.lines import Track, find_line, line_key, read_lines, stop_key
from mmrl.parse.routes import (
    Leg,
    compact_text,
    parse_map_answer,
    parse_route,
    route_span,
    route_text,
)
from mmrl.types import Verdict

TWO_LEGS = (Leg("Line 1", "A", "C"), Leg("Red Line", "C", "F"))
BLOCKS = """Route Name: Line 1
Departure Stop: A
Arrival Stop: C
--
Route Name: Red Line
Departure Stop: C
Arrival Stop: F"""
NAME = st.text("abcdefgh XYZéß站1", min_size=1, max_size=12).filter(
    lambda s: s == s.strip() and s.casefold() not in ("none", "no")
)
LEGS = st.lists(st.builds(Leg, NAME, NAME, NAME), min_size=1, max_size=5).map(tuple)


def test_blocks_and_the_short_form_give_the_same_legs():
    assert parse_route(BLOCKS) == TWO_LEGS
    assert parse_route("Line 1: A > C; Red Line: C > F") == TWO_LEGS
    assert parse_route("Line 1: A → C\nRed Line:C->F") == TWO_LEGS


@settings(max_examples=200, deadline=None)
@given(LEGS)
def test_a_written_route_reads_back(route):
    assert parse_route(route_text(route)) == route
    assert parse_route(compact_text(route)) == route


@settings(max_examples=200, deadline=None)
@given(NAME, st.one_of(st.none(), st.lists(NAME, max_size=4).map(tuple)), st.integers(0, 9999))
def test_stops_passed_read_back(name, via, count):
    route = (Leg(name, name, name, via, count),)
    assert parse_route(route_text(route)) == route


@pytest.mark.parametrize(
    "text",
    [
        BLOCKS.upper(),
        BLOCKS.replace("\n--\n", "\n\n-------\n\n"),
        BLOCKS.replace("Name: ", "Name:  ").replace("\n", "  \n"),
        "**Route Name:** **Line 1**\n- Departure Stop: A\n- *Arrival Stop*: C\n" + BLOCKS[54:],
        "Take this:\n" + BLOCKS + "\nThat is all.",
    ],
)
def test_forgiven_writing(text):
    legs = parse_route(text)
    assert legs is not None
    assert [leg.departure.upper() for leg in legs] == ["A", "C"]
    assert [leg.arrival for leg in legs] == ["C", "F"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A to F",
        "red: A",
        "red A > C",
        ": A > C",
        "red: A > ; blue: C > F",
        "Route Name: 1\nDeparture Stop: A",
        "Route Name: 1\nDeparture Stop: A\nArrival Stop:",
        "Departure Stop: A\nArrival Stop: C\nRoute Name: 1",
        "Route Name: 1\nDeparture Stop: A\nDeparture Stop: B\nArrival Stop: C",
        "Route Name: 1\nDeparture Stop: A\nArrival Stop: C\nNumber of Via Stops: some",
        "Route Name: 1\nDeparture Stop: A\nArrival Stop: " + "C" * 121,
        "Route Name: 1\nDeparture Stop: A\nArrival Stop: C\nVia Stops: " + "B" * 121,
        "\n--\n".join([BLOCKS] * 33),
    ],
)
def test_what_is_no_route(text):
    assert parse_route(text) is None


def test_via_of_both_forms():
    legs = parse_route("Route Name: 1\nDeparture Stop: A\nArrival Stop: B\nVia Stops: None")
    assert legs == (Leg("1", "A", "B", ()),)
    assert parse_route("1: A > B > C") == (Leg("1", "A", "C", ("B",)),)
    assert parse_route("1: A > B") == (Leg("1", "A", "B", None),)


def test_the_last_route_of_a_completion_is_its_answer():
    text = f"First I thought\n{BLOCKS}\nbut better:\n{BLOCKS[:52]}\n"
    span = route_span(text)
    assert span is not None
    assert text[slice(*span)] == BLOCKS[:52].rstrip()
    parsed = parse_map_answer(text)
    assert parsed.verdict is Verdict.OK
    assert parse_route(parsed.answer or "") == TWO_LEGS[:1]


@pytest.mark.parametrize(
    ("text", "answer", "verdict"),
    [
        (r"so \boxed{yes} or \boxed{no}", "no", Verdict.OK),
        (r"\boxed{\text{Yes}}", "Yes", Verdict.OK),
        ("<think>x</think><answer>3</answer>", "3", Verdict.OK),
        ("The answer is yes? No: the answer is no. Thanks", "no", Verdict.NO_ANSWER),
        ("the final answer is: 12", "12", Verdict.NO_ANSWER),
        (" no. ", "no", Verdict.NO_ANSWER),
        ("there are 3 lines", None, Verdict.NO_ANSWER),
        ("", None, Verdict.NO_ANSWER),
        (f"\\boxed{{2}} changes:\n{BLOCKS}", BLOCKS, Verdict.OK),  # the last one counts
        (f"{BLOCKS}\nso \\boxed{{2}}", "2", Verdict.OK),
    ],
)
def test_answers_without_tags(text, answer, verdict):
    parsed = parse_map_answer(text)
    assert (parsed.answer, parsed.verdict) == (answer, verdict)
    if parsed.answer is not None and parsed.answer_span is not None and "\\" not in text:
        assert text[slice(*parsed.answer_span)] == answer


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Woodlands Station (Transfer Station)", "woodlands"),
        ("王府井站（换乘站）", "王府井"),
        ("O'Neil station", "ONeil"),
        ("Univ. of Tech", "University of Technology"),
        ("Kings-Cross St. Pancras", "Kings Cross St Pancras"),
        ("Nanjing Road", "Nanjing Lu"),
    ],
)
def test_stops_that_are_one(one, other):
    assert stop_key(one) == stop_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Roadhouse", "luhouse"), ("Technology", "Technologynology"), ("A", "B"), ("站", "")],
)
def test_stops_that_differ(one, other):
    assert stop_key(one) != stop_key(other)


def test_lines_are_found_by_what_a_reader_would_write():
    lines = read_lines({"Line 1": ["A", "B"], "Red Line": ["B", "C"], "线": ["D", "E"]})
    assert [line_key(n) for n in ("RED LINE", "**red**", "Line 1")] == ["red", "red", "1"]
    assert find_line(lines, "1") is lines["1"]
    assert find_line(lines, "八通线") is lines["1"]
    assert find_line(lines, "Line 2") is None


def test_rides_of_a_course_a_loop_and_a_branch():
    course = Track(("a", "b", "c", "d"))
    assert course.rides("a", "d") == (("b", "c"),)
    assert course.rides("d", "a") == (("c", "b"),)
    assert course.rides("a", "a") == () == course.rides("a", "x")
    loop = Track(("a", "b", "c", "d"), is_loop=True)
    assert loop.rides("a", "c") == (("b",), ("d",))
    assert loop.rides("d", "a") == ((), ("c", "b"))
    one_way = Track(("a", "b", "c", "d"), is_loop=True, one_way=True)
    assert one_way.rides("c", "a") == (("d",),)
    assert Track(("a", "b"), one_way=True).rides("b", "a") == ()
    branch = read_lines({"L": [["a", "b", "c"], ["a", "b", "d"]]})["l"]
    assert branch.rides("a", "d") == (("b",),)
    assert branch.rides("c", "d") == ()
    assert branch.stops == ("a", "b", "c", "d")


def test_a_name_that_comes_again_is_served_at_both_places():
    track = Track(("a", "b", "c", "b", "d"))  # as New York's line R with its two "36 St"
    assert track.rides("a", "b") == ((), ("b", "c"))
    assert track.rides("b", "d") == (("c", "b"), ())
    assert track.rides("c", "b") == ((), ())
    assert Track(("a", "b", "c", "b"), one_way=True).rides("c", "b") == ((),)
    assert read_lines({"R": ["a", "b", "c", "b", "d"]})["r"].stops == ("a", "b", "c", "d")


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from("abcdef"), min_size=2, max_size=8), st.booleans(), st.booleans(),
       st.sampled_from("abcdefg"), st.sampled_from("abcdefg"))  # fmt: skip
def test_served_is_where_a_ride_exists(stops, is_loop, one_way, start, end):
    track = Track(tuple(stops), is_loop, one_way)
    assert track.serves(start, end) is bool(track.rides(start, end))


def test_a_course_that_comes_back_is_a_loop():
    assert read_lines({"4": ["a", "b", "c", "a"]})["4"].tracks == (Track(("a", "b", "c"), True),)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "should map line names"),
        ({}, "should map line names"),
        ({"": ["a", "b"]}, "is not one"),
        ({"x": ["a"]}, "needs two stops"),
        ({"x": ["a", "A", "b"]}, "none twice in a row"),
        ({"x": ["a", "b", "c", "c", "a"]}, "none twice in a row"),
        ({"x": ["a", 3]}, "should be a list of names"),
        ({"x": [["a", "?!"]]}, "without a name"),
        ({"x": 3}, "should be a list of names"),
        ({"Red": ["a", "b"], "red line": ["a", "c"]}, "cannot be told apart"),
    ],
)
def test_lines_that_are_none(value, words):
    with pytest.raises(ValueError, match=words):
        read_lines(value)


@pytest.mark.parametrize(
    "seed",
    ["-", "*", "> ", "(", "a(", "route name:", "Route Name: a\n", ":", "a:b>c;", "\\boxed{", "\n",
     "the answer is ", "<answer>", ">", " ", "answer is  ", "a ", "_", "via stops: a\n"],
)  # fmt: skip
def test_hostile_text_costs_linear_time(seed):
    body = (seed * 100_000)[:100_000]
    start = time.process_time()
    for text in (body, body + "x", "Route Name: " + body, "red: " + body):
        parse_map_answer(text)
        parse_route(text)
        route_span(text)
    assert time.process_time() - start < 2.0
