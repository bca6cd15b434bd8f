"""The shipped tiny model: small, loadable, looks at the picture, and leaves room to learn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "assets" / "tiny-vlm"


def test_folder_is_at_most_twenty_megabytes_and_holds_no_pickle() -> None:
    files = [p for p in FOLDER.rglob("*") if p.is_file()]
    assert sum(p.stat().st_size for p in files) <= 20_000_000
    assert (FOLDER / "model.safetensors").exists()
    assert not [p for p in files if p.suffix in {".bin", ".pt", ".pth", ".pkl"}]


def test_shipped_tokenizer_is_the_one_of_the_code() -> None:
    from transformers import AutoTokenizer

    from mmrl.policy.tiny import tiny_tokenizer

    shipped, fresh = AutoTokenizer.from_pretrained(FOLDER), tiny_tokenizer()
    assert shipped.get_vocab() == fresh.get_vocab()
    text = "<think>row 2 col 3</think><answer>[5,34,56,78]</answer>"
    assert shipped(text).input_ids == fresh(text).input_ids


@pytest.fixture(scope="module")
def measured() -> Callable[[dict[str, Any]], dict[str, float]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "recipes" / "tiny_vlm"))
        import evaluate
    return lambda entry: evaluate.measure(FOLDER, {**entry, "split": "val"}, limit=32)


@pytest.mark.parametrize(
    "entry",
    [
        {"task": "digit_box"},
        {"task": "gui_point"},
        {"task": "tinted_choice"},
        {"task": "picture_pair"},
        {"task": "digit_span"},
    ],
    ids=lambda entry: entry["task"],
)
def test_it_looks_but_is_unsure(
    entry: dict[str, Any], measured: Callable[[dict[str, Any]], dict[str, float]]
) -> None:
    found = measured(entry)
    assert found["format"] >= 0.95
    assert found["mean4"] > found["blank"] + 0.1
    assert found["best8"] > found["mean4"] + 0.05
