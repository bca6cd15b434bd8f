"""Builds a policy from a checkpoint folder, or from a configuration with random weights.

Only safetensors are read and no code of a checkpoint is ever run.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from mmrl.errors import PolicyError
from mmrl.policy import parts
from mmrl.policy.attention import NAME, register
from mmrl.policy.families import Family, family_of
from mmrl.policy.parts import Lora
from mmrl.policy.vlm import VLMPolicy
from mmrl.torchvision_shim import ensure_torchvision

_PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json", "model.pt", "model.pth")


def load_policy(
    path: str | Path,
    *,
    family: str | None = None,
    dtype: str | torch.dtype = "float32",
    device: str = "auto",
    attention: str = "sdpa",
    lora: Lora | None = None,
    freeze: Iterable[str] = (),
    quantize: str = "none",
    gradient_checkpointing: bool = False,
    **settings: Any,
) -> VLMPolicy:
    """The policy of a checkpoint folder (safetensors, config.json, tokenizer and processor files).

    `settings` go to `VLMPolicy` (`max_prompt_tokens`, `over_budget`, `image_budget`, …). A folder
    saved by a LoRA policy (adapter_config.json) is loaded onto the base checkpoint it names.
    """
    ensure_torchvision()
    from transformers import AutoConfig, AutoProcessor

    folder = _folder(path)
    adapter = folder if (folder / "adapter_config.json").is_file() else None
    if adapter is not None:
        folder = _base_of(adapter)
    _check_weights(folder)
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    row = family_of(config, name=family)
    target = parts.pick_device(device)
    try:
        processor = AutoProcessor.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise PolicyError(
            f"{folder}: tokenizer or processor files are missing or broken ({error})"
        ) from error
    model = _class_of(row).from_pretrained(
        folder,
        config=config,
        dtype=parts.dtype_of(dtype),
        attn_implementation=attention,
        use_safetensors=True,
        trust_remote_code=False,
        **_quantized(quantize, lora or adapter, target, parts.dtype_of(dtype)),
    )
    if quantize == "none":
        model = model.to(target)
    return _finish(
        model, processor, row, lora, freeze, gradient_checkpointing, settings, adapter=adapter
    )


def policy_from_config(
    config: Any,
    processor: Any,
    *,
    seed: int = 0,
    dtype: str | torch.dtype = "float32",
    device: str = "cpu",
    attention: str = "sdpa",
    lora: Lora | None = None,
    freeze: Iterable[str] = (),
    gradient_checkpointing: bool = False,
    **settings: Any,
) -> VLMPolicy:
    """A policy with random weights from a configuration: for tests and timing, no download."""
    ensure_torchvision()
    row = family_of(config)
    config._attn_implementation = attention
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _class_of(row)(config).to(parts.pick_device(device))
        for weight in model.parameters():  # the angles of rotary positions stay float32, as loaded
            weight.data = weight.data.to(parts.dtype_of(dtype))
        return _finish(model, processor, row, lora, freeze, gradient_checkpointing, settings)


def wrap_policy(
    model: Any,
    processor: Any,
    *,
    lora: Lora | None = None,
    freeze: Iterable[str] = (),
    gradient_checkpointing: bool = False,
    **settings: Any,
) -> VLMPolicy:
    """A policy around a transformers model that is already in memory."""
    row = family_of(model.config)
    return _finish(model, processor, row, lora, freeze, gradient_checkpointing, settings)


def _finish(
    model: Any,
    processor: Any,
    row: Family,
    lora: Lora | None,
    freeze: Iterable[str],
    gradient_checkpointing: bool,
    settings: dict[str, Any],
    *,
    adapter: Path | None = None,
) -> VLMPolicy:
    parts.without_dropout(model)
    if adapter is not None:
        import peft

        if lora is not None:
            raise PolicyError(f"{adapter} is an adapter already; leave policy.lora out")
        model = peft.PeftModel.from_pretrained(model, adapter, is_trainable=True)
    elif lora is not None:
        model = parts.add_lora(model, row, lora)
    else:
        parts.freeze(model, row, freeze)
    inner = model.get_base_model() if hasattr(model, "peft_config") else model
    if inner.config.get_text_config()._attn_implementation == "sdpa":
        register()
        inner.set_attn_implementation({"text_config": NAME})
    if gradient_checkpointing:
        inner.gradient_checkpointing_enable({"use_reentrant": False})
    return VLMPolicy(model, processor, row, **settings)


def _class_of(row: Family) -> Any:
    import transformers

    return getattr(transformers, row.model_class)


def _folder(path: str | Path) -> Path:
    folder = Path(path)
    if not folder.is_dir():
        near = sorted(p.name for p in folder.parent.glob("*") if p.is_dir())[:10]
        there = f" {folder.parent} holds: {', '.join(near)}." if near else ""
        raise PolicyError(
            f"policy.model = {path}: no such folder.{there} A checkpoint is a local folder; "
            "download it first"
        )
    return folder


def _base_of(adapter: Path) -> Path:
    named = json.loads((adapter / "adapter_config.json").read_text()).get("base_model_name_or_path")
    if not named or not Path(named).is_dir():
        raise PolicyError(
            f"{adapter}/adapter_config.json names the base model {named!r}, which is no folder "
            "here; put the base checkpoint there or edit base_model_name_or_path"
        )
    return Path(named)


def _check_weights(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise PolicyError(f"{folder}: config.json is missing; this is no checkpoint folder")
    if any(folder.glob("*.safetensors")):
        return
    pickled = [name for name in _PICKLED if (folder / name).exists()]
    if pickled:
        raise PolicyError(
            f"{folder}: the weights are pickled ({', '.join(pickled)}), which can run code when "
            "read; only safetensors are loaded: convert them with "
            "`save_pretrained(..., safe_serialization=True)`"
        )
    raise PolicyError(f"{folder}: no *.safetensors file")


def _quantized(
    quantize: str, adapter: Any, device: torch.device, dtype: torch.dtype
) -> dict[str, Any]:
    """Arguments of `from_pretrained` for 4-bit base weights (QLoRA, arXiv 2305.14314)."""
    if quantize == "none":
        return {}
    if quantize != "4bit":
        raise PolicyError(f'policy.quantize is "{quantize}"; it is "none" or "4bit"')
    if adapter is None:
        raise PolicyError("policy.quantize: 4-bit weights do not train; set policy.lora too")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise PolicyError(
            "policy.quantize: 4bit needs bitsandbytes (pip install 'mmrl[qlora]'), which is not "
            'installed; use quantize: "none"'
        )
    if device.type != "cuda":
        raise PolicyError(
            f'policy.quantize: 4bit needs a CUDA device and this is {device}; use quantize: "none"'
        )
    from transformers import BitsAndBytesConfig

    settings = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
    return {"quantization_config": settings, "device_map": {"": device}}
