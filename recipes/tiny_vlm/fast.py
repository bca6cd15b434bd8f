"""The tiny model's forward pass for equal-sized pictures, batched instead of looped.

transformers attends picture by picture on a CPU; with one grid size the same arithmetic is one
batched call. `train.py --check` compares the two.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from mmrl.torchvision_shim import ensure_torchvision

ensure_torchvision()
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD  # noqa: E402
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import (  # noqa: E402
    apply_rotary_pos_emb_vision,
)
from transformers.vision_utils import get_vision_position_ids  # noqa: E402

MEAN = torch.tensor(OPENAI_CLIP_MEAN) * 255
STD = torch.tensor(OPENAI_CLIP_STD) * 255


def see(visual: Any, pixels: torch.Tensor) -> torch.Tensor:
    """Visual tokens [grids, tokens, hidden] of 8-bit patches [grids, patches, 3 * T * 196]."""
    grids, num_patches, width = pixels.shape
    depth = width // (3 * 196)
    x = pixels.view(grids, num_patches, 3, depth * 196).float()
    x = ((x - MEAN[:, None]) / STD[:, None]).flatten(2)
    weight = visual.patch_embed.proj.weight
    weight = weight.sum(2) if depth == 1 else weight
    x = F.linear(x, weight.flatten(1))
    side = round(num_patches**0.5)
    places = get_vision_position_ids(torch.tensor([[1, side, side]]), 2)
    cos, sin = visual.rotary_pos_emb(x, places)
    for block in visual.blocks:
        attn = block.attn
        qkv = attn.qkv(block.norm1(x)).view(grids, num_patches, 3, attn.num_heads, -1)
        q, k, v = qkv.unbind(2)
        q, k = apply_rotary_pos_emb_vision(q, k, cos, sin)
        seen = F.scaled_dot_product_attention(
            q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        )
        x = x + attn.proj(seen.transpose(1, 2).flatten(2))
        x = x + block.mlp(block.norm2(x))
    return visual.merger(x).view(grids, num_patches // 4, -1)


def embed(model: Any, batch: dict[str, Any]) -> torch.Tensor:
    """Input embeddings [rows, length, hidden] with the visual tokens in their places."""
    inner = model.model
    x = inner.language_model.embed_tokens(batch["ids"])
    if batch["pixels"] is None:
        return x
    config = model.config
    wanted = config.video_token_id if batch["is_clip"] else config.image_token_id
    seen = see(inner.visual, batch["pixels"]).flatten(0, 1)
    where = (batch["ids"] == wanted).unsqueeze(-1).expand_as(x)
    return x.masked_scatter(where, seen)


def hidden(model: Any, batch: dict[str, Any]) -> torch.Tensor:
    """Last hidden states [rows, length, hidden]; rows are padded on the right: causal suffices."""
    out = model.model.language_model(
        inputs_embeds=embed(model, batch), position_ids=batch["positions"], use_cache=False
    )
    return out.last_hidden_state


def answer_loss(model: Any, batch: dict[str, Any]) -> tuple[torch.Tensor, float]:
    """Weighted sum of the answer tokens' cross-entropies, and their mean in nats unweighted."""
    labels = batch["labels"][:, 1:]
    keep = labels != -100
    states = hidden(model, batch)[:, :-1][keep]
    nats = F.cross_entropy(model.lm_head(states).float(), labels[keep], reduction="none")
    return (nats * batch["weights"][:, 1:][keep]).sum(), float(nats.detach().mean())
