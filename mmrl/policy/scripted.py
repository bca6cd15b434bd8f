"""A policy without a model: says what a script says. For tests of everything around a policy.

One token a character, the end of text is `END`; every token has log-prob `logp` plus a bias that
trains, so that a whole step runs. It is its own sampler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from mmrl.errors import PolicyError, nearest
from mmrl.parse.completion import parse_completion
from mmrl.policy.messages import Messages, normalise
from mmrl.types import Pack, Parsed, PolicyOutput, Prompt, Rollout, Segment, StopReason

END = 0x110000
"""Id of the end of text: the first number that is no character."""


class Scripted:
    """Rollout g of a prompt says `script[question][g % n]`.

    The question of a prompt is the longest key that its text contains. `max_new_tokens` of the
    sampling cuts a text, whose stop is then `LENGTH`.
    """

    eos_ids = (END,)
    banned_ids: tuple[int, ...] = ()
    coord_space = "norm_1000"
    device = torch.device("cpu")
    dtype = torch.float32

    def __init__(
        self,
        script: Mapping[str, Sequence[str]],
        *,
        logp: float = -0.5,
        parser: Callable[[str], Parsed] = parse_completion,
    ) -> None:
        empty = [q for q, texts in script.items() if not texts]
        if empty:
            raise PolicyError(f'the script has no text for "{empty[0]}"')
        self.script = dict(script)
        self.logp = logp
        self.parser = parser
        self.bias = nn.Parameter(torch.zeros(()))
        self._reference: torch.Tensor | None = None

    def encode(self, messages: Messages, *, name: str = "") -> Prompt:
        uniform = normalise(messages)
        return Prompt(messages=uniform, token_ids=self.encode_text(_text_of(uniform)))

    def extend(self, prompt: Prompt, ids: Sequence[int]) -> Prompt:
        """The prompt with further tokens behind it: a script may answer to what they say."""
        return replace(prompt, token_ids=(*prompt.token_ids, *ids))

    def encode_text(self, text: str) -> tuple[int, ...]:
        return tuple(map(ord, text))

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(chr(i) for i in ids if i != END)

    def offsets(self, ids: Sequence[int], text: str | None = None) -> tuple[int, ...]:
        return tuple(sum(i != END for i in ids[:t]) for t in range(len(ids)))

    def sample(
        self,
        prompts: Sequence[Prompt],
        *,
        group_size: int,
        seeds: Sequence[Sequence[int]],
        sampling: Any,
        policy_step: int,
        finished: Callable[[int, list[Rollout]], None] | None = None,
    ) -> list[list[Rollout]]:
        """The scripted rollouts, in the sampler's form."""
        groups = []
        for place, (prompt, own) in enumerate(zip(prompts, seeds, strict=True)):
            groups.append(
                [
                    self._rollout(prompt, text, seed, sampling.max_new_tokens, policy_step)
                    for text, seed in zip(self._texts(prompt, group_size), own, strict=True)
                ]
            )
            if finished is not None:
                finished(place, groups[-1])
        return groups

    def __call__(
        self, pack: Pack, *, entropy: bool = False, reference: bool = False
    ) -> PolicyOutput:
        bias: torch.Tensor = self.bias
        if reference:
            bias = torch.zeros(()) if self._reference is None else self._reference
        logp = torch.full(pack.token_ids.shape, self.logp) + bias
        return PolicyOutput(logp=logp, entropy=-logp.detach() if entropy else None)

    def set_sampling(self, *, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0) -> None:
        """Nothing: a script is what it is."""

    def trainable(self) -> dict[str, nn.Parameter]:
        return {"bias": self.bias}

    def parameter_groups(
        self, lr: float, rates: Mapping[str, float] | None = None
    ) -> list[dict[str, Any]]:
        return [{"params": [self.bias], "lr": lr, "names": ["bias"]}]

    def trainable_state(self) -> dict[str, torch.Tensor]:
        return {"bias": self.bias.detach().clone()}

    def load_trainable_state(self, state: Mapping[str, torch.Tensor]) -> None:
        with torch.no_grad():
            self.bias.copy_(state["bias"])

    def keep_reference(self) -> None:
        self._reference = self.bias.detach().clone()

    def reference_state(self) -> dict[str, torch.Tensor]:
        return {} if self._reference is None else {"bias": self._reference.clone()}

    def load_reference_state(self, state: Mapping[str, torch.Tensor]) -> None:
        self._reference = state["bias"].clone() if state else None

    @contextmanager
    def reference(self) -> Iterator[None]:
        held = self.bias.data
        try:
            self.bias.data = torch.zeros(()) if self._reference is None else self._reference
            yield
        finally:
            self.bias.data = held

    def save(self, folder: str | Path) -> Path:
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        save_file(self.trainable_state(), path / "model.safetensors")
        return path

    def _texts(self, prompt: Prompt, group_size: int) -> list[str]:
        said = self.decode(prompt.token_ids)
        known = [q for q in self.script if q in said]
        if not known:
            raise PolicyError(f'the script has no answer to "{said}".' + nearest(said, self.script))
        texts = self.script[max(known, key=len)]
        return [texts[g % len(texts)] for g in range(group_size)]

    def _rollout(
        self, prompt: Prompt, text: str, seed: int, max_new_tokens: int, policy_step: int
    ) -> Rollout:
        ids = (*self.encode_text(text), END)[:max_new_tokens]
        text = self.decode(ids)
        segment = Segment(
            token_ids=ids,
            sampled=True,
            logps=(self.logp + float(self.bias.detach()),) * len(ids),
            trainable=(True,) * len(ids),
        )
        return Rollout(
            prompt=prompt,
            sampled_under=prompt,
            segments=(segment,),
            text=text,
            offsets=self.offsets(ids),
            parsed=self.parser(text),
            stop=StopReason.EOS if ids[-1] == END else StopReason.LENGTH,
            policy_step=policy_step,
            seed=seed,
        )


def _text_of(messages: Messages) -> str:
    parts: list[str] = []
    for message in messages:
        content = message["content"]
        items = [{"type": "text", "text": content}] if isinstance(content, str) else content
        parts += [item["text"] for item in items if item["type"] == "text"]
    return "\n".join(parts)
