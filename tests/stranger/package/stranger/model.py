"""Rows from noise: x = g(e, y), e standard normal.

Trained by the energy score of two draws x', x'' for each row,

    S(x) = (|x' - x| + |x'' - x|) / 2 - |x' - x''| / 2,

whose expectation is lowest where draws follow the data (Gneiting and Raftery, "Strictly proper
scoring rules", 2007). It has no density, and only stock layers.
"""

import torch
from torch import Tensor, nn

from sourcewise.families.base import ConditionalModel


class Generator(ConditionalModel):
    """A small network with an embedding of the source."""

    def __init__(self, settings, *, K: int, d: int):
        super().__init__()
        self.settings, self.latent = settings, settings.latent
        self.source = nn.Embedding(K, settings.width)
        self.first = nn.Linear(settings.latent, settings.width)
        self.last = nn.Linear(settings.width, d)

    @property
    def free_parameters(self) -> int:
        return sum(p.numel() for p in self.parameters())

    def forward(self, e: Tensor, y: Tensor) -> Tensor:
        return self.last(torch.tanh(self.first(e) + self.source(y)))

    def loss(self, batch, noise) -> Tensor:
        e = [noise.of(i).normal(len(batch.y), self.latent).to(self.first.weight) for i in range(2)]
        x = batch.tensor.to(e[0])
        a, b = (self(draw, batch.y) for draw in e)
        apart = (a - x).norm(dim=-1) + (b - x).norm(dim=-1)
        return apart / 2 - (a - b).norm(dim=-1) / 2

    def sample(self, y: Tensor, noise, c: Tensor | None = None) -> Tensor:
        e = noise.each(y).normal(self.latent)
        return self(e.to(self.first.weight), y).double()
