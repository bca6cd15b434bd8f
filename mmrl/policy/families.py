"""What differs between the model families: one row each.

Supported are the forms that transformers ships (no code from the checkpoint is ever run). Adding a
family is a row here and, where its pictures are cut in a new way, a `Reader`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mmrl.errors import PolicyError, nearest
from mmrl.policy.tiles import InternVLReader, LlavaOneVisionReader, SmolVLMReader
from mmrl.policy.vision import Kind, QwenReader, Reader


@dataclass(frozen=True, kw_only=True)
class Family:
    """One row: how a family of checkpoints is loaded, fed, frozen and read."""

    name: str
    model_type: str
    """`model_type` of its configuration."""
    model_class: str
    """Class of transformers that generates text from pictures."""
    reader: Callable[[Any], Reader]
    """Makes the family's media reader from its processor."""
    vision_keys: tuple[str, ...]
    """Tensors by which the plain processor hands over pictures and clips."""
    coord_space: str
    """In which coordinates the checkpoints were taught to write boxes (`mmrl.parse.boxes`)."""
    vision: tuple[str, ...]
    """Module name prefixes of the vision tower, inside the model."""
    projector: tuple[str, ...]
    language: tuple[str, ...]
    placeholders: Callable[[Any], dict[Kind, str]]
    """What the chat template writes for a medium, by kind, from the processor."""
    sized: bool
    """Pictures keep their aspect inside a pixel budget (else the processor cuts them itself)."""
    frame_factor: int = 1
    """The number of frames of a clip is a multiple of this."""
    clip_template: Callable[[], str] | None = None
    """The chat template that the plain processor takes for messages with clips, if not its own."""
    mrope: bool = False
    shares_prefix: bool = True
    """Causal full attention throughout: completions of a group may share their prompt."""

    def media_factor(self, processor: Any) -> int:
        """Pixels a side of one visual token: what processed sizes are multiples of (1 if free)."""
        images = processor.image_processor
        return images.patch_size * images.merge_size if self.sized else 1


def _processor_tokens(processor: Any) -> dict[Kind, str]:
    return {"image": processor.image_token, "video": processor.video_token}


def _smolvlm_clip_template() -> str:
    from transformers.models.smolvlm.processing_smolvlm import DEFAULT_CHAT_TEMPLATE

    return DEFAULT_CHAT_TEMPLATE


_QWEN_KEYS = (
    "pixel_values",
    "image_grid_thw",
    "pixel_values_videos",
    "video_grid_thw",
)

FAMILIES: tuple[Family, ...] = (
    Family(
        name="qwen2-vl",
        model_type="qwen2_vl",
        model_class="Qwen2VLForConditionalGeneration",
        reader=QwenReader,
        vision_keys=_QWEN_KEYS,
        coord_space="norm_1000",
        vision=("model.visual.",),
        projector=("model.visual.merger.",),
        language=("model.language_model.", "lm_head."),
        placeholders=_processor_tokens,
        sized=True,
        frame_factor=2,
        mrope=True,
    ),
    Family(
        name="qwen2.5-vl",
        model_type="qwen2_5_vl",
        model_class="Qwen2_5_VLForConditionalGeneration",
        reader=lambda processor: QwenReader(processor, seconds=True),
        vision_keys=(*_QWEN_KEYS, "second_per_grid_ts"),
        coord_space="abs_resized",
        vision=("model.visual.",),
        projector=("model.visual.merger.",),
        language=("model.language_model.", "lm_head."),
        placeholders=_processor_tokens,
        sized=True,
        frame_factor=2,
        mrope=True,
    ),
    Family(
        name="qwen3-vl",
        model_type="qwen3_vl",
        model_class="Qwen3VLForConditionalGeneration",
        reader=lambda processor: QwenReader(processor, timestamps=True),
        vision_keys=_QWEN_KEYS,
        coord_space="norm_1000",
        vision=("model.visual.",),
        projector=("model.visual.merger.", "model.visual.deepstack_merger_list."),
        language=("model.language_model.", "lm_head."),
        placeholders=_processor_tokens,
        sized=True,
        frame_factor=2,
        mrope=True,
    ),
    Family(
        name="internvl",
        model_type="internvl",
        model_class="InternVLForConditionalGeneration",
        reader=InternVLReader,
        vision_keys=("pixel_values",),
        coord_space="norm_1000",
        vision=("model.vision_tower.",),
        projector=("model.multi_modal_projector.",),
        language=("model.language_model.", "lm_head."),
        placeholders=_processor_tokens,
        sized=False,
    ),
    Family(
        name="llava-onevision",
        model_type="llava_onevision",
        model_class="LlavaOnevisionForConditionalGeneration",
        reader=LlavaOneVisionReader,
        vision_keys=("pixel_values", "image_sizes", "batch_num_images", "pixel_values_videos"),
        coord_space="norm_1",
        vision=("model.vision_tower.",),
        projector=("model.multi_modal_projector.", "model.image_newline"),
        language=("model.language_model.", "lm_head."),
        placeholders=_processor_tokens,
        sized=False,
    ),
    Family(
        name="smolvlm",
        model_type="smolvlm",
        model_class="SmolVLMForConditionalGeneration",
        reader=SmolVLMReader,
        vision_keys=("pixel_values", "pixel_attention_mask"),
        coord_space="norm_1",
        vision=("model.vision_model.",),
        projector=("model.connector.",),
        language=("model.text_model.", "lm_head."),
        placeholders=_processor_tokens,
        clip_template=_smolvlm_clip_template,
        sized=False,
    ),
)


def family_of(config: Any, *, name: str | None = None) -> Family:
    """The row of a model configuration (or of the given family name); PolicyError if unknown."""
    if name is not None:
        found = next((f for f in FAMILIES if f.name == name), None)
        if found is None:
            raise PolicyError(
                f'no model family "{name}".' + nearest(name, [f.name for f in FAMILIES])
            )
        if found.model_type != config.model_type:
            raise PolicyError(
                f"family {name} reads configurations of type {found.model_type}, and this one is "
                f"of type {config.model_type}; leave the family out to have it found"
            )
        return found
    found = next((f for f in FAMILIES if f.model_type == config.model_type), None)
    if found is None:
        known = ", ".join(f"{f.model_type} ({f.name})" for f in FAMILIES)
        raise PolicyError(f'no family for model type "{config.model_type}". Known: {known}')
    return found
