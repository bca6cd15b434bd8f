"""Processes of one run: who am I, sums over all, one voice for files and the console.

The loop is written for any number of ranks; with one process everything here is the identity.
Gradients are summed, never averaged: the counts that a reduction divides by are already those of
the whole update over all ranks.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from mmrl.rewards.worker_main import allow_read_only_mappings


class Ranks:
    """This process's place among `size` processes (torchrun sets the environment)."""

    def __init__(self) -> None:
        self.size = int(os.environ.get("WORLD_SIZE", "1"))
        self.index = int(os.environ.get("RANK", "0"))
        self.local_index = int(os.environ.get("LOCAL_RANK", "0"))
        if self.size > 1:
            allow_read_only_mappings()  # what `gather` sends may hold the empty ones of mmrl.types
        if self.size > 1 and not dist.is_initialized():
            backend = "nccl" if torch.cuda.is_available() else "gloo"
            dist.init_process_group(backend, timeout=timedelta(minutes=30))

    @property
    def is_first(self) -> bool:
        return self.index == 0

    def reduce(self, numbers: Mapping[str, float]) -> dict[str, float]:
        """Sums of named numbers over all ranks, in float64; every rank passes the same names."""
        if self.size == 1:
            return dict(numbers)
        names = sorted(numbers)
        values = torch.tensor([numbers[n] for n in names], dtype=torch.float64)
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        values = values.to(device)
        dist.all_reduce(values)
        return dict(zip(names, values.tolist(), strict=True))

    def largest(self, number: int) -> int:
        """The largest of all ranks' numbers."""
        return max(self.gather([number]))

    def gather(self, items: Sequence[Any]) -> list[Any]:
        """All ranks' items in rank order, on every rank (our own objects between our processes)."""
        if self.size == 1:
            return list(items)
        parts: list[Any] = [None] * self.size
        dist.all_gather_object(parts, list(items))
        return [item for part in parts for item in part]

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Adds up gradients over ranks; a parameter without one counts as zeros."""
        if self.size == 1:
            return
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            dist.all_reduce(parameter.grad)

    def barrier(self) -> None:
        if self.size > 1:
            dist.barrier()

    def close(self) -> None:
        if self.size > 1 and dist.is_initialized():
            dist.destroy_process_group()
