"""A tree of classes, and how alike two of its classes are.

Groups hold groups, and in the end classes: every dog is a mammal, every mammal an animal. The
depth of a node is the number of links from the root to it. The similarity of two classes is the
depth of their lowest common ancestor (lca), which is the deepest node that holds both:

    sim(a, b) = depth(lca(a, b)),    sim(a, a) = depth(a)

It is symmetric, at most the depth of either class, and
`sim(a, c) >= min(sim(a, b), sim(b, c))`: of the three similarities among three classes the two
smallest are equal.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sourcewise.errors import InputError, counted, listing, shortened, unknown

__all__ = ["Hierarchy"]


@dataclass(frozen=True)
class Hierarchy:
    """A tree of named nodes; those without children are classes, the others are groups.

    >>> tree = Hierarchy({"cat": "animal", "dog": "animal", "animal": "all", "car": "all"})
    >>> tree.similarity("cat", "dog"), tree.similarity("cat", "car"), tree.depth("cat")
    (1, 0, 2)

    Args:
        parents: {node: its parent}, of all nodes but the root.
        labels: {node: another name for it}, of some or all nodes.
        where: the file that it is from, for messages.

    Raises:
        InputError: the links make no tree: a node stands under itself, or there are two roots.
    """

    parents: Mapping[str, str]
    labels: Mapping[str, str] = field(default_factory=dict)
    where: str = "the hierarchy"

    def __post_init__(self) -> None:
        self._refuse_cycles()
        roots = sorted(set(self.parents.values()) - self.parents.keys())
        if len(roots) != 1:
            found = listing(roots) if roots else "none"
            raise InputError(f"{self.where}: a tree has one root, found {found}")

    @classmethod
    def of(
        cls,
        links: Iterable[tuple[str, str]],
        labels: Mapping[str, str] | None = None,
        where: str = "the hierarchy",
    ) -> "Hierarchy":
        """The tree of some links.

        Args:
            links: pairs (parent, child); the same pair may come more than once.
            labels: as for the class.
            where: as for the class.

        Raises:
            InputError: a node has two parents, or as for the class.
        """
        parents: dict[str, str] = {}
        for parent, child in links:
            if parent == child:
                raise InputError(f"{where}: {shortened(repr(child))} stands under itself: no tree")
            known = parents.setdefault(child, parent)
            if known != parent:
                both = f"{shortened(repr(known))} and {shortened(repr(parent))}"
                raise InputError(f"{where}: {shortened(repr(child))} stands under both {both}")
        return cls(parents, labels or {}, where)

    def _refuse_cycles(self) -> None:
        done: set[str] = set()  # nodes from which the root is reached
        for node in self.parents:
            chain: dict[str, None] = {}
            while node in self.parents and node not in done:
                if node in chain:
                    name = shortened(repr(node))
                    raise InputError(f"{self.where}: {name} stands under itself: no tree")
                chain[node] = None
                node = self.parents[node]
            done.update(chain)

    @cached_property
    def root(self) -> str:
        """The node that holds all others."""
        return next(iter(set(self.parents.values()) - self.parents.keys()))

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The nodes without children, in the order of the links."""
        groups = set(self.parents.values())
        return tuple(node for node in self.parents if node not in groups)

    @cached_property
    def _named(self) -> dict[str, list[str]]:
        """{label: its nodes}."""
        found: dict[str, list[str]] = {}
        for node, label in self.labels.items():
            found.setdefault(label, []).append(node)
        return found

    def node(self, name: str) -> str:
        """The node of a name or label.

        Raises:
            InputError: there is none, or the label is that of several nodes.
        """
        if name in self.parents or name == self.root:
            return name
        found = self._named.get(name, [])
        if len(found) > 1:
            told = f"{shortened(repr(name))} names {counted(len(found), 'node')}"
            raise InputError(f"{self.where}: {told}: write one of {listing(sorted(found))}")
        if not found:
            raise unknown("class", name, (self.labels.get(leaf, leaf) for leaf in self.classes))
        return found[0]

    def path(self, name: str) -> tuple[str, ...]:
        """The nodes from the root to a node, both included; arguments and errors as for `node`."""
        upwards = [self.node(name)]
        while upwards[-1] in self.parents:
            upwards.append(self.parents[upwards[-1]])
        return tuple(reversed(upwards))

    def depth(self, name: str) -> int:
        """The number of links from the root; arguments and errors as for `node`."""
        return len(self.path(name)) - 1

    def common_ancestor(self, names: Iterable[str]) -> str:
        """The deepest node that holds all of one or more nodes; it may be one of them."""
        paths = [self.path(name) for name in names]
        if not paths:
            raise InputError("a common ancestor needs at least one class, got none")
        shared = [nodes[0] for nodes in zip(*paths, strict=False) if len(set(nodes)) == 1]
        return shared[-1]

    def similarity(self, a: str, b: str) -> int:
        """`depth(lca(a, b))`; the depth of a class where both are the same."""
        return self.depth(self.common_ancestor([a, b]))

    def matrix(self, names: Sequence[str]) -> NDArray[np.int64]:
        """The similarities of n classes, (n, n); errors as for `node`."""
        paths = [self.path(name) for name in names]
        number = {node: i for i, node in enumerate({node for path in paths for node in path})}
        found = np.full((len(paths), len(paths)), -1)
        for depth in range(max(map(len, paths), default=0)):
            # Who ends above is like nobody: each has a number of its own.
            here = [
                number[path[depth]] if depth < len(path) else -1 - i
                for i, path in enumerate(paths)
            ]
            found += np.equal.outer(here, here) & (np.array(here) >= 0)
        return found

    def average_similarity(self, names: Sequence[str]) -> float:
        """The mean of `sim(a, b)` over all pairs of two or more different classes.

        Raises:
            InputError: fewer than two classes, or as for `node`.
        """
        n = len(names)
        if n < 2:
            raise InputError(f"an average similarity needs at least 2 classes, got {n}")
        similar = self.matrix(names)
        return float(similar.sum() - similar.trace()) / (n * (n - 1))
