"""Collected samples are made again from where they came."""

from __future__ import annotations

import json

import pytest

from mmrl.data.collected import Collected, Origin
from mmrl.data.registry import open_data
from mmrl.errors import DataError

ENTRY = {"task": "digit_box", "limit": 9}


def a_line(index: int, *, entry=ENTRY, seed: int = 5, **more) -> dict:
    sample = open_data(entry, "train", seed)[index]
    origin = Origin(entry=entry, split="train", seed=seed, index=index)
    return {"id": sample.id, "origin": origin.to_json(), **more}


def a_file(tmp_path, *lines: dict):
    path = tmp_path / "kept.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_a_world_draws_its_samples_again_byte_for_byte(tmp_path):
    blank = {**ENTRY, "blank": True}
    view = Collected(a_file(tmp_path, a_line(7), a_line(2, entry=blank)), "filter.kept")
    assert view.size == 2 and view.where(1).endswith("kept.jsonl:2")
    shown, grey = open_data(ENTRY, "train", 5)[7], open_data(blank, "train", 5)[2]
    seen = open_data(ENTRY, "train", 5)[2].media[0].data
    assert view[0] == shown and view[0].media[0].data == shown.media[0].data
    assert view[1].media[0].data == grey.media[0].data != seen
    assert view.origin(0).index == 7


def test_each_completion_is_a_demonstration_of_its_sample(tmp_path):
    said = [{"text": "one", "token_ids": [1, 2]}, {"text": "two", "token_ids": [3]}]
    path = a_file(tmp_path, a_line(0, demonstrations=said), a_line(1, demonstrations=[]))
    view = Collected(path, "filter.kept", demonstrations=True)
    assert [view[i].meta["completion"] for i in range(view.size)] == ["one", "two"]
    assert view[0].meta["completion_ids"] == (1, 2) and view[0].id == view[1].id
    assert Collected(path, "filter.kept").size == 2  # as samples: both, as they were
    assert "completion" not in Collected(path, "filter.kept")[0].meta


def test_data_that_changed_are_noticed(tmp_path):
    line = {**a_line(3), "id": "another"}
    with pytest.raises(DataError, match=r'kept\.jsonl:1 was sample "another" of .* collect anew'):
        Collected(a_file(tmp_path, line), "filter.kept")[0]


def test_a_stage_that_has_not_run_has_no_file(tmp_path):
    with pytest.raises(DataError, match="its collect stage has not run in this run folder"):
        Collected(tmp_path / "kept.jsonl", "filter.kept")
