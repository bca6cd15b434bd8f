"""YAML reading: scalars, lines, refusals."""

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrl.config.yaml import MAX_DEPTH, dump_yaml, load_yaml, parse_scalar, parse_yaml
from mmrl.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-6", 1e-6),
        ("5E-7", 5e-7),
        ("-2.5e3", -2500.0),
        (".5", 0.5),
        ("3.", 3.0),
        ("1e6", 1_000_000),
        ("12", 12),
        ("-3", -3),
        ("0x10", 16),
        ("0o17", 15),
        ("010", 10),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("", None),
        (".inf", math.inf),
        ("-.INF", -math.inf),
    ],
)
def test_scalars_that_are_values(text: str, value: object) -> None:
    read = parse_scalar(text)
    assert read == value
    assert type(read) is type(value)
    assert parse_yaml(f"key: {text}")[0]["key"] == value


@pytest.mark.parametrize(
    "text",
    ["no", "yes", "on", "off", "NO", "y", "n", "1:30", "2024-01-02", "1_000", "e5", "1e", ".", "="],
)
def test_scalars_that_stay_text(text: str) -> None:
    assert parse_scalar(text) == text
    assert parse_yaml(f"key: {text}")[0] == {"key": text}


def test_huge_exponent_is_a_float_not_an_endless_integer() -> None:
    assert parse_scalar("1e300") == 1e300
    assert isinstance(parse_scalar("1e300"), float)
    assert parse_scalar("1e999") == math.inf


def test_keys_are_text_whatever_they_look_like() -> None:
    assert parse_yaml("no: 1\n2: 2\ntrue: 3\n~: 4")[0] == {"no": 1, "2": 2, "true": 3, "~": 4}


def test_every_key_knows_its_line() -> None:
    text = "a: 1\n# note\nb:\n  c: 2\n  d:\n    - x\n    - {e: 3,\n       f: 4}\n"
    data, lines = parse_yaml(text)
    assert data == {"a": 1, "b": {"c": 2, "d": ["x", {"e": 3, "f": 4}]}}
    assert lines == {
        "": 1,
        "a": 1,
        "b": 3,
        "b.c": 4,
        "b.d": 5,
        "b.d.0": 6,
        "b.d.1": 7,
        "b.d.1.e": 7,
        "b.d.1.f": 8,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", r'x\.yaml:3: key "a" is given twice, first in line 1'),
        ("a: {b: 1, b: 2}", r'key "b" is given twice'),
        ("a: !!python/object/apply:os.getcwd []", r"x\.yaml:1: the tag .*builds an object"),
        ("a: !thing 5", r"the tag '!thing' builds an object"),
        ("a: &m {b: 1}\nc:\n  <<: *m", r'x\.yaml:3: the merge key "<<" is not read'),
        ("? [a, b]\n: 1", r"a key is a text"),
        ("a: [1, 2", r"x\.yaml:1: not YAML"),
        ("a: 1\n--- \nb: 2", r"not YAML: but found another document"),
        ("a: *nowhere", r"undefined alias"),
        ("a: &a [*a]", r"too large or endless"),
        ("a: " + "[" * 500 + "]" * 500, rf"nested deeper than {MAX_DEPTH} levels"),
    ],
)
def test_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_yaml(text, name="x.yaml")


def test_alias_bomb_is_refused_before_it_unfolds() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for i in range(1, 10):
        lines.append(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]")
    with pytest.raises(ConfigError, match="too large"):
        parse_yaml("\n".join(lines))


def test_small_aliases_are_read() -> None:
    assert parse_yaml("a: &a [1, 2]\nb: *a")[0] == {"a": [1, 2], "b": [1, 2]}


def test_files(tmp_path: Path) -> None:
    (tmp_path / "quickstart.yaml").write_bytes("\ufeffname: Ä\n".encode())
    assert load_yaml(tmp_path / "quickstart.yaml")[0] == {"name": "Ä"}
    with pytest.raises(ConfigError, match=r'no such file\. Did you mean "quickstart\.yaml"'):
        load_yaml(tmp_path / "quikstart.yaml")
    with pytest.raises(ConfigError, match="is not a folder"):
        load_yaml(tmp_path / "no" / "x.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"name: \xc4")
    with pytest.raises(ConfigError, match=r"not UTF-8 text \(byte 6\)"):
        load_yaml(tmp_path / "latin.yaml")
    (tmp_path / "big.yaml").write_bytes(b"#" * (4 * 2**20 + 1))
    with pytest.raises(ConfigError, match="at most"):
        load_yaml(tmp_path / "big.yaml")


_leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False)
    | st.sampled_from(["no", "1e-6", "", "null", "true", "<answer>", "a: b", "0x1", " x ", "1_0"])
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12)
)


@settings(deadline=None, max_examples=60)
@given(
    st.recursive(
        _leaves,
        lambda v: (
            st.lists(v, max_size=3)
            | st.dictionaries(st.text("abno1.e-6", min_size=1, max_size=5), v, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_dump_reads_back_equal(data: object) -> None:
    assert parse_yaml(dump_yaml(data))[0] == data
