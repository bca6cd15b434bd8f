"""Control characters are shown, never obeyed."""

import sys
import unicodedata

import pytest

from mmrl.parse.visible import safe_html, visible, visible_line

ACTING = {"Cc", "Cf", "Cs", "Zl", "Zp"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("plain text, <b>", "plain text, <b>"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("bell \x07", "bell «BEL»"),
        ("\x00", "«NUL»"),
        ("over\rwritten", "over«CR»written"),
        ("\x1b[2J\x1b]0;title\x07", "«ESC»[2J«ESC»]0;title«BEL»"),
        ("\x7f", "«DEL»"),
        ("\x9b31m", "«U+009B»31m"),
        ("\u202egnp.exe", "«U+202E»gnp.exe"),
        ("zero\u200bwidth\ufeff", "zero«U+200B»width«U+FEFF»"),
        ("\u2028\u2029", "«U+2028»«U+2029»"),
        ("\ud83d", "«U+D83D»"),
        ("\U000e0041", "«U+E0041»"),
        ("größer 漢字 🙂 \u0301", "größer 漢字 🙂 \u0301"),
    ],
)
def test_what_acts_unseen_is_shown(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_no_acting_character_is_left_of_all_of_unicode() -> None:
    everything = "".join(map(chr, range(sys.maxunicode + 1)))
    shown = visible(everything)
    left = {c for c in shown if unicodedata.category(c) in ACTING}
    drawn = {c for c in left if "ARABIC" in unicodedata.name(c, "")}  # number signs with a glyph
    drawn |= {c for c in left if "KAITHI" in unicodedata.name(c, "")}
    assert left - drawn == {"\n", "\t"}
    assert len(drawn) < 16
    shown.encode("utf-8")


def test_showing_twice_changes_nothing_more() -> None:
    once = visible("\x1b\u202e\x85 text\n")
    assert visible(once) == once


def test_a_line_stays_one_line() -> None:
    assert visible_line("a\nb\tc\r") == "a«LF»b«HT»c«CR»"


def test_html_is_escaped_in_text_and_attributes() -> None:
    hostile = "\"><script>alert('1')</script>\x1b&"
    assert safe_html(hostile) == (
        "&quot;&gt;&lt;script&gt;alert(&#x27;1&#x27;)&lt;/script&gt;«ESC»&amp;"
    )
