"""The tiny model's forward pass over equal-sized pictures and rows, for training it quickly.

The arithmetic of transformers' Qwen2.5-VL (a test compares the two), written so that a CPU runs it
well: all pictures in one attention call, linear maps in bfloat16 where autocast is on, attention
and norms in float32 (the bfloat16 attention of a CPU is six times slower backwards), and nothing
that keeps `torch.compile` from fusing the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmrl.torchvision_shim import ensure_torchvision

ensure_torchvision()
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD  # noqa: E402
from transformers.vision_utils import get_vision_position_ids  # noqa: E402

MEAN = torch.tensor(OPENAI_CLIP_MEAN) * 255
STD = torch.tensor(OPENAI_CLIP_STD) * 255


def _norm(x: Tensor, norm: Any) -> Tensor:
    return F.rms_norm(x.float(), (x.shape[-1],), norm.weight, norm.variance_epsilon)


def _turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat([-b, a], -1) * sin


def _attend(q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
    with torch.autocast("cpu", enabled=False):
        return F.scaled_dot_product_attention(
            q.float(), k.float(), v.float(), is_causal=causal, enable_gqa=q.shape[1] != k.shape[1]
        )


def _mlp(part: Any, x: Tensor) -> Tensor:
    return part.down_proj(F.silu(part.gate_proj(x)) * part.up_proj(x))


def vision_angles(visual: Any, num_patches: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines [patches, head size] of a square grid's patches."""
    side = round(num_patches**0.5)
    places = get_vision_position_ids(torch.tensor([[1, side, side]]), 2)
    cos, sin = visual.rotary_pos_emb(torch.zeros(1, num_patches, 1), places)
    return cos, sin


def tower(visual: Any, pixels: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Visual tokens [grids, tokens, hidden] of 8-bit patches [grids, patches, 3 * T * 196]."""
    grids, num_patches, width = pixels.shape
    depth = width // (3 * 196)
    x = pixels.view(grids, num_patches, 3, depth * 196).float()
    x = ((x - MEAN[:, None]) / STD[:, None]).flatten(2)
    weight = visual.patch_embed.proj.weight
    weight = weight.sum(2) if depth == 1 else weight
    x = F.linear(x, weight.flatten(1)).float()
    for block in visual.blocks:
        attn = block.attn
        qkv = attn.qkv(_norm(x, block.norm1)).view(grids, num_patches, 3, attn.num_heads, -1)
        q, k, v = (part.transpose(1, 2) for part in qkv.unbind(2))
        q, k = _turned(q.float(), cos, sin), _turned(k.float(), cos, sin)
        x = x + attn.proj(_attend(q, k, v, False).transpose(1, 2).flatten(2))
        x = x + _mlp(block.mlp, _norm(x, block.norm2))
    merger = visual.merger
    return merger.mlp(_norm(x, merger.ln_q).view(grids, num_patches // 4, -1)).float()


def text_angles(inner: Any, positions: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines [rows, 1, length, head size] of M-RoPE positions [3, rows, length]."""
    angles = positions[..., None].float() * inner.rotary_emb.inv_freq
    sections = inner.config.rope_parameters["mrope_section"]
    parts = angles.split(sections, dim=-1)
    half = torch.cat([part[i % 3] for i, part in enumerate(parts)], -1)
    both = torch.cat([half, half], -1)[:, None]
    return both.cos(), both.sin()


def decoder(inner: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Last hidden states [rows, length, hidden]; rows are padded on the right: causal is enough."""
    rows, length, _ = x.shape
    for layer in inner.layers:
        attn = layer.self_attn
        h = _norm(x, layer.input_layernorm)
        heads = [
            part(h).view(rows, length, -1, attn.head_dim).transpose(1, 2)
            for part in (attn.q_proj, attn.k_proj, attn.v_proj)
        ]
        q, k = (_turned(part.float(), cos, sin) for part in heads[:2])
        seen = _attend(q, k, heads[2], True)
        x = x + attn.o_proj(seen.transpose(1, 2).reshape(rows, length, -1))
        x = x + _mlp(layer.mlp, _norm(x, layer.post_attention_layernorm))
    return _norm(x, inner.norm)


LARGE = 2000
"""Tokens or patches from which on compiling a shape pays; each costs a minute, once."""


class Fast:
    """The model's two halves, large shapes compiled where asked; losses of batches of `encode`."""

    def __init__(self, model: Any, *, compiled: bool) -> None:
        self.model = model
        self.visual, self.inner = model.model.visual, model.model.language_model
        self._compiled: dict[Any, Any] = {}
        if compiled:
            self._compiled = {f: torch.compile(f, dynamic=False) for f in (tower, decoder)}
        self._angles: dict[int, tuple[Tensor, Tensor]] = {}

    def see(self, pixels: Tensor) -> Tensor:
        """Visual tokens [grids, tokens, hidden]."""
        count = pixels.shape[1]
        if count not in self._angles:
            self._angles[count] = vision_angles(self.visual, count)
        return self._form(tower, pixels)(self.visual, pixels, *self._angles[count])

    def _form(self, function: Callable[..., Tensor], x: Tensor) -> Callable[..., Tensor]:
        is_large = x.shape[0] * x.shape[1] >= LARGE
        return self._compiled.get(function, function) if is_large else function

    def hidden(self, batch: dict[str, Any], seen: Tensor | None = None) -> Tensor:
        """Last hidden states [rows, length, hidden] with the visual tokens in their places.

        `seen` are those tokens where they are known already.
        """
        x = self.inner.embed_tokens(batch["ids"])
        if batch["pixels"] is not None:
            config = self.model.config
            wanted = config.video_token_id if batch["is_clip"] else config.image_token_id
            seen = self.see(batch["pixels"]) if seen is None else seen
            where = (batch["ids"] == wanted).unsqueeze(-1).expand_as(x)
            x = x.masked_scatter(where, seen.flatten(0, 1))
        angles = text_angles(self.inner, batch["positions"])
        return self._form(decoder, x)(self.inner, x, *angles)

    def loss(self, batch: dict[str, Any], seen: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Weighted sum of the answer tokens' cross-entropies in nats, and each row's plain mean."""
        labels = batch["labels"][:, 1:]
        keep = labels != -100
        states = self.hidden(batch, seen)[:, :-1][keep]
        nats = F.cross_entropy(self.model.lm_head(states).float(), labels[keep], reduction="none")
        with torch.no_grad():
            rows = torch.arange(len(labels))[:, None].expand_as(labels)[keep]
            sums = torch.zeros(len(labels)).index_add_(0, rows, nats.detach())
        return (nats * batch["weights"][:, 1:][keep]).sum(), sums / keep.sum(1)
