"""The tiny model's recipe: its batched forward pass is the library's, its data repeat."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mmrl.policy.load import wrap_policy
from mmrl.policy.tiny import tiny_model, tiny_processor
from mmrl.probes.likelihood import Row, row_logps
from mmrl.tasks.base import TASKS

RECIPE = Path(__file__).resolve().parents[3] / "recipes" / "tiny_vlm"


@pytest.fixture(scope="module")
def parts() -> Any:
    """The recipe's modules, a small untrained model and its processor."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(RECIPE))
        import encode
        import eyes
        import fast
        import train
        import words
        import worlds

        processor = tiny_processor()
        yield SimpleNamespace(
            encode=encode,
            eyes=eyes,
            fast=fast,
            train=train,
            words=words,
            worlds=worlds,
            processor=processor,
            model=tiny_model(processor.tokenizer, seed=1, hidden=64, layers=2),
        )


def drawn(parts: Any, kind: str, num: int, *, marks: bool = False) -> list[Any]:
    rng = np.random.default_rng(0)
    kinds = parts.worlds.KINDS
    return [parts.worlds.draw(rng, kinds[kind], i, seed=0, marks=marks) for i in range(num)]


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


@pytest.mark.parametrize(
    "kind", ["grid", "picture", "locate_grid", "blind", "pair", "clip", "text"]
)
def test_batched_forward_equals_transformers_row_by_row(parts: Any, kind: str) -> None:
    demos = drawn(parts, kind, 3)
    batch = parts.encode.Encoder()(demos, parts.worlds.KINDS[kind].length)
    fast = parts.fast.Fast(parts.model, compiled=False)
    with torch.no_grad():
        ours = parts.model.lm_head(fast.hidden(batch))
        for r, demo in enumerate(demos):
            row = by_processor(parts.processor, demo)
            length = row["input_ids"].shape[1]
            assert row["input_ids"][0].tolist() == batch["ids"][r, :length].tolist()
            if kind == "clip":  # behind a long clip generation counts on from its last frame
                length = len(parts.encode.Encoder().prompt(demo)[0])
            theirs = parts.model(**row).logits[0, :length]
            torch.testing.assert_close(ours[r, :length], theirs, atol=2e-5, rtol=0)


def test_answers_stand_where_the_sampler_writes_them(parts: Any) -> None:
    """The log-probs of a whole demonstration are those of a policy that reads its tokens."""
    policy = wrap_policy(parts.model, parts.processor)
    encoder, fast = parts.encode.Encoder(), parts.fast.Fast(parts.model, compiled=False)
    for name in ("digit_span", "transit"):
        task = TASKS.get(name)
        assert task.world is not None
        level = next(iter(task.levels.values()))
        sample = task.world(1, split="train", seed=0, **level)
        prompt = policy.encode(task.messages(sample))
        batch = encoder([parts.worlds.demo_of(sample)])
        answer = [*encoder.tokenizer(task.gold(sample)).input_ids, encoder.end]
        with torch.no_grad():
            logits = parts.model.lm_head(fast.hidden(batch))[0, len(prompt.token_ids) - 1 : -1]
            (ours,) = row_logps(policy, [Row(prompt=prompt, token_ids=tuple(answer))])
        scores = logits.float()
        scores[:, list(policy.banned_ids)] = -torch.inf
        ids = torch.tensor(answer)[:, None]
        theirs = scores.log_softmax(-1).gather(1, ids)[:, 0]
        torch.testing.assert_close(torch.tensor(ours), theirs, atol=1e-4, rtol=0)


