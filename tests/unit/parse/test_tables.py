"""Tables read from CSV and off the text of programs; hostile programs end at once."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrl.errors import DataError
from mmrl.parse.code_tables import (
    programs_of,
    table_of_completion,
    table_of_plot,
    table_of_program,
)
from mmrl.parse.program import MAX_CODE
from mmrl.parse.tables import (
    Table,
    cell_of,
    csv_of_table,
    gold_table,
    number_of_text,
    same_cell,
    table_of_columns,
    table_of_csv,
)

AB = Table(("a", "b"), ((1.0, 2.0), ("x", "y")))


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("42", 42.0), (" -3.5 ", -3.5), ("1,234.5", 1234.5), ("$12", 12.0), ("-$3", -3.0),
        ("45%", 45.0), ("1e3", 1000.0), (".5", 0.5), ("−2", -2.0), ("0", 0.0),
        ("", None), ("Q1 2020", None), ("1,2", None), ("3 cm", None), ("1e999", None),
        ("nan", None), ("12 13", None), ("9" * 500, None), ("1/2", None),
    ],
)  # fmt: skip
def test_numbers_as_a_whole_text(text: str, number: float | None) -> None:
    assert number_of_text(text) == number


def test_cells() -> None:
    assert [cell_of(v) for v in (1, 2.5, "7", "x", "", "NaN", None, float("nan"), True)] == [
        1.0, 2.5, 7.0, "x", None, None, None, None, "True",
    ]  # fmt: skip
    assert cell_of(10**400) == float("inf")
    assert cell_of(-(10**400)) == float("-inf")


@pytest.mark.parametrize(
    ("cell", "reference", "same"),
    [
        (101.0, 100.0, True), (101.01, 100.0, False), (1.01, 1.0, True), (99.0, 100.0, True),
        (0.0, 0.0, True), (1e-9, 0.0, False), (-5.0, 5.0, False),
        ("North  Sea", "north sea", True), ("north", "south", False), ("5", 5.0, False),
        (None, None, True), (None, 0.0, False), (0.0, None, False), ("", None, False),
        (float("inf"), float("inf"), True), (float("inf"), 1.0, False), (1.0, float("inf"), False),
    ],
)  # fmt: skip
def test_cells_compare(cell: object, reference: object, same: bool) -> None:
    assert same_cell(cell, reference) is same  # type: ignore[arg-type]


def test_csv_both_ways() -> None:
    table = table_of_csv('name,"sales, net",share\nA,"1,200",45%\nB,-3,nan\n')
    assert table.columns == ("name", "sales, net", "share")
    assert table.rows() == (("A", 1200.0, 45.0), ("B", -3.0, None))
    assert table_of_csv(csv_of_table(table)) == table


CELL = st.one_of(
    st.none(), st.floats(-1e9, 1e9), st.text("abc xyz,\"'", min_size=1).map(str.strip).filter(bool)
)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 4), st.integers(1, 5), st.data())
def test_csv_round_trip(width: int, rows: int, data: st.DataObject) -> None:
    names = [f"c{i}" for i in range(width)]
    table = table_of_columns({n: [data.draw(CELL) for _ in range(rows)] for n in names})
    assert table_of_csv(csv_of_table(table)) == table


@pytest.mark.parametrize("text", ["", "a,b", "a,b\n1", "a\n1,2", "\n\n"])
def test_csv_that_is_no_table(text: str) -> None:
    with pytest.raises(ValueError, match="header"):
        table_of_csv(text)


def test_gold_tables() -> None:
    assert gold_table("s", None) is None and gold_table("s", "") is None
    assert gold_table("s", "a,b\n1,x\n2,y") == AB
    assert gold_table("s", {"a": [1, 2], "b": ["x", "y"]}) == AB
    assert gold_table("s", AB) is AB
    wide = {str(i): [1] for i in range(65)}
    long = {"a": range(10_001)}
    bad_ones = ("a,b", 7, {"a": [1], "b": [1, 2]}, {"a": 3}, Table(("a",), ((),)))
    for bad in (*bad_ones, {"a": "12"}, "a,a\n1,2", "a,b\r1,2\n3,4", wide, long):
        with pytest.raises(DataError, match='table of sample "s"'):
            gold_table("s", bad)


@pytest.mark.parametrize(
    "code",
    [
        "import pandas as pd\nchart_data = pd.DataFrame({'a': [1, 2], 'b': ['x', 'y']})",
        "chart_data = DataFrame(dict(a=(1, 2), b=['x', 'y']))",
        "chart_data = pandas.DataFrame(data={'a': [+1, 4 / 2], 'b': 'x y'.split()})",
        "chart_data = pd.DataFrame([[1, 'x'], [2, 'y']], columns=['a', 'b'])",
        "chart_data = pd.DataFrame([{'a': 1, 'b': 'x'}, {'a': 2, 'b': 'y'}])",
        "a = [1, 2]\nb = ['x'] + ['y']\nchart_data = pd.DataFrame({'a': a, 'b': b})",
        "a, b = [1, 2], ['x', 'y']\nchart_data = pd.DataFrame({'a': a, 'b': b})",
        "chart_data = pd.DataFrame(list(zip([1, 2], ['x', 'y'])), columns=['a', 'b'])",
        "chart_data = pd.DataFrame({'a': np.array(range(1, 3)), 'b': pd.Series(['x', 'y'])})",
        "chart_data = pd.DataFrame.from_dict({'a': [1, 2], 'b': ['x', 'y']}).copy()",
        'chart_data = pd.read_csv(io.StringIO("""a,b\n1,x\n2,y"""))',
        "df: object = pd.DataFrame({'a': [1, 2], 'b': ['x', 'y']})\nprint(df.a.sum())",
        "x = f()\nchart_data = pd.DataFrame({'a': [1, 2], 'b': ['x', 'y']})\ny = chart_data[x]",
        "chart_data = pd.DataFrame({'a': [9]})\n"
        "chart_data = pd.DataFrame({'a': [1, 2], 'b': ['x', 'y']})",
        "df = pd.DataFrame({'a': [9]})\nchart_data = pd.DataFrame({'a': [1, 2], 'b': ['x', 'y']})",
    ],
)
def test_programs_that_spell_a_table(code: str) -> None:
    assert table_of_program(code) == AB


@pytest.mark.parametrize(
    "code",
    [
        "",
        "x = 1",
        "chart_data = pd.DataFrame({'a': [1, 2], 'b': [1]})",
        "chart_data = pd.DataFrame({'a': f(1)})",
        "chart_data = pd.DataFrame({'a': [x for x in range(3)]})",
        "chart_data = pd.DataFrame({'a': [[1], [2]]})",
        "chart_data = pd.DataFrame({'a': [1, 2]}, ",
        "chart_data = pd.DataFrame()",
        "chart_data = pd.DataFrame({'a': 1})",
        "chart_data = pd.DataFrame([[1, 2], [3]], columns=['a', 'b'])",
        "chart_data = pd.DataFrame.from_dict({'a': [1, 2]}, orient='index')",
        "chart_data = pd.read_csv('/etc/passwd')",
        "one = pd.DataFrame({'a': [1]})\ntwo = pd.DataFrame({'a': [2]})",
        "def f():\n    chart_data = pd.DataFrame({'a': [1]})",
        "chart_data = pd.DataFrame({'a': [1 / 0]})",
        "chart_data = pd.DataFrame({'a': range(1000000000000)})",
        "chart_data = pd.DataFrame({'a': range(0, 5, 0)})",
        "chart_data = pd.DataFrame({'a': ['x' * 1000000000000]})",
        "chart_data = pd.DataFrame({'a': [0] * 1000000000000})",
        "chart_data = pd.DataFrame({**{'a': [1]}})",
        "chart_data = chart_data",
        "chart_data = __import__('os').getcwd()",
        "a = [1]\na.append(2)\nchart_data = pd.DataFrame({'a': a})",
        "a = [1]\na += [2]\nchart_data = pd.DataFrame({'a': a})",
        "a = {'a': [1]}\na.update(b=[2])\nchart_data = pd.DataFrame(a)",
        "chart_data = pd.read_csv(io.StringIO('a;b\\n1;2'), sep=';')",
        "chart_data = pd.read_csv(io.StringIO('a,b\\n1,2'), header=None)",
        "chart_data = pd.read_csv(io.StringIO('a,b\\r1,2\\n3,4'))",  # csv.Error is no ValueError
        "chart_data = pd.DataFrame([[1]], columns=[[1, 2]])",
    ],
)
def test_programs_that_do_not(code: str) -> None:
    assert table_of_program(code) is None


def test_a_lone_value_is_repeated_and_nan_is_missing() -> None:
    table = table_of_program("chart_data = pd.DataFrame({'a': [1, np.nan], 'b': 'k'})")
    assert table == Table(("a", "b"), ((1.0, None), ("k", "k")))
    assert table_of_program("chart_data = pd.DataFrame({'a': [float('nan'), None]})") == Table(
        ("a",), ((None, None),)
    )


def test_nothing_is_run(tmp_path) -> None:
    canary = tmp_path / "canary"
    code = f"chart_data = pd.DataFrame({{'a': [open({str(canary)!r}, 'w').write('x')]}})"
    assert table_of_program(code) is None
    assert not canary.exists()


def test_drawing_calls() -> None:
    code = (
        "x = ['A', 'B']\nplt.bar(x, [1, 2], label='north')\nax.bar(x, [3, 4])\n"
        "plt.plot(['C'], [9])\nplt.bar(x, f())\nplt.show()"
    )
    assert table_of_plot(code) == Table(("x", "north", "y2"), (("A", "B"), (1.0, 2.0), (3.0, 4.0)))
    pie = "plt.pie([30, 70], labels=['a', 'b'])"
    assert table_of_plot(pie) == Table(("x", "y"), (("a", "b"), (30.0, 70.0)))
    assert table_of_plot("plt.bar([1, 2], [1])") is None
    assert table_of_plot("plt.title('x')") is None


def test_programs_of_a_completion() -> None:
    text = "<CODE>\n```python\nx = 1\n```\nso\n```text\nno\n```\n```\ny = 2\n``` \\boxed{1}"
    assert programs_of(text) == ("x = 1\n", "y = 2\n")
    assert programs_of("<CODE>x = 1\\boxed{1}") == ("x = 1",)
    assert programs_of("<CODE>x = 1</CODE> so 5 \\boxed{1}") == ("x = 1",)
    assert programs_of("x = 1") == ()
    assert programs_of("<CODE>```python\nx = 1") == ("x = 1",)  # cut off
    assert programs_of("<CODE>x" + " " * (1 << 16)) == ()


def test_a_block_that_is_no_python_does_not_spoil_the_others() -> None:
    text = "```\n1 apple\n```\n```python\nchart_data = pd.DataFrame({'a': [1]})\n```"
    assert table_of_completion(text) == Table(("a",), ((1.0,),))
    split = "```python\nv = [1]\n```\n```python\nchart_data = pd.DataFrame({'a': v})\n```"
    assert table_of_completion(split) == Table(("a",), ((1.0,),))
    drawn = "```python\nplt.bar(['A'], [1])\n```"
    assert table_of_completion(drawn) is None
    assert table_of_completion(drawn, drawing_calls=True) is not None


DEEP = {
    "brackets": "[" * 5000 + "]" * 5000,
    "open": "chart_data = pd.DataFrame({" * 900,
    "braces": "{1:" * 5000,
    "minus": "x = " + "-" * 30_000 + "1",
    "not": "not " * 8000 + "x",
    "plus": "x = " + "1+" * 16_000 + "1",
    "attributes": "a" + ".a" * 16_000,
    "calls": "f" + "()" * 16_000,
    "lambdas": "lambda:" * 4600 + "1",
    "elif": "if 1:1\n" + "elif 1:1\n" * 3600,
    "decorators": "@a\n" * 10_900,
    "digits": "x = " + "9" * 32_000,
    "float": "x = 1e" + "9" * 32_000,
    "huge": "chart_data = pd.DataFrame({'a': [" + "9" * 4000 + "]})",
    "list": "chart_data = pd.DataFrame({'a': [" + "1," * 16_000 + "]})",
    "names": "chart_data = pd.DataFrame({" + ",".join(f"'{i}':[1]" for i in range(3000)) + "})",
    "doubling": "x = [1]\n" + "x = x + x\n" * 3000,
    "nesting": "x = [1]\n" + "x = [x, x]\n" * 2900 + "plt.bar(x, x)",
    "columns without end": "x = [1]\n" + "x = [x] * 10\n" * 30 + "pd.DataFrame([[1]], columns=[x])",
    "a row many times": "r = [0] * 5000\nchart_data = pd.DataFrame([r] * 9000)",
    "a record many times": "r = {" + ",".join(f"'{i}':1" for i in range(1500)) + "}\n"
    "chart_data = pd.DataFrame([r] * 9000)",
    "records without a common key": "chart_data = pd.DataFrame(["
    + ",".join(f"{{{i}:1}}" for i in range(3500))
    + "])",
    "zips": "x = list(range(5000))\n" + "y = list(zip(x, x, x, x))\n" * 1200,
    "splits": "x = '" + "a " * 8000 + "'\n" + "y = x.split()\n" * 1100,
    "times": "x = 9\n" + "x = x * x\n" * 3200,
    "nul": "x = '\0'",
    "surrogate": "x = '\ud800'",
    "unicode": "é = '名'\nchart_data = pd.DataFrame({'é': [é]})",
    "backslashes": "\\\n" * 16_000,
    "escapes": "x = '\\N{BOGUS}'",
    "warning": "x = '\\d' is 1",
    "long": "#" * (MAX_CODE + 1),
}


@pytest.mark.parametrize("name", sorted(DEEP))
def test_hostile_programs_end_at_once(name: str) -> None:
    start = time.process_time()
    found = (table_of_program(DEEP[name]), table_of_plot(DEEP[name]))
    assert time.process_time() - start < 2.0  # 0.2 s at most on a machine that does nothing else
    assert all(table is None or isinstance(table, Table) for table in found)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "chart_data", " = ", "pd.DataFrame(", "{", "}", "[", "]", ")", "'a'", ":", ",",
                "1", "-", "**", "\n", "    ", "x", "range(", "zip(", "=", "'", '"""', "np.nan",
                "lambda x:", "for ", "if ", "\x00", "é", "\\", "read_csv(", "StringIO(", "*",
                "10**9", "f'{", ".split(", "columns=", "data=", "None", "True", "1e999", "@",
            ]
        ),
        max_size=30,
    ).map("".join)
)  # fmt: skip
def test_any_text_is_a_table_or_none(code: str) -> None:
    for table in (table_of_program(code), table_of_plot(code), table_of_completion(code)):
        assert table is None or (table.num_rows >= 0 and len(table.columns) == len(table.cells))
