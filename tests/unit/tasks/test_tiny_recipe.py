"""The tiny model's recipe: its batched forward pass is the library's, its data repeat."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mmrl.policy.tiny import tiny_model, tiny_processor

RECIPE = Path(__file__).resolve().parents[3] / "recipes" / "tiny_vlm"


@pytest.fixture(scope="module")
def parts() -> Any:
    """The recipe's modules, a small untrained model and its processor."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(RECIPE))
        import demos
        import fast
        import sampling

        processor = tiny_processor()
        model = tiny_model(processor.tokenizer, seed=1, hidden=64, layers=2)
        yield demos, fast, sampling, processor, model


def rows(demos: Any) -> dict[str, list[Any]]:
    rng = np.random.default_rng(0)
    return {
        "picture": [demos.image_demo(rng, i, 0, 2000, 0.0) for i in range(3)],
        "clip": [demos.clip_demo(rng, i, 0, 2000, 0.0) for i in range(2)],
        "pictures": [demos.pair_demo(i, 0) for i in range(2)],
        "text": [demos.text_demo(i, 0) for i in range(2)],
    }


def by_processor(processor: Any, demo: Any) -> Any:
    """The demonstration through the processor, one row, nothing of ours."""
    content: list[dict[str, Any]] = []
    media: dict[str, Any] = {}
    if demo.is_clip:
        from transformers.video_utils import VideoMetadata

        content.append({"type": "video"})
        media["videos"] = [torch.from_numpy(demo.pixels).permute(0, 3, 1, 2)]
        seen = list(range(len(demo.pixels)))
        media["video_metadata"] = [
            VideoMetadata(total_num_frames=len(seen), fps=4.0, frames_indices=seen)
        ]
    elif demo.pixels is not None:
        content += [{"type": "image"}] * len(demo.pixels)
        media["images"] = [Image.fromarray(p) for p in demo.pixels]
    content.append({"type": "text", "text": demo.question})
    turn = [{"role": "user", "content": content}]
    text = processor.apply_chat_template(turn, add_generation_prompt=True, tokenize=False)
    return processor(text=[text + demo.completion + "<|im_end|>"], return_tensors="pt", **media)


@pytest.mark.parametrize("form", ["picture", "clip", "pictures", "text"])
def test_batched_forward_equals_transformers_row_by_row(parts: Any, form: str) -> None:
    demos, fast, _, processor, model = parts
    batch = demos.Encoder()(rows(demos)[form])
    with torch.no_grad():
        ours = model.lm_head(fast.hidden(model, batch))
        for r, demo in enumerate(rows(demos)[form]):
            row = by_processor(processor, demo)
            length = row["input_ids"].shape[1]
            assert row["input_ids"][0].tolist() == batch["ids"][r, :length].tolist()
            theirs = model(**row).logits[0]
            torch.testing.assert_close(ours[r, :length], theirs, atol=2e-5, rtol=0)


def test_a_step_draws_the_same_batch_again_and_another_step_another(parts: Any) -> None:
    demos = parts[0]
    batches = demos.Batches(seed=0, steps=1000, jitter=0.03)
    for a, b in zip(batches[8], batches[8], strict=True):
        for key, value in a.items():
            assert torch.equal(value, b[key]) if torch.is_tensor(value) else value == b[key]
    assert not torch.equal(batches[8][0]["pixels"], batches[9][0]["pixels"])
    assert [len(p["ids"]) for p in batches[8]] == [48, 6, 8, 8]
    assert [len(p["ids"]) for p in batches[9]] == [48, 6]


def test_labels_move_by_a_share_of_the_side(parts: Any) -> None:
    demos = parts[0]
    rng = np.random.default_rng(0)
    assert demos.jittered(rng, (10, 20, 30, 60), 0.0) == (10, 20, 30, 60)
    assert demos.jittered_span(rng, (0.4, 2.0), 0.0) == (0.4, 2.0)
    boxes = np.array([demos.jittered(rng, (30, 20, 50, 60), 0.1) for _ in range(400)])
    # sides 20 and 40: standard deviations 2 and 4, and 1/12 of variance from rounding
    assert boxes.mean(0) == pytest.approx([30, 20, 50, 60], abs=0.8)
    assert boxes.std(0) == pytest.approx([2.02, 4.01, 2.02, 4.01], rel=0.15)
    spans = [demos.jittered_span(rng, (0.1, 3.9), 0.2) for _ in range(100)]
    assert all(0.0 <= a < b <= 4.0 for a, b in spans)


def test_early_weights_favour_names_and_coarse_digits(parts: Any) -> None:
    encoder = parts[0].Encoder()
    text = "<think>row 2 col 3</think><answer>[12,3,45,67]</answer>"
    answer = encoder.tokenizer(text).input_ids
    middle, fine = np.float32(0.3), np.float32(0.1)
    #          think row _  2  _col _  3  /think answer
    expected = [1, 5, 1, 5, 1, 1, 5, 1, 1]
    #            [  1  2     ,  3  ,  4  5     ,  6  7     ]  /answer
    expected += [1, middle, fine, 1, middle, 1, middle, fine, 1, middle, fine, 1, 1]
    assert encoder.weights(answer, 0).tolist() == pytest.approx(expected)
    last = [1, 2, 1, 2, 1, 1, 2] + [1] * 15
    assert encoder.weights(answer, 2000).tolist() == pytest.approx(last)


def test_cells_belong_to_what_covers_most_of_them(parts: Any) -> None:
    import warmup  # type: ignore[import-not-found]

    from mmrl.tasks.drawing import Drawn

    seven = Drawn(kind="digit", name="7", box=(0, 0, 30, 28))  # 2 of 28 columns of the next cell
    ring = Drawn(kind="shape", name="ring", box=(40, 10, 60, 40), colour="green")
    names, colours = warmup.cell_labels([seven, ring])
    seen = [warmup.NAMES[i] for i in names]
    # ring: 16 x 18 and 4 x 18 pixels of the first row, 16 x 12 and 4 x 12 of the second; of a
    # cell's 784, a tenth is 78.4
    assert seen == ["7", "ring", ".", ".", ".", "ring", ".", "."] + ["."] * 8
    assert colours.tolist() == [-100, 1, -100, -100, -100, 1] + [-100] * 10


def test_greedy_completions_are_the_likeliest_tokens(parts: Any) -> None:
    """Decoding with a cache picks what one full forward pass over prompt and answer picks."""
    demos, fast, sampling, _, model = parts
    encoder = demos.Encoder()
    drawn = rows(demos)["picture"]
    found = sampling.complete(
        model,
        encoder,
        drawn,
        num=1,
        temperature=0.0,
        generator=torch.Generator().manual_seed(0),
        max_tokens=6,
    )
    for demo, (tokens,) in zip(drawn, found, strict=True):
        ids, places = encoder.prompt(demo)
        more = np.tile(np.arange(1, len(tokens) + 1) + places[0, -1], (3, 1))
        batch = {
            "ids": torch.tensor([ids + tokens]),
            "positions": torch.from_numpy(np.concatenate([places, more], axis=1))[:, None],
            "pixels": encoder.pixels([demo]),
            "is_clip": False,
        }
        with torch.no_grad():
            logits = model.lm_head(fast.hidden(model, batch))[0]
        picked = logits.argmax(-1)[len(ids) - 1 : -1].tolist()
        assert picked == tokens
