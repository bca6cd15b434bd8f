"""Warnings: each sign fires on a hand-made series, stays silent just under it, and in noise."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmrl.eval.signs import SIGNS
from mmrl.eval.trend import Trend, trend
from mmrl.eval.warnings import Alarms, alarms_of

NUM = 100


def steps(num: int = NUM, *, stage: str = "train", start: int = 0, **series: Any) -> list[dict]:
    """Step records; a series is a constant, a (from, to) line, or its values."""
    records = []
    for i in range(num):
        record: dict[str, Any] = {"kind": "step", "step": start + i, "stage": stage}
        for name, value in series.items():
            if isinstance(value, tuple):
                low, high = value
                value = low + (high - low) * i / (num - 1)
            elif not isinstance(value, int | float):
                value = value[i]
            record[name] = value
        records.append(record)
    return records


def plateau(first: float, last: float) -> list[float]:
    """The first half at one value, the second at the other."""
    return [first] * (NUM // 2) + [last] * (NUM // 2)


def late(value: float, num: int) -> list[float]:
    """Ones, and at the end so many of that value."""
    return [1.0] * (NUM - num) + [value] * num


def held_out(step: int, accuracy: float, half: float) -> dict[str, Any]:
    ends = [accuracy - half, accuracy + half]
    return {"kind": "eval", "step": step, "accuracy": accuracy, "accuracy_ci95": ends}


def names(records: list[dict]) -> list[str]:
    return [alarm.name for alarm in alarms_of(records)]


def test_a_trend_is_the_change_of_fifths_over_its_scatter() -> None:
    # fifths of 8, all -1,+1,+1,-1,-1,+1,+1,-1 about 0, the last about 3: variance 8/7 inside, so
    # σ >= 1.0690; of the differences 2,0,2,0,… the median is 0 or 2: of 39, 20 are 2 (the jump to
    # the last fifth is 3), σ = 2·1.4826/√2 = 2.0967
    # neighbours in a fifth: -1+1-1+1-1+1-1 = -1 of 8; (-1/8 + 1/8)/(1 - 3/8) = 0: no memory
    wave = [-1.0, 1.0, 1.0, -1.0, -1.0, 1.0, 1.0, -1.0]
    found = trend([*wave * 4, *[x + 3 for x in wave]])
    assert found is not None
    assert (found.first, found.last) == (0.0, 3.0)
    diffs = np.abs(np.diff([*wave * 4, *[x + 3 for x in wave]]))
    assert found.error == pytest.approx(
        max(math.sqrt(8 / 7), float(np.median(diffs)) * 1.4826 / math.sqrt(2)) * math.sqrt(2 / 8)
    )


def test_noise_with_a_memory_counts_for_fewer_values() -> None:
    # fifths of 8: -1 four times, +1 four times. Neighbours: 3 - 1 + 3 = 5 of 8;
    # (5/8 + 1/8)/(1 - 3/8) = 1.2 -> 0.9: error √(8/7)·√(2/8·1.9/0.1)
    found = trend(([-1.0] * 4 + [1.0] * 4) * 5)
    assert found is not None
    assert found.error == pytest.approx(math.sqrt(8 / 7) * math.sqrt(2 / 8 * 19))


def test_a_trend_needs_forty_finite_values() -> None:
    assert trend([1.0] * 39 + [math.nan]) is None
    assert trend([1.0] * 40) is not None


def test_a_change_counts_from_five_errors_on() -> None:
    assert Trend(0.0, 5.0, 1.0).rises() and not Trend(0.0, 4.9, 1.0).rises()
    assert Trend(5.0, 0.0, 1.0).falls() and not Trend(4.9, 0.0, 1.0).falls()
    assert not Trend(0.0, 5.0, 1.0).rises(5.1) and not Trend(0.0, 5.0, 1.0).falls()
    assert not Trend(1.0, 1.0, 0.0).rises()


FIRES = [
    ("zero_spread", steps(zero_spread=plateau(0.1, 0.5)), steps(zero_spread=plateau(0.1, 0.49))),
    ("zero_spread", steps(zero_spread=plateau(0.3, 0.5)), steps(zero_spread=plateau(0.35, 0.5))),
    ("zero_spread", steps(zero_spread=0.8), steps(zero_spread=0.79)),
    ("entropy", steps(entropy=plateau(0.8, 0.1)), steps(entropy=plateau(0.8, 0.11))),
    ("entropy", steps(entropy=plateau(0.37, 0.09)), steps(entropy=plateau(0.35, 0.09))),
    (
        "length",
        steps(length=plateau(50, 100), score=0.3),
        steps(length=plateau(50, 99), score=0.3),
    ),
    (
        "length",
        steps(length=plateau(50, 100), score=plateau(0.3, 0.31)),
        steps(length=plateau(50, 100), score=plateau(0.3, 0.33)),
    ),
    (
        "length",
        steps(length=plateau(90, 30), score=0.3),
        steps(length=plateau(90, 31), score=0.3),
    ),
    (
        "format_without_score",
        steps(format=plateau(0.5, 0.95), score=0.2),
        steps(format=plateau(0.5, 0.89), score=0.2),
    ),
    (
        "format_without_score",
        steps(format=plateau(0.5, 0.95), score=0.49),
        steps(format=plateau(0.5, 0.95), score=0.5),
    ),
    (
        "format_without_score",
        steps(format=plateau(0.5, 0.95), score=plateau(0.2, 0.21)),
        steps(format=plateau(0.5, 0.95), score=plateau(0.2, 0.23)),
    ),
    (
        "reward_without_score",
        steps(reward=plateau(0.4, 0.6), score=plateau(0.4, 0.34)),
        steps(reward=plateau(0.4, 0.6), score=plateau(0.4, 0.36)),
    ),
    (
        "reward_without_score",
        steps(reward=plateau(0.4, 0.6), score=plateau(0.4, 0.34)),
        steps(reward=0.4, score=plateau(0.4, 0.34)),
    ),
    (
        "grad_norm",
        steps(grad_norm=[1.0] * 95 + [10.0] * 5),
        steps(grad_norm=[1.0] * 95 + [9.9] * 5),
    ),
    (
        "grad_norm",
        steps(grad_norm=[1.0] * 97 + [99.0] * 3),
        steps(grad_norm=[1.0] * 98 + [99.0] * 2),
    ),
    (
        "grad_norm",
        steps(skipped_updates=[0.0] * 95 + [1.0] * 5),
        steps(skipped_updates=[0.0] * 96 + [1.0] * 4),
    ),
    ("kl", steps(kl=plateau(0.0, 0.5)), steps(kl=plateau(0.0, 0.49))),
    ("kl", steps(kl=plateau(0.2, 0.61)), steps(kl=plateau(0.21, 0.61))),
    ("kl", steps(kl_old=plateau(0.01, 0.1)), steps(kl_old=plateau(0.01, 0.09))),
    ("truncated", steps(truncated=0.25), steps(truncated=0.24)),
]


@pytest.mark.parametrize(("name", "fires", "under"), FIRES)
def test_a_sign_fires_and_is_silent_just_under(name: str, fires: list, under: list) -> None:
    assert names(fires) == [name]
    assert names(under) == []


def test_every_sign_is_tested_above() -> None:
    assert {name for name, *_ in FIRES} == set(SIGNS)


@pytest.mark.parametrize("half", [0.02, 0.06])
def test_reward_rising_while_held_out_accuracy_falls(half: float) -> None:
    # 0.60 -> 0.50: intervals of ±0.02 are apart, those of ±0.06 overlap
    records = [held_out(0, 0.6, half), *steps(reward=(0.3, 0.6)), held_out(100, 0.5, half)]
    found = alarms_of(records)
    assert [a.name for a in found] == (["reward_without_score"] if half == 0.02 else [])
    if found:
        assert "accuracy fell from 0.600 (step 0) to 0.500 (step 100)" in found[0].message


def test_held_out_fall_is_told_from_its_best_evaluation_on() -> None:
    # up to step 60 both rise; from there accuracy falls while the reward goes on
    rise = steps(60, reward=(0.3, 0.5))
    more = steps(40, start=60, reward=(0.5, 0.7))
    records = [held_out(0, 0.4, 0.02), *rise, held_out(60, 0.7, 0.02), *more]
    assert names([*records, held_out(100, 0.6, 0.02)]) == ["reward_without_score"]
    fall = steps(40, start=60, reward=(0.5, 0.4))
    assert names([*records[:-40], *fall, held_out(100, 0.6, 0.02)]) == []


def test_zero_spread_says_whether_samples_are_too_easy_or_too_hard() -> None:
    easy, hard = (
        alarms_of(steps(zero_spread=0.9, accuracy=share))[0].message for share in (0.9, 0.1)
    )
    assert "harder samples" in easy and "easier samples" in hard
    assert "90% of the groups" in easy


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("memory", [0.0, 0.7])
def test_flat_noise_raises_no_alarm(seed: int, memory: float) -> None:
    """Every figure at once, noisy as in a small run; white noise and noise with a memory."""
    rng = np.random.default_rng(seed)
    levels = {
        **{"zero_spread": (0.4, 0.15), "accuracy": (0.4, 0.1), "entropy": (0.12, 0.04)},
        **{"length": (60.0, 12.0), "score": (0.4, 0.08), "format": (0.85, 0.1)},
        **{"reward": (0.6, 0.1), "grad_norm": (0.2, 0.1), "kl": (0.3, 0.1)},
        **{"kl_old": (0.05, 0.02), "truncated": (0.12, 0.06)},
    }
    series = {}
    for name, (mean, scale) in levels.items():
        noise, state = [], 0.0
        for shock in rng.normal(size=400):
            state = memory * state + math.sqrt(1 - memory**2) * shock
            noise.append(max(0.0, mean + scale * state))
        series[name] = noise
    records = steps(400, **series)
    for at in range(50, 401, 50):
        interval = float(0.4 + rng.normal() * 0.02)
        records.insert(at + at // 50 - 1, held_out(at, interval, 0.05))
    assert names(records) == []


def test_a_learning_run_raises_no_alarm() -> None:
    """Everything gets better at once: score, reward, format, length; entropy halves."""
    rng = np.random.default_rng(0)

    def ramp(low: float, high: float) -> list[float]:
        return [low + (high - low) * i / 199 + 0.03 * rng.normal() for i in range(200)]

    records = steps(
        200,
        score=ramp(0.2, 0.7),
        reward=ramp(0.4, 0.9),
        format=ramp(0.6, 0.97),
        length=[40 + 0.4 * i for i in range(200)],
        entropy=ramp(0.9, 0.4),
        zero_spread=ramp(0.1, 0.3),
        grad_norm=ramp(0.3, 0.2),
    )
    assert names(records) == []


def test_a_new_stage_starts_anew() -> None:
    """A jump at a border is no rise, and a sign may be told again in the next stage."""
    first, second = steps(50, stage="a", length=30.0), steps(50, stage="b", start=50, length=90.0)
    assert names([*first, *second]) == []
    cut = [*steps(50, stage="a", truncated=0.5), *steps(50, stage="b", start=50, truncated=0.5)]
    assert [(a.stage, a.step) for a in alarms_of(cut)] == [("a", 39), ("b", 89)]


def test_an_alarm_is_told_once_and_marked_when_it_is_over() -> None:
    alarms = Alarms()
    told = [alarms.add(r) for r in steps(60, truncated=0.5)]
    assert [len(new) for new in told] == [0] * 39 + [1] + [0] * 20
    assert not alarms.seen[0].over
    for record in steps(200, start=60, truncated=0.0):
        assert alarms.add(record) == []
    assert [(a.name, a.step, a.over) for a in alarms.seen] == [("truncated", 39, True)]


def test_nulls_demonstrations_and_foreign_records_are_passed_over() -> None:
    sft = steps(60, loss=(2.0, 0.1))
    nulls = [{**r, "length": None, "score": None, "reward": None} for r in steps(60)]
    odd = [{"kind": "note"}, {"step": "x", "kind": "step"}, {"kind": "eval", "step": 3}]
    assert names(sft) == names(nulls) == names(odd) == names([]) == []


def test_a_real_run_raises_no_alarm() -> None:
    """The quickstart's own curve, thinned: accuracy 0.39 -> 0.74 in 100 steps."""
    rows = (Path(__file__).parent / "quickstart_curve.csv").read_text().split()
    head = rows[0].split(",")
    columns = zip(*(map(float, row.split(",")) for row in rows[1:]), strict=True)
    series = {name: list(column) for name, column in zip(head, columns, strict=True)}
    records = [held_out(0, 0.39, 0.03), *steps(100, **series), held_out(100, 0.74, 0.03)]
    assert names(records) == []
