"""A small random model of every family, with its tokenizer and processor, built without downloads.

For what must run on the classes of a family and not on its weights: `mmrl check --dry-run`, tests.
Two layers of width 32 each in tower and language model, a tokenizer of single bytes.
`small_parts(family)` gives (configuration, processor), `small_policy(family)` a policy,
`save_small(folder, family)` a checkpoint folder, `family_named` the family that a name tells.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmrl.errors import PolicyError
from mmrl.policy.families import FAMILIES, Family, family_of
from mmrl.policy.load import policy_from_config
from mmrl.policy.vlm import VLMPolicy
from mmrl.torchvision_shim import ensure_torchvision

_QWEN = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
_EXTRA: dict[str, tuple[str, ...]] = {
    "qwen2-vl": _QWEN,
    "qwen2.5-vl": _QWEN,
    "qwen3-vl": _QWEN,
    "internvl": ("<img>", "</img>", "<IMG_CONTEXT>", "<video>"),
    "llava-onevision": ("<image>", "<video>"),
    "smolvlm": (
        *("<fake_token_around_image>", "<image>", "<global-img>", "<end_of_utterance>"),
        *(f"<row_{r}_col_{c}>" for r in range(1, 4) for c in range(1, 4)),
    ),
}
_NAMED = {
    "internvl": {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    },
}
_PLACE = {
    "qwen": (
        "<|vision_start|><|image_pad|><|vision_end|>",
        "<|vision_start|><|video_pad|><|vision_end|>",
    ),
    "internvl": ("<IMG_CONTEXT>\n", "<video>\n"),
    "llava-onevision": ("<image>\n", "<video>\n"),
    "smolvlm": ("<image>", "<video>"),
}


def small_parts(name: str) -> tuple[Any, Any]:
    """(configuration, processor) of a family, random weights to come."""
    ensure_torchvision()
    tok = _tokenizer(name)
    maker = {"internvl": _internvl, "llava-onevision": _llava, "smolvlm": _smolvlm}
    return maker[name](tok) if name in maker else _qwen(name, tok)


def small_policy(name: str, **settings: Any) -> VLMPolicy:
    """A policy with random weights; `settings` go to `mmrl.policy.load.policy_from_config`."""
    config, processor = small_parts(name)
    return policy_from_config(config, processor, **settings)


def save_small(folder: Path, name: str, *, seed: int = 0) -> Path:
    """Writes a checkpoint folder of random weights, as `load_policy` reads it."""
    small_policy(name, seed=seed).save(folder)
    return folder


def family_named(model: str) -> Family:
    """The family of a checkpoint folder: by its config.json, else by the folder's name.

    >>> family_named("models/Qwen2.5-VL-7B-Instruct").model_type
    'qwen2_5_vl'
    """
    if (Path(model) / "config.json").is_file():
        from transformers import AutoConfig

        return family_of(AutoConfig.from_pretrained(model, trust_remote_code=False))
    plain = _letters(Path(model).name)
    found = next((f for f in FAMILIES if _letters(f.name) in plain), None)
    if found is None:
        known = ", ".join(family.name for family in FAMILIES)
        raise PolicyError(
            f'"{model}" is not here and its name tells no family; names hold one of {known}'
        )
    return found


def _letters(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


def _template(name: str) -> str:
    image, video = _PLACE["qwen" if name.startswith("qwen") else name]
    return (
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
        "{% if m['content'] is string %}{{ m['content'] }}{% else %}{% for c in m['content'] %}"
        "{% if c['type'] == 'image' %}" + image + "{% elif c['type'] == 'video' %}" + video + ""
        "{% else %}{{ c['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )


def _tokenizer(name: str) -> Any:
    """Byte-level, no merges; the family's special tokens; `<think>` tags as ordinary tokens."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    core.add_tokens([AddedToken(t, normalized=False) for t in ("<think>", "</think>")])
    specials = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", *_EXTRA[name])
    core.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in specials])
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=_NAMED.get(name, list(_EXTRA[name])),
        clean_up_tokenization_spaces=False,
    )


