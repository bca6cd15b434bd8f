"""The tiny model's tokenizer, processor and weights: texts survive, folders load, seeds repeat."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mmrl.policy.tiny import (
    IMAGE_SIDE,
    SPECIALS,
    TAGS,
    WORDS,
    save_tiny,
    tiny_model,
    tiny_processor,
    tiny_tokenizer,
)
from mmrl.tasks.base import TASKS

TOKENIZER = tiny_tokenizer()


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40))
def test_any_text_survives_a_round_trip(text: str) -> None:
    if any(special in text for special in SPECIALS):
        return
    ids = TOKENIZER(text).input_ids
    assert TOKENIZER.decode(ids, skip_special_tokens=True) == text


def test_digits_letters_and_punctuation_are_single_tokens() -> None:
    for sign in "0123456789abcxyzABCXYZ.,:;[](){}<>/+-=?! \n":
        assert len(TOKENIZER(sign).input_ids) == 1, repr(sign)


@pytest.mark.parametrize("tag", TAGS)
def test_tags_are_single_tokens_that_decode_as_text(tag: str) -> None:
    ids = TOKENIZER(tag).input_ids
    assert len(ids) == 1 and ids[0] not in TOKENIZER.all_special_ids
    assert TOKENIZER.decode(ids, skip_special_tokens=True) == tag


def test_special_tokens_are_single_and_dropped_in_decoding() -> None:
    for special in SPECIALS:
        ids = TOKENIZER(special).input_ids
        assert len(ids) == 1 and ids[0] in TOKENIZER.all_special_ids, special
        assert TOKENIZER.decode(ids, skip_special_tokens=True) == ""


def test_ids_are_distinct_and_fill_the_vocabulary() -> None:
    ids = [TOKENIZER.convert_tokens_to_ids(t) for t in (*WORDS, *TAGS, *SPECIALS)]
    assert sorted(ids) == list(range(256, len(TOKENIZER)))


def test_gold_of_a_drawn_box_takes_18_to_22_tokens() -> None:
    """think row_ r _col_ c /think = 6; answer [ 4..8 digits 3 commas ] /answer = 11..15; end."""
    task = TASKS.get("digit_box")
    assert task.world is not None
    for index in range(40):
        sample = task.world(index, split="train", seed=0)
        count = len(TOKENIZER(task.gold(sample) + "<|im_end|>").input_ids)
        digits = sum(len(str(v)) for v in sample.target)
        assert count == 6 + 7 + digits + 1
        assert 18 <= count <= 22


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny")
    return save_tiny(path, tiny_model(TOKENIZER, seed=3), tiny_processor(TOKENIZER))


def test_a_saved_folder_loads_by_the_auto_classes(folder: Path) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder)
    assert type(processor).__name__ == "Qwen2_5_VLProcessor"
    assert type(model).__name__ == "Qwen2_5_VLForConditionalGeneration"
    fresh = tiny_model(TOKENIZER, seed=3)
    for name, value in fresh.state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name


def test_a_picture_of_168_pixels_becomes_36_visual_tokens(folder: Path) -> None:
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(folder)
    picture = Image.fromarray(np.zeros((IMAGE_SIDE, IMAGE_SIDE, 3), np.uint8))
    turn = {
        "role": "user",
        "content": [{"type": "image"}, {"type": "text", "text": "box of the 7"}],
    }
    text = processor.apply_chat_template([turn], add_generation_prompt=True, tokenize=False)
    assert text == (
        "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>box of the 7<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    batch = processor(text=[text], images=[picture], return_tensors="pt")
    pad = TOKENIZER.convert_tokens_to_ids("<|image_pad|>")
    assert int((batch["input_ids"] == pad).sum()) == (168 // 28) ** 2
    assert batch["image_grid_thw"].tolist() == [[1, 12, 12]]


def test_same_seed_same_weights_and_the_callers_generator_is_left_alone() -> None:
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    a, b, c = (tiny_model(TOKENIZER, seed=s, hidden=64, layers=1) for s in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    first, same, other = (m.model.language_model.embed_tokens.weight for m in (a, b, c))
    assert torch.equal(first, same) and not torch.equal(first, other)


def test_size_is_about_two_million() -> None:
    count = sum(p.numel() for p in tiny_model(TOKENIZER).parameters())
    assert 1_900_000 < count < 2_300_000
