"""The data part of chart rewards by running the program: what running finds and what it refuses."""

from __future__ import annotations

import gc
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest
from builders import CLOCK, a_rollout, a_sample

from mmrl.errors import ConfigError, SandboxError
from mmrl.rewards import programs
from mmrl.rewards.builtin import CHART_DATA, FORMAT
from mmrl.rewards.charts import ChartAnswer, ChartData
from mmrl.rewards.programs import RunPrograms, close_sandboxes
from mmrl.roles import Reward
from mmrl.sandbox import walls
from mmrl.sandbox.result import Limits
from mmrl.sandbox.walls import Wall, missing_walls
from mmrl.tasks.base import TASKS
from mmrl.train.rewards import with_settings
from mmrl.train.score import Scorer
from mmrl.types import Group, Sample

CSV = "year,sales\n2019,10\n2020,20\n2021,30"
RUN = RunPrograms(limits=Limits(cpu_s=1, wall_s=1.5), workers=1)
RAN = ChartData(run=RUN)


@pytest.fixture(scope="module", autouse=True)
def sandbox() -> Iterator[None]:
    if missing_walls():
        pytest.skip(f"no isolation here: {dict(missing_walls())}")
    yield
    close_sandboxes()
    assert not programs._OPEN


def chart(label: str = "high") -> Sample:
    return a_sample("12", programmable=label, csv_gt=CSV)


def code(program: str) -> str:
    return f"<CODE>\n```python\n{program}\n```\n\\boxed{{12}}"


@pytest.mark.parametrize(
    ("program", "read", "run"),
    [
        # what its text tells
        ("chart_data = pd.DataFrame({'year': [2019, 2020, 2021], 'sales': [10, 20, 30]})", 1, 1),
        # what only running tells
        ("rows = [(2019 + i, 10 * (i + 1)) for i in range(3)]\n"
         "chart_data = pd.DataFrame(rows, columns=['year', 'sales'])", 0, 1),
        ("chart_data = pd.DataFrame({'year': [2019, 2020, 2021]})\n"
         "chart_data['sales'] = np.arange(1, 4) * 10", 0.2 / 2 + 0.1 + 0.7, 1),
        ("d = {'year': [2019, 2020]}\nd['year'].append(2021)\nd['sales'] = [10, 20, 30]\n"
         "chart_data = pd.DataFrame(d)\nraise ValueError('too late to matter')", None, 1),
        ("chart_data = pd.DataFrame({'sales': [10, 20, 30]}, index=pd.Index([2019, 2020, 2021], "
         "name='year'))", 0.2 / 2 + 0.1 + 0.7, 1),
        # what neither finds
        ("chart_data = [1, 2, 3]", 0, 0),
        ("while True: pass", 0, 0),
        ("import os\nos._exit(0)", 0, 0),
        ("import socket\nsocket.socket().connect(('127.0.0.1', 80))", 0, 0),
        ("chart_data = pd.DataFrame({'sales': range(1_000_000)})", 0, 0),
        ("x = 'a' * 10**12\nchart_data = pd.DataFrame({'year': [x]})", 0, 0),
        ("chart_data = pd.DataFrame({'year': [2019", 0, 0),
    ],
)  # fmt: skip
def test_what_reading_and_running_find(program: str, read: float | None, run: float) -> None:
    rollout = a_rollout(code(program))
    if read is not None:
        assert ChartData()(rollout, chart()) == pytest.approx(read)
    assert RAN(rollout, chart()) == pytest.approx(run)


@pytest.mark.parametrize("task", ["chart", "chart_brief"])
def test_gold_earns_the_maximum_by_running_too(task: str) -> None:
    spec = TASKS.get(task)
    assert spec.world is not None
    for index in range(12):
        level = ("tiny", "easy", "medium")[index % 3]
        sample = spec.world(index, split="val", seed=0, level=level, low=0.0)
        assert RAN(a_rollout(spec.gold(sample)), sample) == pytest.approx(1.0), spec.gold(sample)
        assert RAN(a_rollout(""), sample) == 0.0


def test_only_programs_that_count_are_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(self: RunPrograms, text: str) -> None:
        raise AssertionError(f"ran {text!r}")

    monkeypatch.setattr(RunPrograms, "start", never)
    monkeypatch.setattr(RunPrograms, "frame", never)
    direct, program = a_rollout("<DIRECT> ```python\nx\n```"), a_rollout(code("x = 1"))
    assert RAN(direct, chart()) == 0.0
    assert RAN(program, chart("low")) is None
    RAN.start(group(chart(), [direct.text]))
    RAN.start(group(chart("low"), [program.text]))
    assert ChartData()(program, chart()) == 0.0
    with pytest.raises(AssertionError, match="ran"):
        RAN.start(group(chart(), [program.text]))


def group(sample: Sample, texts: list[str]) -> Group:
    return Group(draw_id="0.0", sample=sample, rollouts=tuple(a_rollout(t) for t in texts))


