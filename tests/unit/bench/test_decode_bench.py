"""The decoding benchmark: figures add up, rounds alternate."""

from pathlib import Path

import pytest

from mmrl.bench import decode
from mmrl.errors import DataError


def test_rounds_take_the_ways_in_turn_after_one_uncounted() -> None:
    taken: list[str] = []
    ways = {"a": lambda: taken.append("a"), "b": lambda: taken.append("b")}
    seconds = decode.alternate(ways, 3)
    assert taken == ["a", "b", "a", "b", "a", "b", "a", "b"]
    assert {name: len(rounds) for name, rounds in seconds.items()} == {"a": 3, "b": 3}


def test_figures_of_a_drawn_clip(tmp_path: Path) -> None:
    clips = decode.draw_clips(tmp_path, 1, num_frames=12)
    figures = decode.run([str(clips[0]), "--frames", "4", "--repeats", "1"])
    assert figures["clips"] == 1
    assert figures["frames"] == 4
    for name, way in figures["ways"].items():
        rate = 4 / way["seconds_of_each_round"][0]
        assert way["frames_a_second"] == pytest.approx(rate, rel=0.01), name
    assert {"planned", "cold", "warm"} <= set(figures["ways"])


def test_a_missing_clip_is_named() -> None:
    with pytest.raises(DataError, match=r"gone\.mp4: no such file"):
        decode.run(["gone.mp4"])
