"""Sequences of different lengths as one list of rows, without their padding.

What acts on each position alone (products, norms, activations) runs on the rows that exist; only
attention sees the padded form. With S models at once every tensor has one more leading axis S.
"""

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

__all__ = ["Packed", "rotate", "turns"]


class Packed:
    """Where the real positions of a padded batch are, and causal attention among them.

    >>> packed = Packed(torch.tensor([[True, False], [True, True]]))
    >>> packed.rows(torch.tensor([[[5.0], [6.0]], [[7.0], [8.0]]])).flatten().tolist()
    [5.0, 7.0, 8.0]

    Args:
        inside: (*S, B, L) mask of the real positions, which come first in each sequence.

    Attributes:
        sequence: (*S, N) number in the batch of the sequence each row belongs to; N is the largest
            count of real positions of any of the S: the others are filled up with padding.
        position: (*S, N) its position there.
    """

    def __init__(self, inside: Tensor):
        *lead, B, L = self.shape = inside.shape
        flat = inside.flatten(-2)  # (*S, B L)
        N = int(flat.sum(-1).max())
        cells = torch.argsort(flat.byte(), dim=-1, descending=True, stable=True)[..., :N]
        self.sequence, self.position = cells // L, cells % L
        starts = B * L * torch.arange(lead[0] if lead else 1, device=inside.device)
        self.cells = (cells.view(-1, N) + starts[:, None]).flatten()  # (S N) in the batch of all
        self.full = bool(inside.all())  # one member may be full, and another not

    def rows(self, padded: Tensor) -> Tensor:
        """(*S, N, ...) the real positions of (*S, B, L, ...)."""
        lead = len(self.shape)
        flat = padded.reshape(-1, *padded.shape[lead:])
        kept = flat if self.full else flat.index_select(0, self.cells)
        return kept.unflatten(0, self.sequence.shape)

    def padded(self, rows: Tensor) -> Tensor:
        """(*S, B, L, ...) the inverse of `rows`, zero where there is no row."""
        flat = rows.flatten(0, self.sequence.ndim - 1)
        if not self.full:
            blank = flat.new_zeros(self.shape.numel(), *flat.shape[1:])
            flat = blank.index_copy(0, self.cells, flat)
        return flat.unflatten(0, self.shape)

    def angles(self, size: int, dtype: torch.dtype) -> Tensor:
        """(*S, N, 1, size / 2) what turns each row; see `turns`."""
        longest, device = self.shape[-1], self.position.device
        return turns(longest, size, dtype, device)[self.position][..., None, :]

    def attend(self, layer: int, qk: Tensor, v: Tensor) -> Tensor:
        """(*S, N, heads, size) causal attention within each sequence, scaled by `size ** -0.5`.

        Args:
            layer: not used: nothing is remembered.
            qk: (*S, N, 2, heads, size) queries and keys.
            v: (*S, N, heads, size) values.
        """
        turned = self.padded(qk).flatten(0, -5)  # (S B, L, 2, heads, size)
        q, k = (part.transpose(1, 2) for part in turned.unbind(2))  # (S B, heads, L, size)
        values = self.padded(v).flatten(0, -4).transpose(1, 2)
        out = scaled_dot_product_attention(q, k, values, is_causal=True)
        return self.rows(out.transpose(1, 2).unflatten(0, self.shape[:-1]))

    def spread(self, per_sequence: Tensor) -> Tensor:
        """(*S, N, w): each row gets what its sequence has in (*S, B, w)."""
        index = self.sequence[..., None].expand(*self.sequence.shape, per_sequence.shape[-1])
        return per_sequence.gather(-2, index)


def rotate(x: Tensor, angles: Tensor) -> Tensor:
    """Turn pairs of coordinates by angles that grow with the position.

    `q_s . k_t` then depends on s - t, whatever the length (rotary embedding; Su et al.,
    "RoFormer", 2021).

    Args:
        x: (..., size).
        angles: complex numbers of modulus 1 that broadcast against (..., size / 2).
    """
    wide = x.to(torch.promote_types(x.dtype, torch.float32)).unflatten(-1, (-1, 2))
    turned = torch.view_as_complex(wide) * angles
    return torch.view_as_real(turned).flatten(-2).to(x.dtype)


def turns(length: int, size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(length, size / 2) complex `exp(i t 10000^(-2 j / size))`."""
    rounded = 1 << max(length - 1, 63).bit_length()  # few tables, each for many lengths
    double = dtype == torch.float64
    return _turns(rounded, size, torch.complex128 if double else torch.complex64, device)[:length]


@lru_cache(maxsize=32)
@torch.inference_mode(False)  # a table made while scoring must serve training too
def _turns(length: int, size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    pair = torch.arange(0, size, 2, device=device, dtype=torch.float64)
    t = torch.arange(length, device=device, dtype=torch.float64)[:, None]
    angle = t * 10000.0 ** (-pair / size)
    return torch.polar(torch.ones_like(angle), angle).to(dtype)
