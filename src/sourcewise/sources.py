"""The labelled sample: examples x, the source y of each, and the sources' names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b

import torch
from torch import Tensor

from sourcewise.errors import InputError
from sourcewise.forms import Table, Whole, X, as_table, content, take
from sourcewise.limits import MOST_SOURCES, check_names
from sourcewise.places import Places
from sourcewise.randomness import Noise
from sourcewise.schema import SeenColumn
from sourcewise.splits import deal, identical, repeats_by_chance

__all__ = ["Sources"]


@dataclass(frozen=True)
class Sources:
    """A labelled sample.

    >>> data = Sources(torch.arange(6.0).reshape(6, 1), torch.tensor([0, 0, 0, 1, 1, 1]), "ab")
    >>> data.K, data.counts.tolist(), data.of("b").x.squeeze().tolist()
    (2, [3, 3], [3.0, 4.0, 5.0])

    Args:
        x: n examples: a tensor (n, ...), a `Table`, `Ragged` sequences or `Images`.
        y: (n,) integer source in {0, ..., K - 1}.
        names: the K sources' names, all different.
        group: (n,) integers; rows of one group stay together in splits and resampling.
        group_by: the columns that the group was made of.
        name: what the data set is called.
        reading: the options it was read with.
        c: n rows of given columns, that models are conditioned on beside the source: a `Table`,
            or numbers (n, C), called x1, ..., xC; None: there are none.
        seen: what was found of each column of a table.
        notes: what a reader of results must know of how the data were read.
        places: where each example stands, for messages.
        independent: whether the user says that every row stands for itself (`--group none`).
    """

    x: X
    y: Tensor
    names: Sequence[str]
    group: Tensor | None = None
    group_by: tuple[str, ...] = ()
    name: str = "data"
    reading: Mapping[str, object] = field(default_factory=dict)
    c: Table | Tensor | None = None
    seen: tuple[SeenColumn, ...] = ()
    notes: tuple[str, ...] = ()
    places: Places = field(default_factory=Places)
    independent: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(str(name) for name in self.names))
        object.__setattr__(self, "y", torch.as_tensor(self.y).to(torch.int64))
        if len(set(self.names)) != len(self.names):
            raise InputError("two sources have the same name")
        if self.K > MOST_SOURCES:
            raise InputError(f"{self.name}: {self.K} sources (at most {MOST_SOURCES})")
        check_names(self.names, "source", self.name)
        if self.y.shape != (len(self.x),):
            raise InputError(f"{len(self.x)} examples, but y has shape {tuple(self.y.shape)}")
        if self.c is not None and len(self.c) != len(self.y):
            raise InputError(f"{len(self.x)} examples, but given columns of {len(self.c)} rows")
        if not len(self.y):
            raise InputError(f"{self.name} holds no rows")
        low, high = int(self.y.min()), int(self.y.max())
        if low < 0 or high >= self.K:
            raise InputError(f"y must lie in 0..{self.K - 1}, found {low}..{high}")

    def __len__(self) -> int:
        return len(self.y)

    @property
    def K(self) -> int:
        """Number of sources."""
        return len(self.names)

    @cached_property
    def counts(self) -> Tensor:
        """(K,) rows of each source, n_k."""
        return torch.bincount(self.y, minlength=self.K)

    def take(self, index: Tensor) -> "Sources":
        """The examples at `index` (integers or a mask), all sources' names kept."""
        group = None if self.group is None else self.group[index]
        c = None if self.c is None else take(self.c, index)
        x, places = take(self.x, index), self.places.take(index)
        return replace(self, x=x, y=self.y[index], c=c, group=group, places=places)

    def of(self, source: str | int) -> "Sources":
        """The examples of one source."""
        k = self.names.index(source) if isinstance(source, str) else source
        return self.take((self.y == k).nonzero().squeeze(1))

    def fingerprint(self) -> str:
        """32 hexadecimal digits that change with any value, label, name, given column or group."""
        digest = blake2b(repr(self.names).encode(), digest_size=16)
        more = (part for part in (self.group, self.c) if part is not None)
        for part in (self.x, self.y, *more):
            for chunk in content(part):
                digest.update(chunk)
        return digest.hexdigest()

    @property
    def rows(self) -> Tensor | Whole:
        """The examples in a form that tells which are identical: (n, d) numbers, texts, images.

        Rows of numbers are so with their given columns.
        """
        if isinstance(self.x, Whole):
            return self.x
        x = as_table(self.x).matrix()
        return x if self.c is None else torch.cat([x, as_table(self.c).matrix()], 1)

    @cached_property
    def same(self) -> Tensor:
        """(n,) the same number for identical examples, in order of first appearance.

        A text or an image is known again whatever is given beside it.
        """
        return identical(self.rows)

    @cached_property
    def units(self) -> Tensor:
        """(n,) unit of each example, numbered in order of first appearance.

        What stays together: groups if given, otherwise identical examples, unless they are by
        chance. Groups say what belongs together; identical rows in different groups do not join
        them, or chance would chain whole groups into one.
        """
        if self.group is not None:
            return identical(self.group[:, None])
        if int(self.same[-1]) == len(self.y) - 1:  # no two are identical
            return self.same
        by_chance = repeats_by_chance(self.rows, self.same)
        return torch.arange(len(self.y)) if by_chance else self.same

    @cached_property
    def marks(self) -> Tensor:
        """(n,) int64, the same for rows of equal values and source, whatever sample they are in.

        >>> a = Sources(torch.tensor([[1.0], [2.0]]), torch.tensor([0, 1]), "ab")
        >>> b = Sources(torch.tensor([[2.0]]), torch.tensor([0]), "b")
        >>> (a.marks == b.marks).tolist()
        [False, True]
        """
        labels = [self.names[k] for k in self.y.tolist()]
        if isinstance(self.x, Whole):
            given = None if self.c is None else as_table(self.c)
            told = [] if given is None else [given.cells(name).tolist() for name in given.names]
            wholes = zip(labels, self.x.keys(), *told, strict=True)
            keys = (repr(each).encode("utf-8", "surrogatepass") for each in wholes)
            digests = (blake2b(key, digest_size=8).digest() for key in keys)
            return torch.tensor([int.from_bytes(d, "little", signed=True) for d in digests])
        import pandas as pd

        table = as_table(self.x)
        cells = {f"{j}": table.cells(name) for j, name in enumerate(table.names)}
        if self.c is not None:
            given = as_table(self.c)
            cells |= {f"c{j}": given.cells(name) for j, name in enumerate(given.names)}
        frame = pd.DataFrame({"source": labels, **cells})
        hashes = pd.util.hash_pandas_object(frame, index=False)
        return torch.from_numpy(hashes.to_numpy().astype("int64"))

    def folds(self, parts: int, noise: Noise) -> Tensor:
        """(n,) fold of each row: stratified by source, units whole."""
        return deal(self.units, self.y, parts, noise)
