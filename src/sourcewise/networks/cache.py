"""Keys and values of the symbols so far: what generating one symbol at a time remembers."""

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from sourcewise.networks.packing import turns

__all__ = ["Cache"]


class Cache:
    """Attention of one new position of every sequence to all before it and itself.

    A call of the network with a cache takes (B, width), the inputs at position `used`; call
    `advance` after it. All sequences have the same number of positions.

    Args:
        layers: number of layers.
        device: where it lives.
    """

    def __init__(self, layers: int, device: torch.device):
        self.used, self.device = 0, device
        self.stores: list[Tensor | None] = [None] * layers  # (2, B, heads, room, size) each

    def angles(self, size: int, dtype: torch.dtype) -> Tensor:
        """(1, 1, size / 2) what turns the new position; see `packing.turns`."""
        return turns(self.used + 1, size, dtype, self.device)[self.used, None, None]

    def attend(self, layer: int, qk: Tensor, v: Tensor) -> Tensor:
        """(B, heads, size) attention of the new position.

        Args:
            layer: which layer's memory.
            qk: (B, 2, heads, size) query and key.
            v: (B, heads, size) value.
        """
        q, k = qk.unbind(1)
        store = self._room(layer, torch.stack([k, v]))
        keys, values = store[..., : self.used + 1, :]
        return scaled_dot_product_attention(q[:, :, None], keys, values)[:, :, 0]

    def advance(self) -> None:
        """One position more."""
        self.used += 1

    def keep(self, rows: Tensor) -> None:
        """Go on with some of the sequences."""
        self.stores = [None if store is None else store[:, rows] for store in self.stores]

    def _room(self, layer: int, new: Tensor) -> Tensor:
        """The memory of a layer with `new` (2, B, heads, size) in place; it doubles when full."""
        store = self.stores[layer]
        if store is None:
            store = new.new_zeros(*new.shape[:3], 16, new.shape[3])
        elif self.used == store.shape[3]:
            store = torch.cat([store, torch.zeros_like(store)], 3)
        store[..., self.used, :] = new
        self.stores[layer] = store
        return store