def test_the_loss_is_the_weighted_cross_entropy_of_the_answers(parts: Any) -> None:
    demos = drawn(parts, "picture", 2)
    batch = parts.encode.Encoder()(demos)
    loss, rows = parts.fast.Fast(parts.model, compiled=False).loss(batch)
    wanted = 0.0
    for r, demo in enumerate(demos):
        row = by_processor(parts.processor, demo)
        start = len(parts.encode.Encoder().prompt(demo)[0])
        ids = row["input_ids"][0]
        logps = parts.model(**row).logits[0].float().log_softmax(-1)
        nats = torch.stack([-logps[t - 1, ids[t]] for t in range(start, len(ids))])
        weights = batch["weights"][r, start : len(ids)]
        wanted += float((nats.detach() * weights).sum())
        assert float(rows[r]) == pytest.approx(float(nats.detach().mean()), abs=1e-4)
    assert float(loss) == pytest.approx(wanted, rel=1e-5)


def test_a_step_draws_the_same_batches_again_and_another_step_others(parts: Any) -> None:
    batches = parts.train.Batches(seed=0, steps=1000)
    first, again, other = batches[405], batches[405], batches[407]
    assert set(first) == {"grid", "picture", "blind", "pair", "clip"}
    assert set(other) == {"grid", "picture", "blind", "lists"}
    assert set(batches[6]) == {"locate_grid", "locate_picture", "lists"}  # at first nothing else
    for kind, batch in first.items():
        for key, value in batch.items():
            same = again[kind][key]
            assert torch.equal(value, same) if torch.is_tensor(value) else value == same
    assert not torch.equal(first["grid"]["pixels"], other["grid"]["pixels"])
    assert first["grid"]["ids"].shape == (32, parts.worlds.KINDS["grid"].length)


def test_reasoning_weighs_twice_and_fine_digits_little(parts: Any) -> None:
    encoder, demo = parts.encode.Encoder(), drawn(parts, "picture", 1)[0]

    def weights(text: str, demo: Any = demo) -> list[float]:
        ids = [*encoder.tokenizer(text).input_ids, encoder.end]
        return list(encoder.weights(demo, ids).tolist())

    #          think row  2  col  3  /think answer [  1    2    ,  3   ,   4   ]  /answer end
    expected = [2, 2, 2, 2, 2, 1, 1, 1, 0.7, 0.3, 1, 0.7, 1, 0.7, 1, 1, 1]
    assert weights("<think>row 2 col 3</think><answer>[12,3,4]</answer>") == pytest.approx(expected)
    assert weights("<CODE>[12]") == [1, 1, 1, 1, 1, 1]  # no reasoning: every digit counts in full
    #                think red  /think answer B /answer end
    assert weights("<think>red</think><answer>B</answer>") == [2, 2, 1, 1, 5, 1, 1]
    blind = drawn(parts, "blind", 1)[0]
    assert weights("<think>red</think><answer>B</answer>", blind) == [0, 0, 1, 1, 5, 1, 1]


def test_located_things_are_named_once_with_cell_and_colour(parts: Any) -> None:
    worlds = parts.worlds
    demo = drawn(parts, "picture", 1)[0]
    marks = (
        *(("text", "7", 30.0, 10.0), ("colour", "red", 30.0, 10.0)),
        *(("shape", "ring", 5.0, 100.0), ("shape", "ring", 60.0, 60.0)),  # twice: not asked for
    )
    told = worlds.located(np.random.default_rng(0), replace(demo, marks=marks), 3)
    assert told.question == "picture: 7"
    assert told.completion == "<think>7 row 1 col 2 red</think><answer>1</answer>"


def test_marks_fall_into_the_cell_of_their_middle(parts: Any) -> None:
    eyes = parts.eyes
    marks = (("text", "7", 30.0, 10.0), ("line", "red", 111.9, 84.0), ("odd", "x", 1.0, 1.0))
    there, offset = eyes.labels(marks, 4)
    assert [tuple(i) for i in np.argwhere(there)] == [
        (1, eyes.COLUMN["text", "7"]),  # x 30 of 28-pixel cells: column 1, row 0
        (15, eyes.COLUMN["line", "red"]),  # the last cell
    ]
    assert offset[1].tolist() == pytest.approx([30 / 28 - 1, 10 / 28])
    assert np.isnan(np.delete(offset, 1, axis=0)).all()  # a line has no place of its own


