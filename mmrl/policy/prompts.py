"""From messages to prompts: plan first (headers only), then decode what the plan asks for.

`plan` and `encode` run the same code up to the decoding, so their token counts cannot disagree;
`encode` checks the tensors it got against the plan and names the sizes where they differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch

from mmrl.errors import PolicyError
from mmrl.media.plan import ImagePlan, VideoPlan
from mmrl.media.source import name_of
from mmrl.policy.chat import Chat
from mmrl.policy.families import Family
from mmrl.policy.gallery import Gallery
from mmrl.policy.messages import Messages, media_of, normalise
from mmrl.policy.vision import Frames, Layout, Medium, Reader, Vision
from mmrl.types import MediaInfo, MediaRef, Prompt

OverBudget = Literal["refuse", "reduce_frames"]


@dataclass(frozen=True, kw_only=True)
class PromptPlan:
    """What a prompt will be, from headers alone: ids and sizes are final, pixels are missing."""

    messages: tuple[Mapping[str, Any], ...]
    token_ids: tuple[int, ...]
    media: tuple[MediaInfo, ...]
    refs: tuple[MediaRef, ...]
    sizes: tuple[ImagePlan | VideoPlan, ...]
    layouts: tuple[Layout, ...]
    alone: bool

    @property
    def num_tokens(self) -> int:
        return len(self.token_ids)


class Encoder:
    """Plans and encodes prompts for one family and processor."""

    def __init__(
        self,
        family: Family,
        processor: Any,
        *,
        gallery: Gallery,
        max_prompt_tokens: int,
        over_budget: OverBudget = "refuse",
    ) -> None:
        self.family = family
        self.reader: Reader = family.reader(processor)
        clips = family.clip_template() if family.clip_template else None
        self.chat = Chat(processor, family.placeholders(processor), clips)
        self.gallery = gallery
        self.max_prompt_tokens = max_prompt_tokens
        self.over_budget = over_budget

    def plan(self, messages: Messages, *, name: str = "") -> PromptPlan:
        """The prompt's ids and media without decoding a pixel.

        `name` (a sample's id) is said in errors. A prompt over `max_prompt_tokens` has the frames
        of its clips reduced, if `over_budget` says so, or is refused; visual tokens are never cut.
        """
        uniform = normalise(messages)
        refs = tuple(media_of(uniform))
        plan = self._laid_out(uniform, refs, {})
        if plan.num_tokens <= self.max_prompt_tokens:
            return plan
        if self.over_budget == "reduce_frames":
            return self._reduced(plan, name)
        raise self._too_long(plan, name)

    def encode(self, core: Any, messages: Messages, *, name: str = "") -> Prompt:
        """The prompt with its pixels; `core` is the model whose position rule applies."""
        plan = self.plan(messages, name=name)
        media = []
        for ref, size, layout in zip(plan.refs, plan.sizes, plan.layouts, strict=True):
            pixels = self.gallery.pixels(ref, size)
            if isinstance(size, VideoPlan):
                tensors = self.reader.video_tensors(pixels, _frames(size))
            else:
                tensors = self.reader.image_tensors(pixels, plan.alone)
            expected = layout.num_tokens
            got = self.reader.count(ref.kind, tensors, plan.alone)
            if got != expected:
                raise PolicyError(
                    f"{_called(name)}{name_of(ref)}: the {ref.kind} gives {got} visual tokens and "
                    f"its plan says {expected} (original {size.original_size}, processed "
                    f"{size.processed_size} pixels); was the file replaced since its header was "
                    "read?"
                )
            media.append(Medium(kind=ref.kind, num_tokens=expected, tensors=tensors))
        positions = None
        if self.family.mrope and media:
            positions = self.reader.positions(core, torch.tensor(plan.token_ids), media)
        vision = Vision(media=tuple(media), positions=positions) if media else None
        return Prompt(
            messages=plan.messages,
            token_ids=plan.token_ids,
            vision=vision,
            media=plan.media,
            coord_space=self.family.coord_space,
        )

    def _laid_out(
        self,
        messages: tuple[Mapping[str, Any], ...],
        refs: tuple[MediaRef, ...],
        num_frames: Mapping[int, int],
    ) -> PromptPlan:
        alone = sum(ref.kind == "image" for ref in refs) == 1
        sizes: list[ImagePlan | VideoPlan] = []
        layouts, media = [], []
        for i, ref in enumerate(refs):
            size: ImagePlan | VideoPlan
            if ref.kind == "video":
                size = self.gallery.plan_video(ref, num_frames.get(i))
                layout = self.reader.video_layout(_frames(size))
            else:
                size = self.gallery.plan_image(ref)
                layout = self.reader.image_layout(size.processed_size, alone)
            sizes.append(size)
            layouts.append(layout)
            media.append(
                MediaInfo(
                    kind=ref.kind,
                    digest=self.gallery.store.digest(ref),
                    original_size=size.original_size,
                    processed_size=size.processed_size,
                    num_tokens=layout.num_tokens,
                    seconds=size.seconds if isinstance(size, VideoPlan) else (),
                )
            )
        return PromptPlan(
            messages=messages,
            token_ids=self.chat.ids(messages, layouts),
            media=tuple(media),
            refs=refs,
            sizes=tuple(sizes),
            layouts=tuple(layouts),
            alone=alone,
        )

    def _reduced(self, plan: PromptPlan, name: str) -> PromptPlan:
        """The plan with the frames of all clips reduced alike until it fits."""
        factor = self.family.frame_factor
        frames = {i: len(s.indices) for i, s in enumerate(plan.sizes) if isinstance(s, VideoPlan)}
        smaller = plan
        while smaller.num_tokens > self.max_prompt_tokens:
            clips = sum(plan.media[i].num_tokens for i in frames)
            visual = sum(smaller.media[i].num_tokens for i in frames)
            fixed = smaller.num_tokens - visual
            share = max(0.0, self.max_prompt_tokens - fixed) / max(1, clips)
            before = {i: len(s.indices) for i, s in enumerate(smaller.sizes) if i in frames}  # type: ignore[union-attr]
            wanted = {
                i: max(factor, min(before[i] - factor, int(n * share) // factor * factor))
                for i, n in frames.items()
            }
            if wanted == before:
                raise self._too_long(smaller, name)
            smaller = self._laid_out(plan.messages, plan.refs, wanted)
        return smaller

    def _too_long(self, plan: PromptPlan, name: str) -> PolicyError:
        visual = sum(m.num_tokens for m in plan.media)
        each = "; ".join(
            f"{m.kind} {m.original_size[0]}x{m.original_size[1]} -> "
            f"{m.processed_size[0]}x{m.processed_size[1]}"
            + (f", {len(m.seconds)} frames" if m.seconds else "")
            + f": {m.num_tokens} tokens"
            for m in plan.media
        )
        return PolicyError(
            f"{_called(name)}the prompt has {plan.num_tokens} tokens ({visual} of them visual), "
            f"over max_prompt_tokens = {self.max_prompt_tokens}"
            + (f" ({each})" if each else "")
            + "; raise the limit, or lower max_pixels or the number of frames (visual tokens are "
            "never cut)"
        )


def _frames(plan: VideoPlan) -> Frames:
    return Frames(
        size=plan.processed_size,
        seconds=plan.seconds,
        sampled_fps=plan.sample_fps,
        duration=plan.num_source_frames / plan.source_fps if plan.source_fps else 0.0,
    )


def _called(name: str) -> str:
    return f"sample {name}: " if name else ""
