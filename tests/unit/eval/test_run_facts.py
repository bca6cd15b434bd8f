"""What a run folder says of its run, whoever wrote it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mmrl.errors import ConfigError, DataError
from mmrl.eval.run_facts import config_of, summary_of, total_steps


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"a": NaN', "9" * 5000, "[" * 200_000])
def test_a_broken_summary_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "summary.json").write_text(text)
    if text == "[1]":
        assert summary_of(tmp_path) == {}
    else:
        with pytest.raises(DataError, match=r"summary\.json: wanted the summary of a run"):
            summary_of(tmp_path)


def test_a_run_that_goes_on_has_no_summary(tmp_path: Path) -> None:
    assert summary_of(tmp_path) == {}
    os.mkfifo(tmp_path / "summary.json")  # nobody writes to it: reading must not wait
    assert summary_of(tmp_path) == {}


def test_settings_are_read_as_plain_data_and_behind_no_link(tmp_path: Path) -> None:
    assert config_of(tmp_path) == {}
    (tmp_path / "config.yaml").write_text("optim: {lr: 1e-6}\nname: no\n")
    assert config_of(tmp_path) == {"optim": {"lr": 1e-6}, "name": "no"}
    (tmp_path / "config.yaml").write_text("a: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(ConfigError):
        config_of(tmp_path)
    (tmp_path / "elsewhere").write_text("policy: {model: secret}\n")
    (tmp_path / "config.yaml").unlink()
    (tmp_path / "config.yaml").symlink_to(tmp_path / "elsewhere")
    assert config_of(tmp_path) == {}


def test_steps_of_a_recipe_are_those_of_its_stages() -> None:
    assert total_steps({"train": {"steps": 5}}) == 5
    assert total_steps({"train": {"steps": 5}, "stages": [{"steps": 3}, {"steps": 4}]}) == 7
    assert total_steps({}) is None
