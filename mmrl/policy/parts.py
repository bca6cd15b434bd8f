"""Which tensors train, at what rate: freezing, LoRA, parameter groups, dropout off."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from mmrl.errors import PolicyError, nearest
from mmrl.policy.families import Family

Part = Literal["vision", "projector", "language"]
PARTS: tuple[Part, ...] = ("vision", "projector", "language")


@dataclass(frozen=True, kw_only=True)
class Lora:
    """A low-rank adapter (arXiv 2106.09685) on the language model's linear layers."""

    r: int = 16
    """Rank; 16 is common for 2 to 8 billion parameters."""
    alpha: float = 32.0
    """The update is scaled by alpha / r."""
    dropout: float = 0.0
    """Off: with dropout the learner's log-probs are not those that were sampled."""
    targets: tuple[str, ...] = ()
    """Names (ends, as PEFT reads them) of linear layers; empty takes all of the language model."""


def part_of(family: Family, name: str) -> Part:
    """The part a parameter belongs to; the projector's prefixes may lie inside the tower's."""
    if name.startswith(family.projector):
        return "projector"
    return "vision" if name.startswith(family.vision) else "language"


def freeze(model: nn.Module, family: Family, parts: Iterable[str]) -> None:
    """Stops training of whole parts. Freezing everything is an error."""
    wanted = set(parts)
    for part in wanted - set(PARTS):
        raise PolicyError(f'freeze: no part "{part}".' + nearest(part, PARTS))
    if wanted == set(PARTS):
        raise PolicyError("freeze names every part: nothing would train")
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(part_of(family, name) not in wanted)


def add_lora(model: nn.Module, family: Family, lora: Lora) -> Any:
    """The model inside a PEFT wrapper; only adapter tensors train."""
    import peft

    linear = [n for n, m in model.named_modules() if isinstance(m, nn.Linear)]
    if lora.targets:
        for target in lora.targets:
            if not any(n == target or n.endswith(f".{target}") for n in linear):
                ends = {n.rsplit(".", 1)[-1] for n in linear}
                raise PolicyError(
                    f'lora.targets: no linear layer "{target}".' + nearest(target, ends)
                )
        targets = list(lora.targets)
    else:
        head = model.get_output_embeddings()  # type: ignore[operator]
        targets = [
            n
            for n in linear
            if part_of(family, n + ".") == "language" and model.get_submodule(n) is not head
        ]
    settings = peft.LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]  # PEFT divides it, floats are fine
        lora_dropout=lora.dropout,
        target_modules=targets,
    )
    return peft.get_peft_model(model, settings)


def without_dropout(model: nn.Module) -> None:
    """Sets a model's own dropouts to 0: log-probs must be of the distribution that was sampled."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        for name in ("attention_dropout", "dropout", "dropout_prob"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)


def parameter_groups(
    model: nn.Module, family: Family, lr: float, rates: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Optimizer groups `{"params", "lr", "names"}` of the tensors that train.

    A key of `rates` is a part (`vision`, `projector`, `language`) or a prefix of module names as
    in the checkpoint; the longest matching prefix wins, a prefix wins over a part. A key that
    matches nothing that trains is an error.
    """
    chosen: dict[str, list[tuple[str, nn.Parameter]]] = {}
    names = []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        plain = name.removeprefix("base_model.model.")
        names.append(plain)
        prefixes = [k for k in rates if k not in PARTS and plain.startswith(k)]
        part = part_of(family, plain)
        key = max(prefixes, key=len) if prefixes else (part if part in rates else "")
        chosen.setdefault(key, []).append((name, parameter))
    for key in rates:
        if key not in chosen:
            known = {*PARTS, *(".".join(n.split(".")[:3]) for n in names)}
            raise PolicyError(f'rates: "{key}" names nothing that trains.' + nearest(key, known))
    return [
        {
            "params": [p for _, p in found],
            "lr": rates.get(key, lr),
            "names": [n for n, _ in found],
        }
        for key, found in chosen.items()
    ]


def pick_device(wanted: str = "auto") -> torch.device:
    """The device asked for, or under "auto" cuda, then mps, then cpu."""
    if wanted != "auto":
        device = torch.device(wanted)
        there = {
            "cuda": torch.cuda.is_available(),
            "mps": torch.backends.mps.is_available(),
        }.get(device.type, True)
        if not there:
            raise PolicyError(
                f'policy.device is "{wanted}" and this machine has none; use "auto" or "cpu"'
            )
        return device
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def dtype_of(name: str | torch.dtype) -> torch.dtype:
    if isinstance(name, torch.dtype):
        return name
    known = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if name not in known:
        raise PolicyError(f'policy.dtype: no "{name}".' + nearest(name, known))
    return known[name]