def test_equal_programs_run_once_and_a_group_runs_side_by_side() -> None:
    slow = ChartData(run=RunPrograms(limits=Limits(wall_s=5.0), workers=4))
    texts = [code(f"import time; time.sleep(0.8)\nx = {i % 4}") for i in range(8)]
    slow.start(group(chart(), [code("x = 0")]))  # the warm parents start
    for text in texts[:4]:
        slow.run.frame(text.replace("0.8", "0.0"))  # type: ignore[union-attr]
    start = time.monotonic()
    slow.start(group(chart(), texts))
    values = [slow(a_rollout(text), chart()) for text in (*texts, *texts)]
    took = time.monotonic() - start
    assert values == [0.0] * 16
    assert took < 8.0  # 16 one after another: 12.8 s; 4 programs on 4 workers: 0.8 s


def test_the_scorer_starts_a_groups_programs_before_it_asks() -> None:
    seen: list[str] = []

    class Told:
        def start(self, group: Group, /) -> None:
            seen.extend(f"start {r.text}" for r in group.rollouts)

        def __call__(self, rollout: Any, *rest: Any) -> float:
            seen.append(f"ask {rollout.text}")
            return 1.0

    rewards = {"chart": [Reward(name="told", fn=Told()), FORMAT]}
    scorer = Scorer(rewards=rewards, bonuses=(), combine=lambda parts, *_: sum(parts.values()))
    sample = replace(chart(), task="chart")
    groups = [group(sample, ["a", "b"]), group(sample, ["c"])]
    scored = scorer(groups, CLOCK)
    assert seen == ["start a", "start b", "start c", "ask a", "ask b", "ask c"]
    assert [s.parts["told"] for s in scored] == [(1.0, 1.0), (1.0,)]


def test_after_closing_a_new_sandbox_is_opened() -> None:
    program = a_rollout(code("chart_data = pd.DataFrame({'year': [2019, 2020, 2021]})"))
    first = RAN(program, chart())
    close_sandboxes()
    close_sandboxes()
    assert not programs._OPEN
    assert RAN(program, chart()) == first == pytest.approx(0.2 / 2 + 0.1 + 0.7)


@pytest.fixture
def _interruptible() -> Iterator[None]:
    """Python's own answer to SIGINT, which a shell's background jobs are started to ignore.

    Without collections: hypothesis leaves a callback of theirs that swallows an interrupt.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.disable()
    yield
    gc.enable()
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interruptible")
def test_an_interrupt_while_a_program_runs_leaves_a_sandbox_that_works() -> None:
    main = threading.main_thread().ident
    assert main is not None
    RUN.frame(code("x = 1"))
    presser = threading.Timer(0.7, signal.pthread_kill, (main, signal.SIGINT))
    presser.start()
    with pytest.raises(KeyboardInterrupt):
        RUN.frame(code("import time; time.sleep(30)"))
    table = RUN.frame(code("chart_data = DataFrame({'a': [1]})"))
    assert table is not None and table.columns == ("a",)
    close_sandboxes()


def test_a_missing_wall_is_refused_unless_the_recipe_does_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lacking = MappingProxyType({Wall.LANDLOCK: "Function not implemented"})
    monkeypatch.setattr(walls, "missing_walls", lambda: lacking)
    with pytest.raises(
        ConfigError,
        match=r"(?s)chart_data.*landlock: Function not implemented.*without=\['landlock'\]",
    ):
        with_settings(CHART_DATA, {"run": {}})
    made = with_settings(CHART_DATA, {"run": {"without": ["landlock"]}})
    assert isinstance(made.fn, ChartData) and made.fn.run is not None
    assert made.fn.run.without == ("landlock",)
    assert with_settings(CHART_DATA, {}) == CHART_DATA  # reading needs no isolation
    with pytest.raises(SandboxError, match="landlock"):
        ChartData(run=RunPrograms())(a_rollout(code("x = 1")), chart())


def test_settings_reach_the_function() -> None:
    made = with_settings(
        CHART_DATA,
        {"everywhere": True, "run": {"workers": 3, "limits": {"wall_s": 2, "memory_mb": 64}}},
    )
    assert made.fn == ChartData(
        everywhere=True, run=RunPrograms(workers=3, limits=Limits(wall_s=2.0, memory_mb=64))
    )
    assert made.weight == 0.15 and made.name == "chart_data"
    loose = with_settings(Reward(name="answer", fn=ChartAnswer()), {"relative": 0.05})
    assert loose.fn == ChartAnswer(relative=0.05)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rum": {}}, r'no setting "kwargs\.rum".*Did you mean "run"'),
        ({"run": {"limit": {}}}, r'"kwargs\.run\.limit".*Did you mean "limits"'),
        ({"run": {"limits": {"wall": 1}}}, r'"kwargs\.run\.limits\.wall".*Did you mean "wall_s"'),
        ({"run": {"limits": {"wall_s": -1}}}, "wanted wall_s > 0"),
        ({"run": {"limits": {"wall_s": "soon"}}}, r"kwargs\.run\S*\.limits\.wall_s.*got 'soon'"),
        ({"run": {"without": ["wall"]}}, 'no wall "wall"'),
        ({"run": {"workers": 0}}, "workers >= 1"),
        ({"run": 3}, r"kwargs\.run.*got 3"),
        ({"accuracy": {"align": "kay"}}, "'row' or 'key'"),
    ],
)
def test_settings_that_do_not_fit_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        with_settings(CHART_DATA, settings)


def test_a_reward_without_settings_takes_none() -> None:
    with pytest.raises(ConfigError, match='reward "format" has no settings'):
        with_settings(FORMAT, {"strict": True})
