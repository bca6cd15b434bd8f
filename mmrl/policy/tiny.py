"""Builds the tiny Qwen2.5-VL: its tokenizer, processor and an untrained model, without downloads.

The model is a real `Qwen2_5_VLForConditionalGeneration` of about two million parameters. The
tokenizer is byte-level without merges, so any text survives a round trip, plus a few whole words
that keep prompts short and the four answer tags as single ordinary tokens (they decode as text).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from mmrl.torchvision_shim import ensure_torchvision

IMAGE_SIDE = 168
"""Largest side of its pictures, in pixels: 6 x 6 visual tokens; smaller ones keep their size."""
FRAME_SIDE = 56
"""Side of the frames of its clips, in pixels: 2 x 2 visual tokens for every two frames."""
CLIP_FPS = 4.0
"""Frames a second that it was trained to see."""

INIT_STD = 0.06
"""Of fresh weights; at this width the usual 0.02 leaves attention flat for hundreds of steps."""

ROPE_THETA = 10_000.0
"""Base of the rotary frequencies. A name is looked up in the picture by what it is, from any
distance: that needs dimensions that hardly turn over a hundred tokens. (With base 10 all turn, and
nothing was found; the vision tower itself says where a token lies.)
"""

TAGS = ("<think>", "</think>", "<answer>", "</answer>", "<CODE>", "<DIRECT>")
WORDS = (
    *("user", "assistant", "system"),
    *("red", "green", "blue", "yellow", "purple", "white", "black", "orange", "pink", "brown"),
    *("circle", "square", "triangle", "cross", "ring", "circles", "squares", "triangles"),
    *("crosses", "rings", "digit", "letter", "shape", "colour", "colours", "picture", "clip"),
    *("box of the ", "boxes of all ", "point at the ", "click the ", "count the ", "when is the "),
    *(" seen", "row ", " col ", "sec ", " to ", " and ", " on ", " or ", "add ", "copy "),
    *("which ", "which is it", "which is true", "which fits", "which colours", " is last"),
    *(
        " is first",
        " is second",
        " is third",
        "last ",
        "first ",
        "second ",
        "third ",
        " shows the ",
    ),
    *("route ", "lines at ", "lines on the map", "one line for ", "stops between ", ". Lines: "),
    *(". Both: ", "none", "yes", "no", "chart_data=DataFrame({'x':[", "],'y':[", "]})", "\\boxed{"),
    *("how many", "higher: ", "highest", "lowest", "sum", "difference", "colour of ", "hatched"),
    *(
        "above ",
        "left",
        "right",
        "top",
        "bottom",
        ", ",
        ". ",
        ": ",
        " > ",
        "],[",
        "'x'",
        "'y'",
        "','",
    ),
    *("menu", "home", "back", "next", "play", "stop", "add", "find", "mail", "save", "send"),
    *("edit", "help", "file", "lock", "rise or fall", "rise", "fall", " minus ", " plus "),
    *("mean", " meet at ", "tallest", "shortest", "taller: ", "largest", "smallest", "larger: "),
)
SPECIALS = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"),
    *("<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"),
)

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif 'text' in part %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tiny_tokenizer() -> Any:
    """A `PreTrainedTokenizerFast`: 256 bytes, the words, the tags, the Qwen special tokens."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    core.add_tokens([AddedToken(word, normalized=False) for word in (*WORDS, *TAGS)])
    core.add_special_tokens([AddedToken(s, normalized=False, special=True) for s in SPECIALS])
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=[s for s in SPECIALS if s not in ("<|im_end|>", "<|endoftext|>")],
        model_max_length=4096,
        clean_up_tokenization_spaces=False,
    )


def tiny_processor(tokenizer: Any | None = None) -> Any:
    """A `Qwen2_5_VLProcessor` around the tiny tokenizer.

    Pictures keep their size up to 168 x 168 pixels of area; the clips' frames up to 56 x 56.
    """
    ensure_torchvision()
    from transformers import Qwen2_5_VLProcessor, Qwen2VLImageProcessor, Qwen2VLVideoProcessor

    patches = {"patch_size": 14, "temporal_patch_size": 2, "merge_size": 2}
    image = {"shortest_edge": 56 * 56, "longest_edge": IMAGE_SIDE**2}
    video = {"shortest_edge": 28 * 28, "longest_edge": FRAME_SIDE**2}
    return Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=image, **patches),
        tokenizer=tokenizer or tiny_tokenizer(),
        video_processor=Qwen2VLVideoProcessor(size=video, fps=CLIP_FPS, **patches),
        chat_template=CHAT_TEMPLATE,
    )


def tiny_config(
    tokenizer: Any, *, hidden: int = 128, layers: int = 4, text_layers: int | None = None
) -> Any:
    """A `Qwen2_5_VLConfig` of `layers` vision and `text_layers` language layers of width `hidden`.

    Without `text_layers` both halves have the same number.

    The window of the vision tower is as large as the picture and every block attends in full.
    """
    from transformers import Qwen2_5_VLConfig

    ids = {s: tokenizer.convert_tokens_to_ids(s) for s in SPECIALS}
    heads = hidden // 32
    common: dict[str, Any] = {
        "bos_token_id": None,
        "eos_token_id": ids["<|im_end|>"],
        "pad_token_id": ids["<|endoftext|>"],
        "initializer_range": INIT_STD,
    }
    return Qwen2_5_VLConfig(
        text_config={
            "vocab_size": -(-len(tokenizer) // 32) * 32,
            "hidden_size": hidden,
            "intermediate_size": 3 * hidden,
            "num_hidden_layers": text_layers or layers,
            "num_attention_heads": heads,
            "num_key_value_heads": max(1, heads // 2),
            "max_position_embeddings": 4096,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": ROPE_THETA,
                "mrope_section": [4, 6, 6],
            },
            "tie_word_embeddings": True,
            **common,
        },
        vision_config={
            "depth": layers,
            "hidden_size": hidden,
            "out_hidden_size": hidden,
            "intermediate_size": 5 * hidden // 2,
            "num_heads": heads,
            "patch_size": 14,
            "temporal_patch_size": 2,
            "spatial_merge_size": 2,
            "window_size": IMAGE_SIDE,
            "fullatt_block_indexes": list(range(layers)),
            "tokens_per_second": 4,
            "initializer_range": INIT_STD,
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
        **common,
    )


def tiny_model(
    tokenizer: Any,
    *,
    seed: int = 0,
    hidden: int = 128,
    layers: int = 4,
    text_layers: int | None = None,
) -> Any:
    """An untrained tiny Qwen2.5-VL in float32; the same seed gives the same weights."""
    ensure_torchvision()
    from transformers import GenerationConfig, Qwen2_5_VLForConditionalGeneration

    config = tiny_config(tokenizer, hidden=hidden, layers=layers, text_layers=text_layers)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2_5_VLForConditionalGeneration(config).float()
    model.generation_config = GenerationConfig(
        eos_token_id=config.text_config.eos_token_id,
        pad_token_id=config.text_config.pad_token_id,
        do_sample=True,
    )
    return model.eval()


def save_tiny(folder: str | Path, model: Any, processor: Any) -> Path:
    """Writes weights (safetensors), tokenizer and processor so that the Auto classes load them."""
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(path, safe_serialization=True)
    processor.save_pretrained(path)
    return path
