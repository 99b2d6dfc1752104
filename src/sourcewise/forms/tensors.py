"""Bytes of plain tensors, for fingerprints."""

from collections.abc import Iterator

from torch import Tensor

__all__ = ["bytes_of"]


def bytes_of(x: Tensor) -> Iterator[bytes]:
    """The bytes that identify a tensor: its shape, type and values."""
    yield repr((tuple(x.shape), str(x.dtype))).encode()
    yield x.detach().cpu().contiguous().numpy().tobytes()
