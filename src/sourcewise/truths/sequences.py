"""Known distributions of sequences in {0..M-1}^D, for simulations of autoregressive models.

Three kinds, each with a similarity that is known:

| truth | p(. | y = k) | similarity |
|---|---|---|
| independent | a draw of Dirichlet(a, ..., a) over all M^D sequences, for each source | 0 |
| shared logits | softmax(z + s z_k), z and z_k standard normal in R^(M^D) | 1/(1 + s^2) |
| realizable | a conditional ARM with random parameters | P_shared / (P_shared + P_src) |

The similarity of shared logits is the correlation of two sources' logits; of the others it is the
sharing factor beta of the theory, section 2 (nothing of independent tables is shared).
"""

from dataclasses import dataclass

import torch
from scipy.special import gammaincinv
from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.randomness import ExampleNoise, Noise

__all__ = ["SequenceTruth", "independent_sequences", "shared_logits"]

LARGEST = 1 << 20


@dataclass(frozen=True)
class SequenceTruth:
    """Tables of log-probabilities over all sequences.

    >>> truth = shared_logits(K=2, M=2, D=3, s=0.5, noise=Noise(0))
    >>> x = truth.sample(torch.tensor([0, 1, 1]), noise=Noise(1))
    >>> x.shape, truth.log_prob(x, torch.tensor([0, 1, 1])).shape, truth.similarity
    (torch.Size([3, 3]), torch.Size([3]), 0.8)

    Args:
        log_p: (K, M^D) float64, sequences in lexicographic order.
        M: symbols.
        D: positions.
        similarity: see the module.
    """

    log_p: Tensor
    M: int
    D: int
    similarity: float

    def log_table(self, k: int) -> Tensor:
        """(M^D,) log-probabilities of all sequences under source k."""
        return self.log_p[k]

    def log_prob(self, x: Tensor, y: Tensor) -> Tensor:
        """(B,) log-probability of sequences x (B, D)."""
        return self.log_p[y, (x * self.places).sum(-1)]

    def sample(self, y: Tensor, *, noise: Noise | ExampleNoise) -> Tensor:
        """(B, D) one sequence per entry of y, by the inverse of the distribution function."""
        u = noise.each(y).uniform(1)[:, 0]
        numbers = torch.empty(len(y), dtype=torch.int64)
        for k in y.unique().tolist():
            below = self.log_p[k].exp().cumsum(0)
            rows = y == k
            numbers[rows] = torch.searchsorted(below, u[rows] * below[-1], right=True)
        numbers.clamp_(max=self.log_p.shape[1] - 1)
        return numbers[:, None] // self.places % self.M

    @property
    def places(self) -> Tensor:
        """(D,) M^(D-1), ..., M, 1: symbols times these sum to the number of a sequence."""
        return self.M ** torch.arange(self.D - 1, -1, -1)


def independent_sequences(
    K: int, M: int, D: int, noise: Noise, concentration: float = 1.0
) -> SequenceTruth:
    """Every source a draw of Dirichlet(a, ..., a), independently.

    Args:
        K: sources.
        M: symbols.
        D: positions; M^D at most 2^20.
        noise: which draw.
        concentration: a, above 0.
    """
    if not concentration > 0:
        raise InputError(f"concentration must be above 0, got {concentration}")
    u = noise.of("dirichlet").uniform(K, _size(M, D))
    gamma = torch.from_numpy(gammaincinv(concentration, u.numpy()))
    return SequenceTruth(gamma.clamp(min=1e-300).log().log_softmax(1), M, D, 0.0)


def shared_logits(K: int, M: int, D: int, s: float, noise: Noise) -> SequenceTruth:
    """`softmax(z + s z_k)`, s >= 0: the smaller s, the more alike the sources.

    Arguments as for `independent_sequences`.
    """
    if not s >= 0:
        raise InputError(f"s must be at least 0, got {s}")
    size = _size(M, D)
    own = torch.stack([noise.of("source", k).normal(size) for k in range(K)])
    log_p = (noise.of("shared").normal(size) + s * own).log_softmax(1)
    return SequenceTruth(log_p, M, D, 1 / (1 + s * s))


def _size(M: int, D: int) -> int:
    if M**D > LARGEST:
        raise InputError(f"{M}^{D} sequences are too many for a table (at most 2^20)")
    return M**D
