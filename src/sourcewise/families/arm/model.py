"""The paper's conditional autoregressive model (section 4.2), `p(x|y) = prod_d p(x_d|x_<d, y)`.

Data are sequences in {0..M-1}^D. Since p(x_d | x_<d, y) sees its prefix only, the log-likelihood
of any number of rows is a sum over the different prefixes that occur,

    sum_i log p(x_i | y_i) = sum over (y, prefix) sum_m count(y, prefix, m) log p(m | prefix, y):

counts are sufficient. `condense` finds them, and a step on the condensed rows is an exact
full-batch gradient whatever n. The tree of all prefixes gives all M^D probabilities, so that
distances to a truth are sums, not estimates.
"""

import torch
from torch import Tensor

from sourcewise.batch import Batch
from sourcewise.errors import InputError
from sourcewise.families.arm.network import ArmNetwork
from sourcewise.families.arm.settings import ArmSettings
from sourcewise.families.base import BatchNoise, ConditionalModel, Density
from sourcewise.randomness import ExampleNoise, Noise

__all__ = ["Arm", "grow"]

LARGEST_TREE = 1 << 20
CHUNK = 1 << 11  # prefixes at a time
ALIKE = 4  # nodes of the tree per prefix in a batch, up to which batches are deduplicated


class Arm(ConditionalModel):
    """The conditional ARM.

    Args:
        settings: embedding, width, depth, encoder.
        K: sources.
        M: symbols.
        D: positions.
    """

    stackable = True

    def __init__(self, settings: ArmSettings, *, K: int, M: int, D: int):
        super().__init__()
        if settings.width < D:
            raise InputError(f"setting width: at least the {D} positions, not {settings.width}")
        self.settings, self.K, self.M, self.D = settings, K, M, D
        sizes = settings.embedding, settings.width, settings.depth
        self.network = ArmNetwork(K, M, D, *sizes, settings.encoder == "shared")

    @property
    def free_parameters(self) -> int:
        """`P_shared + K P_src` of the theory (section 6, dense)."""
        return sum(parameter.numel() for parameter in self.parameters())

    def log_density(self, batch: Batch, noise: Noise) -> Density:
        """Of sequences (B, D) under their sources."""
        return Density(self._log_prob(batch.tensor, batch.y))

    def _log_prob(self, x: Tensor, y: Tensor) -> Tensor:
        """(B,), or (S, B) of S models at once."""
        several = x if x.ndim == 3 else x[None]  # (S, B, D)
        nodes = self._nodes(several, y if y.ndim == 2 else y[None])
        if nodes is None:
            log_p = self.network(x, y).log_softmax(-1).gather(-1, x[..., None])
            return log_p.squeeze(-1).sum(-1)
        v = self.network.encode(x, y)
        log_p = self._by_prefix(v if v.ndim == 3 else v[None], several, nodes)
        return log_p if x.ndim == 3 else log_p[0]

    def _nodes(self, x: Tensor, y: Tensor) -> Tensor | None:
        """(S, B, D) numbers of all prefixes in the trees of the sources; None if few are alike."""
        per_source = (self.M**self.D - 1) // (self.M - 1)
        if per_source * self.K > ALIKE * x[0].numel():
            return None
        first = [(self.M**d - 1) // (self.M - 1) for d in range(self.D)]  # of each level
        within = torch.zeros_like(x)
        for d in range(1, self.D):
            within[..., d] = within[..., d - 1] * self.M + x[..., d - 1]
        return within + torch.tensor(first, device=x.device) + per_source * y[..., None]

    def _by_prefix(self, v: Tensor, x: Tensor, nodes: Tensor) -> Tensor:
        """(S, B) log-probabilities, every different prefix going through the network once."""
        S, B, D = x.shape
        ids, symbols = nodes.flatten(1), x.flatten(1)  # (S, B D)
        seen = torch.zeros(S, self.K * ((self.M**D - 1) // (self.M - 1)), device=x.device)
        rank = seen.scatter_(1, ids, 1.0).cumsum(1).long() - 1
        which = rank.gather(1, ids)  # (S, B D), the number of each prefix among the different ones
        place = torch.zeros(S, int(rank[:, -1].max()) + 1, dtype=torch.int64, device=x.device)
        place.scatter_(1, which, torch.arange(B * D, device=x.device).expand(S, -1))
        row, d = place // D, place % D  # (S, U): a row that has the prefix, and its length
        rows = v.gather(1, row[..., None].expand(-1, -1, D))
        inside = torch.arange(D, device=x.device) <= d[..., None]
        log_p = self.network.mlp(torch.where(inside, rows, 0.0)).log_softmax(-1)  # (S, U, M)
        return log_p.flatten(1).gather(1, which * self.M + symbols).view(S, B, D).sum(-1)

    def loss(self, batch: Batch, noise: BatchNoise) -> Tensor:
        """(B,) `-log p(x | y)`."""
        return -self._log_prob(batch.tensor, batch.y)

    def condense(self, rows: Batch) -> Batch:
        """Different prefixes with the counts of what followed.

        Returns:
            (U, D + M): the prefix, -1 from where it ends, then count(y, prefix, m) for each m.
        """
        x, y = rows.tensor, rows.y
        found, sources, which = [], [], y
        for d in range(self.D):
            key = which * self.M + x[:, d - 1] if d else which
            numbers, which = key.unique(return_inverse=True)  # of the prefixes, in their order
            first = torch.empty_like(numbers)
            first[which] = torch.arange(len(y), device=y.device)  # any row that has the prefix
            size = len(numbers) * self.M
            counts = torch.bincount(which * self.M + x[:, d], minlength=size).view(-1, self.M)
            rest = torch.full((len(numbers), self.D - d), -1, device=x.device)
            found.append(torch.cat([x[first, :d], rest, counts], 1))
            sources.append(y[first])
        return Batch.of(torch.cat(found), torch.cat(sources))

    def condensed_loss(self, batch: Batch, noise: BatchNoise) -> Tensor:
        """(U,) `-sum_m count log p(m | prefix, y)` of condensed rows."""
        prefix, counts = batch.tensor[..., : self.D], batch.tensor[..., self.D :]
        logits = self.network.mlp(self.network.encode(prefix, batch.y))
        return -(counts * logits.log_softmax(-1)).sum(-1)

    def log_table(self, k: int) -> Tensor:
        """(M^D,) log-probabilities of all sequences under source k, in lexicographic order.

        The first layer acts on `[v_1, ..., v_d, 0, ..., 0]`: one symbol more adds one column to
        its value, so a node of the prefix tree costs the layers after it only.

        Raises:
            InputError: M^D above 2^20.
        """
        _check_tree(self.M, self.D)
        network = self.network
        y = torch.full((1,), k, device=network.V_Y.weight.device)
        first = network.mlp.first
        codes, columns = network.symbol_codes(), first.weight.T  # (D - 1, M), (D, W)
        source = network.encoder(network.V_Y(y)[:, None])[0]
        h = (first.bias + source * columns[0])[None]  # (1, W): the empty prefix
        steps = codes[:, :, None] * columns[1:, None]  # (D - 1, M, W): what one symbol adds to h
        return self._descend(h, torch.zeros(1, dtype=h.dtype, device=h.device), steps)

    def _descend(self, h: Tensor, log_p: Tensor, steps: Tensor) -> Tensor:
        """(N M^r,) log-probabilities below N prefixes, r positions before the end.

        Args:
            h: (N, W) values of the first layer.
            log_p: (N,) of the prefixes.
            steps: (r - 1, M, W) what each symbol adds to h.
        """
        if len(h) > CHUNK:  # a subtree at a time stays in the cache
            parts = zip(h.split(CHUNK), log_p.split(CHUNK), strict=True)
            return torch.cat([self._descend(*part, steps) for part in parts])
        log_p = grow(log_p, self.network.mlp.after_first(h).log_softmax(-1))
        if not len(steps):
            return log_p
        return self._descend((h[:, None] + steps[0]).flatten(0, 1), log_p, steps[1:])

    def sample(self, y: Tensor, noise: Noise | ExampleNoise, c: Tensor | None = None) -> Tensor:
        """(B, D) sequences, symbol by symbol."""
        u = noise.each(y).uniform(self.D).to(y.device)
        x = torch.full((len(y), self.D), -1, device=y.device)
        with torch.no_grad():
            for d in range(self.D):
                logits = self.network.mlp(self.network.encode(x, y))
                below = logits.double().softmax(-1).cumsum(-1)
                x[:, d] = (u[:, d, None] >= below[:, :-1]).sum(-1)
        return x


def grow(log_p: Tensor, conditional: Tensor) -> Tensor:
    """One level of a prefix tree: (N,) log-probabilities and (N, M) of the next symbol, (N M,)."""
    return (log_p[:, None] + conditional).flatten()


def _check_tree(M: int, D: int) -> None:
    if M**D > LARGEST_TREE:
        raise InputError(f"{M}^{D} sequences are too many to list (at most 2^20)")
