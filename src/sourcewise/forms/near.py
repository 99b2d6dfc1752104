"""Near copies of images: one picture but for noise, brightness, contrast or compression.

A perceptual hash proposes, the pixels decide. The hash (a difference hash: N. Krawetz, "Kind of
like that", 2013) has 64 bits: of the grey image at 8 x 9, whether each value exceeds its left
neighbour by more than a twentieth of the image's standard deviation; without that margin flat
parts would be noise. Hashes that differ in at most 3 bits agree in one of four bands of 16: sorted
by each band in turn, each is compared with the 8 after it, so that the time is that of sorting,
however alike the images are. Two images are near copies if the grey values at 16 x 16 correlate by
more than 0.998.

Images that are moved or cut are not found; nor are all near copies among thousands of images that
are all alike.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

__all__ = ["SMALLEST", "near_pairs"]

SMALLEST = 12  # pixels a side; all pictures are alike in fewer
CORRELATION = 0.998
_FINEST = 16  # pixels a side at which images are compared
_HASHED = (8, 9)
_MARGIN = 0.05  # standard deviations
_BANDS, _WIDTH, _DIFFERENT, _AFTER = 4, 16, 3, 8
_LUMA = (0.299, 0.587, 0.114)
_SET = np.array([bin(byte).count("1") for byte in range(256)], np.uint8)  # bits of each byte
_TOGETHER = 1 << 14  # pairs, or images, at once


def near_pairs(blocks: Iterable[Tensor]) -> Tensor:
    """(pairs, 2) numbers of images that are near copies, the smaller one first.

    Args:
        blocks: the images, some (b, C, H, W) uint8 at a time.
    """
    hashes, thumbnails = [], []
    for pixels in blocks:
        for some in pixels.split(_TOGETHER):
            grey = _grey(some)
            hashes.append(_hashes(grey))
            thumbnails.append(_thumbnails(grey).half())
    if not hashes:
        return torch.empty((0, 2), dtype=torch.int64)
    pairs = torch.from_numpy(_candidates(np.concatenate(hashes)))
    small = torch.cat(thumbnails)
    alike = [
        (small[some[:, 0]].float() * small[some[:, 1]].float()).sum(1) > CORRELATION
        for some in pairs.split(_TOGETHER)
    ]
    return pairs[torch.cat(alike)] if alike else pairs


def _grey(pixels: Tensor) -> Tensor:
    """(b, 1, H, W) float32."""
    values = pixels.float()
    if values.shape[1] == 1:
        return values
    return (values * torch.tensor(_LUMA)[:, None, None]).sum(1, keepdim=True)


def _hashes(grey: Tensor) -> np.ndarray:
    """(b,) uint64."""
    small = adaptive_avg_pool2d(grey, _HASHED)[:, 0]
    margin = _MARGIN * grey.flatten(1).std(1, correction=0)
    bits = (small[:, :, 1:] - small[:, :, :-1] > margin[:, None, None]).flatten(1).numpy()
    return np.packbits(bits, axis=1).view(np.uint64)[:, 0]


def _thumbnails(grey: Tensor) -> Tensor:
    """(b, at most 256) grey values at a small size, of mean 0 and length 1."""
    H, W = grey.shape[2:]
    small = adaptive_avg_pool2d(grey, (min(H, _FINEST), min(W, _FINEST))).flatten(1)
    small = small - small.mean(1, keepdim=True)
    return small / small.norm(dim=1, keepdim=True).clamp_min(1e-6)


def _candidates(hashes: np.ndarray) -> np.ndarray:
    """(pairs, 2) whose hashes are close, each once."""
    n = len(hashes)
    found = [first * n + second for first, second in _close(hashes)]
    codes = np.unique(np.concatenate(found)) if found else np.empty(0, np.int64)
    return np.stack([codes // n, codes % n], 1)


def _close(hashes: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The same in parts, some twice."""
    for band in range(_BANDS):
        turned = _turned(hashes, _WIDTH * band)
        order = np.argsort(turned, kind="stable")
        turned = turned[order]
        for after in range(1, min(_AFTER, len(hashes) - 1) + 1):
            close = _count(turned[after:] ^ turned[:-after]) <= _DIFFERENT
            a, b = order[:-after][close], order[after:][close]
            yield np.minimum(a, b), np.maximum(a, b)


def _turned(hashes: np.ndarray, by: int) -> np.ndarray:
    """Hashes with their first bits moved to the end."""
    return (hashes << np.uint64(by)) | (hashes >> np.uint64(64 - by)) if by else hashes


def _count(words: np.ndarray) -> np.ndarray:
    """(n,) how many bits are set in each of 64 bits."""
    return _SET[words.view(np.uint8).reshape(-1, 8)].sum(1)