def test_every_mark_of_the_worlds_is_asked_about_or_left_out_on_purpose(parts: Any) -> None:
    kinds = {
        m[0]
        for kind in ("grid", "picture")
        for d in drawn(parts, kind, 60, marks=True)
        for m in d.marks
    }
    assert kinds <= {*parts.eyes.NAMED, "element"}
    assert {"text", "colour", "shape", "line", "value"} <= kinds


@pytest.mark.parametrize("form", ["value", "key", "pair", "fits", "place"])
def test_the_known_words_of_a_lookup_follow_from_its_list(parts: Any, form: str) -> None:
    told = {": ", ". ", "; ", " ", parts.words.TURN, "</answer>"}
    for seed in range(20):
        said = parts.words.lookup(np.random.default_rng(seed), form)
        size = 3 if form in ("pair", "fits") else 2
        listed = [w for w in said.prompt if w not in told]
        rows = [listed[i : i + size] for i in range(0, len(listed), size)]
        turns = {
            "value": (0, 1),
            "key": (1, 0),
            "place": (1, 0),
            "pair": (0, 1, 2),
            "fits": (1, 2, 0),
        }
        entries = [tuple(row[i] for i in turns[form]) for row in rows]
        pieces = [(w, k) for w, k in zip(said.answer, said.known, strict=True) if w not in told]
        asked = [pieces[i : i + size] for i in range(0, len(pieces), size)]
        assert {tuple(w for w, _ in piece) for piece in asked} <= set(entries)
        num_given = {"value": 1, "key": 1, "place": 1, "pair": 1, "fits": 2}[form]
        assert len({e[:num_given] for e in entries}) == len(entries)  # one answer each
        for piece in asked:
            assert [k for _, k in piece] == [False] * num_given + [True] * (size - num_given)
        assert sum(said.known) == sum(k for _, k in pieces)  # marks and tags are never asked


def test_lists_ask_only_what_can_be_known(parts: Any) -> None:
    lists = parts.words.Lists(seed=0)
    early, late = lists(1), lists(parts.words.REPEATS + 1)
    half = early["ids"].shape[1] // 2
    assert torch.equal(early["ids"][:, :half], early["ids"][:, half:])
    assert (early["labels"][:, : half + 1] == -100).all()
    assert torch.equal(early["labels"][:, half + 1 :], early["ids"][:, half + 1 :])
    asked = late["labels"] != -100
    assert torch.equal(late["labels"][asked], late["ids"][asked])
    start = lists.encoder.tail[-2]
    for ids, is_asked in zip(late["ids"], asked, strict=True):
        prompt = ids[: max(i for i, t in enumerate(ids.tolist()) if t == start)]
        assert set(ids[is_asked].tolist()) <= set(prompt.tolist())


def test_words_leave_eyes_and_embeddings_as_they_are(
    parts: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(parts.words, "REPEATS", 2)
    monkeypatch.setattr(parts.words, "LOOKUPS", 1)
    model = tiny_model(parts.processor.tokenizer, seed=1, hidden=64, layers=2)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    parts.words.learn_words(model, seed=0)
    changed = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    language = [n for n in before if "language_model." in n and "embed_tokens" not in n]
    assert changed == set(language)


def test_places_are_rows_and_columns_in_reading_order(parts: Any) -> None:
    scores = torch.zeros(2 * 16, 12)
    assert float(parts.eyes.place_loss(scores, 2)) == pytest.approx(2 * math.log(6))
    for cell in range(32):
        scores[cell, cell % 16 // 4] = scores[cell, 6 + cell % 4] = 50.0
    assert float(parts.eyes.place_loss(scores, 2)) == pytest.approx(0.0, abs=1e-6)
    assert float(parts.eyes.place_loss(scores.flip(0), 2)) > 10
