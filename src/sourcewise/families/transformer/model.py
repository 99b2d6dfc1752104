"""The transformer family: p(x | y, c) of strings of symbols, one symbol after another.

    p(x_1 ... x_T | y, c) = prod_t p(x_t | y, c, x_1, ..., x_{t-1}) p(end | y, c, x)

The first input, the prefix of every string, is the source's row of a table (with one source: the
start symbol), plus a linear map of given columns c if there are such. Input t + 1 is x_t; output t
is a softmax over the V symbols and the end of sequence, which has number V.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, pad

from sourcewise.batch import Batch
from sourcewise.errors import InputError
from sourcewise.families.base import BatchNoise, ConditionalModel, Density
from sourcewise.families.transformer.settings import TransformerSettings
from sourcewise.forms import Ragged
from sourcewise.networks.cache import Cache
from sourcewise.networks.given import given_layer, with_given
from sourcewise.networks.layers import Embedding, Linear
from sourcewise.networks.packing import Packed
from sourcewise.networks.transformer import Decoder, Drop
from sourcewise.randomness import ExampleNoise, Noise

__all__ = ["Transformer"]

_EMBEDDING = 0.05  # standard deviation of the inputs at the start
_GIVEN = 0.1  # likewise of given columns: their entries within 0.1 / sqrt(C)
_SCORED = 2**14  # padded positions scored at once
_SAMPLED = 1024  # strings drawn at once
_DRAWN = 64  # uniform draws made ahead for each string


class Transformer(ConditionalModel):
    """Decoder-only transformer over symbol numbers 0, ..., V - 1.

    Args:
        settings: sizes and dropout.
        K: number of sources. With `label_dropout`, y = K is "label dropped".
        vocabulary: number V of symbols.
        C: number of given columns, encoded.
    """

    stackable = True

    def __init__(self, settings: TransformerSettings, *, K: int, vocabulary: int, C: int = 0):
        super().__init__()
        self.settings, self.K, self.vocabulary, self.C = settings, K, vocabulary, C
        width, dropped = settings.width, int(settings.label_dropout > 0)
        self.labels = Embedding(K + dropped, width, scale=_EMBEDDING)
        self.given = given_layer(C, width, gain=_GIVEN)
        self.symbols = Embedding(vocabulary, width, scale=_EMBEDDING)
        self.decoder = Decoder(width, settings.layers, settings.heads, 4 * width)
        self.out = Linear(width, vocabulary + 1)

    @property
    def free_parameters(self) -> int:
        """Number of entries of all parameters."""
        return sum(parameter.numel() for parameter in self.parameters())

    def loss(self, batch: Batch, noise: BatchNoise) -> Tensor:
        """(B,) `-log p(x | y, c)` of whole strings with their ends, in nats; (S, B) of S models.

        Args:
            batch: of (B, T) int64 symbols, -1 after the end of a string.
            noise: for dropout, in training only. Its masks belong to a string and a channel, not
                to a position (Gal and Ghahramani 2016): padding changes nothing.
        """
        x, y = batch.tensor, batch.y
        if not self.training:
            return self._nats(x, self.prefix(y, batch.c), None)
        y = self._forget(y, noise.of("label"))
        return self._nats(x, self.prefix(y, batch.c), noise.of("dropout"))

    def log_density(self, batch: Batch, noise: Noise) -> Density:
        """Of whole strings, or (B, T) symbols with -1 after their ends; never with dropout."""
        x, y = batch.x, batch.y
        x = Ragged.of_padded(x) if isinstance(x, Tensor) else x
        order = torch.argsort(x.lengths, descending=True, stable=True)
        first = self.prefix(y, batch.c)
        parts = [-self._nats(x.padded(i), first[i.to(y.device)], None) for i in _chunks(x, order)]
        if not parts:
            return Density(self.out.weight.new_zeros(0))
        return Density(torch.cat(parts)[torch.argsort(order).to(y.device)])

    def prefix(self, y: Tensor, c: Tensor | None = None) -> Tensor:
        """(*S, B, width) the first input of strings of sources (*S, B), given (*S, B, C)."""
        return with_given(self.labels(y), c, self.given)

    def logits(self, x: Tensor, y: Tensor, c: Tensor | None = None) -> Tensor:
        """(*S, B, T + 1, V + 1) scores of what comes at each position, zero after the end."""
        packed = Packed(_inside(x))
        return packed.padded(self._scores(packed, x, self.prefix(y, c), None))

    @torch.no_grad()
    def sample(
        self,
        y: Tensor,
        noise: Noise | ExampleNoise,
        c: Tensor | None = None,
        temperature: float = 1.0,
        longest: int | None = None,
    ) -> Ragged:
        """One string per entry of y, by inverting the distribution function at each position.

        A string without an end after `longest` symbols is cut there. Strings depend on their
        batch only where a uniform draw falls within rounding of a jump.

        Args:
            y: (B,) sources.
            noise: one stream per string.
            c: (B, C) given columns, encoded.
            temperature: divides the logits, above 0.
            longest: symbols at most; the setting `longest` if None.
        """
        if not temperature > 0:
            raise InputError(f"temperature must be above 0, not {temperature}")
        noise, longest = noise.each(y), self.settings.longest if longest is None else longest
        first, parts = self.prefix(y, c), []
        for rows in torch.arange(len(y), device=y.device).split(_SAMPLED):
            drawn = self._draw(first[rows], noise.take(rows).of("symbols"), temperature, longest)
            parts.append(Ragged.of_padded(drawn))
        return Ragged.joined(parts)

    def step(self, h: Tensor, cache: Cache) -> Tensor:
        """(B, V + 1) scores after one more input h (B, width), a `prefix` or row of `symbols`."""
        scores = self.out(self.decoder(h, cache))
        cache.advance()
        return scores

    def _draw(self, h: Tensor, noise: ExampleNoise, temperature: float, longest: int) -> Tensor:
        """(B, T) symbols, -1 after the end, from prefixes (B, width)."""
        live = torch.arange(len(h), device=h.device)  # the strings that the cache holds
        going = torch.ones_like(live, dtype=torch.bool)  # those of them that have not ended
        cache, nothing = Cache(self.settings.layers, h.device), live.new_full(live.shape, -1)
        u, columns = torch.empty(0), []
        for t in range(longest):
            if t % _DRAWN == 0:
                u = noise.of(t // _DRAWN).uniform(_DRAWN)  # (B, _DRAWN)
            symbol = _invert(self.step(h, cache) / temperature, u[live, t % _DRAWN])
            going = going & (symbol < self.vocabulary)
            symbol = torch.where(going, symbol, -1)
            columns.append(nothing.index_copy(0, live, symbol))
            count = int(going.sum())
            if not count:
                break
            if 4 * count <= 3 * len(live):  # ended strings leave when they are a quarter
                kept = going.nonzero().squeeze(1)
                cache.keep(kept)
                live, going, symbol = live[kept], going[kept], symbol[kept]
            h = self.symbols(symbol.clamp(min=0))
        return torch.stack(columns, 1) if columns else nothing.new_empty(len(nothing), 0)

    def _nats(self, x: Tensor, first: Tensor, noise: BatchNoise | None) -> Tensor:
        """(*S, B) of `-log p(x | y, c)`, from prefixes (*S, B, width)."""
        inside = _inside(x)
        packed = Packed(inside)
        scores = self._scores(packed, x, first, noise)  # (*S, N, V + 1)
        target = packed.rows(_targets(x, inside, self.vocabulary))
        wide = scores.to(torch.promote_types(scores.dtype, torch.float32))
        nats = cross_entropy(
            wide.flatten(0, -2), target.flatten(), ignore_index=-1, reduction="none"
        )
        return packed.padded(nats.view(target.shape)).sum(-1)

    def _scores(
        self, packed: Packed, x: Tensor, first: Tensor, noise: BatchNoise | None
    ) -> Tensor:
        """(*S, N, V + 1) scores at the rows of a batch."""
        inputs = [first[..., None, :], self.symbols(x.clamp(min=0))]
        h = packed.rows(torch.cat(inputs, -2))  # (*S, N, width)
        return self.out(self.decoder(h, packed, self._drop(packed, noise)))

    def _drop(self, packed: Packed, noise: BatchNoise | None) -> Drop | None:
        """Sets channels of an update to zero, the same at all positions of a string."""
        p, width = self.settings.dropout, self.settings.width
        if noise is None or not p:
            return None

        def drop(update: Tensor, number: int) -> Tensor:
            draws = noise.of(number).uniform(packed.shape[-2], width)  # (*S, B, width)
            kept = (draws >= p).to(update) / (1 - p)
            return update * packed.spread(kept)

        return drop

    def _forget(self, y: Tensor, noise: BatchNoise) -> Tensor:
        """Labels, some of them replaced by K."""
        p = self.settings.label_dropout
        if not p:
            return y
        forgotten = noise.uniform(y.shape[-1]).to(y.device) < p
        return torch.where(forgotten, self.K, y)


def _inside(x: Tensor) -> Tensor:
    """(*S, B, T + 1) mask of the positions that have a target: a symbol or the end."""
    going = (x >= 0).cumprod(-1).bool()
    return pad(going, (1, 0), value=True)


def _targets(x: Tensor, inside: Tensor, end: int) -> Tensor:
    """(*S, B, T + 1) the symbol, the end, or -1 where nothing comes."""
    after = pad(x, (0, 1), value=-1)
    after = torch.where(after < 0, end, after)
    return after.masked_fill(~inside, -1)


def _invert(scores: Tensor, u: Tensor) -> Tensor:
    """(B,) the first symbol whose distribution function exceeds u, of scores (B, V + 1)."""
    upto = scores.double().softmax(-1).cumsum(-1)
    return torch.searchsorted(upto, (u * upto[:, -1])[:, None], right=True)[:, 0]


def _chunks(x: Ragged, order: Tensor) -> Iterator[Tensor]:
    """Pieces of an order by falling length, each of bounded size when padded."""
    lengths, start = x.lengths[order].tolist(), 0
    while start < len(order):
        stop = start + max(1, _SCORED // (lengths[start] + 1))
        yield order[start:stop]
        start = stop