def _text(tok: Any, **more: Any) -> dict[str, Any]:
    return {
        "vocab_size": -(-len(tok) // 32) * 32,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "max_position_embeddings": 4096,
        "bos_token_id": None,
        "eos_token_id": tok.convert_tokens_to_ids("<|im_end|>"),
        "pad_token_id": tok.convert_tokens_to_ids("<|endoftext|>"),
        "initializer_range": 0.2,
        "tie_word_embeddings": True,
        **more,
    }


def _qwen(name: str, tok: Any) -> tuple[Any, Any]:
    import transformers as tf

    rope = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]}
    text = _text(tok, rope_parameters=rope)
    ids = {
        "image_token_id": tok.convert_tokens_to_ids("<|image_pad|>"),
        "video_token_id": tok.convert_tokens_to_ids("<|video_pad|>"),
        "vision_start_token_id": tok.convert_tokens_to_ids("<|vision_start|>"),
        "vision_end_token_id": tok.convert_tokens_to_ids("<|vision_end|>"),
        "tie_word_embeddings": True,
    }
    patch = 16 if name == "qwen3-vl" else 14
    patches: dict[str, Any] = {"patch_size": patch, "temporal_patch_size": 2, "merge_size": 2}
    side = 2 * patch
    images = tf.Qwen2VLImageProcessor(
        size={"shortest_edge": side * side, "longest_edge": 12 * side * side}, **patches
    )
    bounds = {"shortest_edge": side * side, "longest_edge": 4 * side * side}
    clips: Any
    config_class: Any
    processor_class: Any
    vision: dict[str, Any] = {"depth": 2}
    if name == "qwen3-vl":
        clips = tf.Qwen3VLVideoProcessor(
            size={"shortest_edge": 2 * side * side, "longest_edge": 2000 * side * side}, **patches
        )
        vision |= {"deepstack_visual_indexes": [0], "num_position_embeddings": 64}
        vision |= {"out_hidden_size": 32, "patch_size": 16}
        config_class, processor_class = tf.Qwen3VLConfig, tf.Qwen3VLProcessor
    else:
        clips = tf.Qwen2VLVideoProcessor(size=bounds, **patches)
        vision |= {"patch_size": 14}
        config_class, processor_class = tf.Qwen2VLConfig, tf.Qwen2VLProcessor
    if name == "qwen2-vl":
        vision |= {"embed_dim": 32, "hidden_size": 32, "mlp_ratio": 2, "num_heads": 2}
    else:
        vision |= {"hidden_size": 32, "intermediate_size": 48, "num_heads": 2}
    if name == "qwen2.5-vl":
        vision |= {"out_hidden_size": 32, "window_size": 56, "fullatt_block_indexes": [1]}
        vision |= {"tokens_per_second": 2}
        config_class, processor_class = tf.Qwen2_5_VLConfig, tf.Qwen2_5_VLProcessor
    config = config_class(text_config=text, vision_config=vision, **ids)
    return config, processor_class(images, tok, clips, chat_template=_template(name))


def _internvl(tok: Any) -> tuple[Any, Any]:
    import transformers as tf

    config = tf.InternVLConfig(
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": [28, 28],
            "patch_size": [7, 7],
        },
        text_config={"model_type": "qwen2", **_text(tok)},
        image_token_id=tok.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
        tie_word_embeddings=True,
    )
    size = {"height": 28, "width": 28}
    processor = tf.InternVLProcessor(
        tf.GotOcr2ImageProcessor(size=size, max_patches=4),
        tok,
        tf.InternVLVideoProcessor(size=size),
        image_seq_length=4,
        chat_template=_template("internvl"),
    )
    return config, processor


def _llava(tok: Any) -> tuple[Any, Any]:
    import transformers as tf

    pinpoints = [[28, 28], [28, 56], [56, 28], [56, 56]]
    config = tf.LlavaOnevisionConfig(
        vision_config={
            "model_type": "siglip_vision_model",
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 28,
            "patch_size": 7,
            "vision_use_head": False,
        },
        text_config={"model_type": "qwen2", **_text(tok)},
        image_token_index=tok.convert_tokens_to_ids("<image>"),
        video_token_index=tok.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=pinpoints,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        tie_word_embeddings=True,
    )
    size = {"height": 28, "width": 28}
    processor = tf.LlavaOnevisionProcessor(
        tf.LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=pinpoints),
        tok,
        tf.LlavaOnevisionVideoProcessor(size=size),
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        chat_template=_template("llava-onevision"),
    )
    return config, processor


def _smolvlm(tok: Any) -> tuple[Any, Any]:
    import transformers as tf

    config = tf.SmolVLMConfig(
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 28,
            "patch_size": 7,
        },
        text_config={"model_type": "llama", **_text(tok)},
        image_token_id=tok.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        tie_word_embeddings=True,
        pad_token_id=tok.convert_tokens_to_ids("<|endoftext|>"),
    )
    size = {"longest_edge": 84}
    tile = {"longest_edge": 28}
    processor = tf.SmolVLMProcessor(
        tf.SmolVLMImageProcessor(size=size, max_image_size=tile),
        tok,
        tf.SmolVLMVideoProcessor(size=size, max_image_size=tile),
        image_seq_len=4,
        chat_template=_template("smolvlm"),
    )
    return config, processor
