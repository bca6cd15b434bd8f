"""The same prompts through the plain processor and the model's own forward, one row at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from mmrl.media.header import read_video_header
from mmrl.media.plan import VideoPlan
from mmrl.media.video import read_frames
from mmrl.policy.vlm import VLMPolicy
from mmrl.types import MediaRef, Pack, Prompt


def plain_inputs(policy: VLMPolicy, messages: list[dict[str, Any]]) -> dict[str, Any]:
    """What the family's own processor makes of the messages (resized by qwen_vl_utils for Qwen)."""
    processor = policy.processor
    text = processor.apply_chat_template(
        [{**m, "content": [_bare(c) for c in m["content"]]} for m in messages],
        tokenize=False,
        add_generation_prompt=True,
    )
    images: list[Any] = []
    videos: list[Any] = []
    more: dict[str, Any] = {}
    if policy.family.sized:
        images, videos, more = _by_qwen(policy, messages)
    else:
        for item in (c for m in messages for c in m["content"]):
            if item["type"] == "image":
                images.append(item["image"])
            elif item["type"] == "video":
                frames, metadata = _frames(policy, item)
                videos.append(frames)
                more = {"video_metadata": [[metadata]], "do_sample_frames": False}
    inputs = processor(
        text=[text],
        images=[images] if images else None,
        videos=[videos] if videos else None,
        return_tensors="pt",
        **more,
    )
    if policy.family.name == "smolvlm" and images and videos:
        # its processor writes the clip's pixels over the pictures'; these tests put the clip first
        picture = processor.image_processor(images=[images], return_tensors="pt")
        for key in ("pixel_values", "pixel_attention_mask"):
            inputs[key] = torch.cat([inputs[key], picture[key]], dim=1)
    return inputs


def plain_logps(
    policy: VLMPolicy, messages: list[dict[str, Any]], completion: list[int]
) -> torch.Tensor:
    """Log-probs of a completion by the whole plain forward; banned ids out of the softmax."""
    inputs = dict(plain_inputs(policy, messages))
    length = inputs["input_ids"].shape[1]
    added = torch.tensor([completion])
    inputs["input_ids"] = torch.cat([inputs["input_ids"], added], 1)
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    if "mm_token_type_ids" in inputs:
        kinds = inputs["mm_token_type_ids"]
        inputs["mm_token_type_ids"] = torch.cat([kinds, torch.zeros_like(added)], 1)
    policy.core.model.rope_deltas = None
    logits = policy.core(**inputs).logits[0, length - 1 : -1].double()
    logits[:, list(policy.banned_ids)] = float("-inf")
    return logits.log_softmax(-1)[range(len(completion)), completion]


def make_pack(prompts: list[Prompt], rows: list[tuple[int, list[int]]], **fields: Any) -> Pack:
    """A pack of (prompt index, completion) rows."""
    lengths = torch.tensor([len(ids) for _, ids in rows])
    total = int(lengths.sum())
    zeros = torch.zeros(total)
    settings = {
        "group_of_R": torch.tensor([p for p, _ in rows]),
        "truncated_R": torch.zeros(len(rows), dtype=torch.bool),
        "mask": torch.ones(total, dtype=torch.bool),
        "advantages": {},
        "weights": torch.ones(total),
        "behaviour": zeros,
        "old": zeros,
        "reference": zeros,
    } | fields
    return Pack(
        prompts=tuple(prompts),
        prompt_of_R=tuple(p for p, _ in rows),
        lengths_R=lengths,
        token_ids=torch.tensor([i for _, ids in rows for i in ids]).long(),
        row_of_N=torch.repeat_interleave(torch.arange(len(rows)), lengths),
        **settings,
    )


def _bare(item: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in item.items() if k in ("type", "text")}


def _by_qwen(policy: VLMPolicy, messages: list[dict[str, Any]]) -> tuple[Any, Any, dict[str, Any]]:
    from qwen_vl_utils import process_vision_info

    images, videos, more = process_vision_info(
        messages,
        image_patch_size=policy.processor.image_processor.patch_size,
        return_video_kwargs=True,
        return_video_metadata=True,
    )
    more = {"do_resize": False, **(more if videos else {})}
    if videos:
        metadata = [m for _, m in videos]
        videos = [v for v, _ in videos]
        more["video_metadata"] = [metadata]
        more.pop("fps", None)
    return images or [], videos or [], more


def _frames(policy: VLMPolicy, item: dict[str, Any]) -> tuple[np.ndarray, dict[str, Any]]:
    ref = MediaRef(kind="video", path=Path(item["video"]), options={"num_frames": item["nframes"]})
    plan = policy.encoder.gallery.plan_video(ref)
    assert isinstance(plan, VideoPlan)
    header = read_video_header(ref)
    metadata = {
        "total_num_frames": header.num_frames,
        "fps": header.fps,
        "duration": header.duration,
        "frames_indices": list(plan.indices),
    }
    frames = read_frames(ref, plan).frames
    return np.stack([np.array(Image.fromarray(f)) for f in frames]), metadata
