"""A key-value cache with room for what will be decoded.

The stock cache is copied whole for every token and layer (`torch.cat`); here new keys are written
behind the old ones. Layers that are not plain (sliding windows) stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer


class RoomyLayer(DynamicLayer):
    """A layer [rows, heads, tokens, width] that writes into a buffer allocated once.

    `keys` and `values` are views of the filled part. A buffer that is full is doubled.
    """

    keys: torch.Tensor
    values: torch.Tensor

    def __init__(self, keys: torch.Tensor, values: torch.Tensor, room: int) -> None:
        super().__init__()
        self.dtype, self.device = keys.dtype, keys.device
        self.is_initialized = True
        self._hold(keys, values, keys.shape[2] + room)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Writes new keys and values [rows, heads, new, width]; returns all of them."""
        old = self.keys.shape[2]
        new = old + key_states.shape[2]
        if new > self._keys.shape[2]:
            self._hold(self.keys, self.values, 2 * new)
        self._keys[:, :, old:new] = key_states
        self._values[:, :, old:new] = value_states
        self.keys, self.values = self._keys[:, :, :new], self._values[:, :, :new]
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keeps some rows, with their room."""
        size = self._keys.shape[2]
        self._hold(self.keys[indices], self.values[indices], size)

    def _hold(self, keys: torch.Tensor, values: torch.Tensor, size: int) -> None:
        rows, heads, length, _ = keys.shape
        self._keys = keys.new_empty(rows, heads, size, keys.shape[3])
        self._values = values.new_empty(rows, heads, size, values.shape[3])
        self._keys[:, :, :length] = keys
        self._values[:, :, :length] = values
        self.keys, self.values = self._keys[:, :, :length], self._values[:, :, :length]


def roomy_cache(caches: Sequence[DynamicCache], group_size: int, room: int) -> DynamicCache:
    """One cache of the prefilled rows of all `caches`, each row repeated `group_size` times."""
    joined = caches[0]
    for number, layers in enumerate(zip(*(c.layers for c in caches), strict=True)):
        keys = torch.cat([layer.keys for layer in layers])
        values = torch.cat([layer.values for layer in layers])
        keys = keys.repeat_interleave(group_size, dim=0)
        values = values.repeat_interleave(group_size, dim=0)
        if type(layers[0]) is DynamicLayer:
            joined.layers[number] = RoomyLayer(keys, values, room)
        else:
            layers[0].keys, layers[0].values = keys, values
    return joined
