"""Samples completions of drawn demonstrations with the batched forward pass of `fast`."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from demos import Demo, Encoder
from fast import embed
from transformers import DynamicCache


@torch.no_grad()
def complete(
    model: Any,
    encoder: Encoder,
    demos: list[Demo],
    *,
    num: int,
    temperature: float,
    generator: torch.Generator,
    max_tokens: int = 40,
) -> list[list[list[int]]]:
    """`num` completions (token ids, the end token included) of every demo's prompt.

    Temperature 0 takes the likeliest token. Prompts of one length go through together.
    """
    by_length: dict[int, list[int]] = defaultdict(list)
    encoded = [encoder.prompt(d) for d in demos]
    for i, (ids, _) in enumerate(encoded):
        by_length[len(ids)].append(i)
    found: list[list[list[int]]] = [[] for _ in demos]
    for rows in by_length.values():
        batch = {
            "ids": torch.tensor([encoded[i][0] for i in rows]),
            "positions": torch.stack([torch.as_tensor(encoded[i][1]) for i in rows], dim=1),
            "pixels": encoder.pixels([demos[i] for i in rows]),
            "is_clip": demos[rows[0]].is_clip,
        }
        texts = _decode(model, encoder, batch, num, temperature, generator, max_tokens)
        for r, i in enumerate(rows):
            found[i] = texts[r * num : (r + 1) * num]
    return found


def _decode(
    model: Any,
    encoder: Encoder,
    batch: dict[str, Any],
    num: int,
    temperature: float,
    generator: torch.Generator,
    max_tokens: int,
) -> list[list[int]]:
    inner = model.model.language_model
    cache = DynamicCache(config=model.config.text_config)
    out = inner(
        inputs_embeds=embed(model, batch),
        position_ids=batch["positions"],
        past_key_values=cache,
        use_cache=True,
    )
    logits = model.lm_head(out.last_hidden_state[:, -1]).repeat_interleave(num, 0)
    cache.batch_repeat_interleave(num)
    place = batch["positions"][:, :, -1:].repeat_interleave(num, 1)
    alive = torch.ones(len(logits), dtype=torch.bool)
    tokens: list[list[int]] = [[] for _ in range(len(logits))]
    for _ in range(max_tokens):
        if temperature == 0:
            chosen = logits.argmax(-1)
        else:
            shares = torch.softmax(logits / temperature, -1)
            chosen = torch.multinomial(shares, 1, generator=generator).squeeze(1)
        for r in torch.nonzero(alive).flatten().tolist():
            tokens[r].append(int(chosen[r]))
        alive &= chosen != encoder.end
        if not alive.any():
            break
        place = place + 1
        out = inner(
            inputs_embeds=inner.embed_tokens(chosen.unsqueeze(1)),
            position_ids=place,
            past_key_values=cache,
            use_cache=True,
        )
        logits = model.lm_head(out.last_hidden_state[:, -1])
    return tokens
