"""Sets of K classes at a level of similarity: 1 is less similar, 2 is more similar.

Both levels are exact statements about all sets of K among the given classes.

- *Level 1* spreads the classes over the tree: no set of K has a smaller average similarity. The
  classes are taken one by one, each the least similar in sum to those before, in a random order
  where several are. That is exact: the sum over pairs is `sum over nodes v of n_v (n_v - 1) / 2`,
  with n_v the classes at or below v and the root left out; convex functions of the sizes of nested
  groups are minimised by the cheapest next step.
- *Level 2* draws them from one deep group: no set of K has a larger least similarity. That is the
  depth of the deepest node with K or more of the classes at or below it. Of several such nodes one
  is drawn, and then K of its classes. A group of all classes is none: they would be no more alike
  than any others.

With the same noise a smaller set at level 1 is part of a larger one. So it is at level 2, as long
as both come from the same group.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from sourcewise.errors import InputError, counted, shortened
from sourcewise.randomness import Noise
from sourcewise.similarity.hierarchy import Hierarchy

__all__ = ["LESS", "MORE", "choose"]

LESS, MORE = 1, 2  # the levels


def choose(
    hierarchy: Hierarchy, classes: Sequence[str], K: int, level: int, noise: Noise
) -> list[str]:
    """K of the classes at a level, in the order in which they were given.

    The order of the classes has no influence on which are chosen.

    >>> tree = Hierarchy({"cat": "animal", "dog": "animal", "animal": "all", "car": "all"})
    >>> choose(tree, ["cat", "dog", "car"], 2, level=2, noise=Noise(0))
    ['cat', 'dog']

    Args:
        hierarchy: the tree.
        classes: names or labels of different nodes.
        K: how many, 2 or more.
        level: 1 for classes that are far apart, 2 for classes that are close.
        noise: of the choice.

    Raises:
        InputError: an unknown class or one given twice, too few classes for K at this level, or
            another level.
    """
    nodes = [hierarchy.node(name) for name in classes]
    _check(classes, nodes, K, level)
    order = sorted(nodes)
    noise = noise.of("similarity", level)
    pick = _far_apart if level == LESS else _close
    chosen = pick(hierarchy, order, K, noise)
    return [name for name, node in zip(classes, nodes, strict=True) if node in chosen]


def _check(classes: Sequence[str], nodes: Sequence[str], K: int, level: int) -> None:
    if level not in (LESS, MORE):
        raise InputError(f"a level is {LESS} (less similar) or {MORE} (more similar), got {level}")
    twice = [node for node, n in Counter(nodes).items() if n > 1]
    if twice:
        same = [name for name, node in zip(classes, nodes, strict=True) if node == twice[0]]
        both = " and ".join(shortened(repr(name)) for name in same[:2])
        raise InputError(f"classes must differ: {both} are the same")
    if not 2 <= K <= len(nodes):
        there = counted(len(nodes), "class") if len(nodes) == 1 else f"{len(nodes)} classes"
        raise InputError(f"K must be from 2 to the number of classes, got {K} of {there}")


def _far_apart(hierarchy: Hierarchy, nodes: Sequence[str], K: int, noise: Noise) -> set[str]:
    mixed = [nodes[int(i)] for i in noise.permutation(len(nodes)).tolist()]
    similar = hierarchy.matrix(mixed)
    in_sum = np.zeros(len(mixed))  # similarity to those that are chosen; inf for these themselves
    for _ in range(K):
        best = int(in_sum.argmin())  # the first of the least
        in_sum += similar[best]
        in_sum[best] = np.inf
    return {node for node, total in zip(mixed, in_sum, strict=True) if np.isinf(total)}


def _close(hierarchy: Hierarchy, nodes: Sequence[str], K: int, noise: Noise) -> set[str]:
    paths = {node: hierarchy.path(node) for node in nodes}
    held = Counter(group for path in paths.values() for group in path)
    held = {group: n for group, n in held.items() if n < len(nodes)}  # fewer than all
    most = max(held.values(), default=0)
    if most < K:
        told = f"the largest group below that of all {len(nodes)} classes holds {most} of them"
        raise InputError(f"level {MORE} takes at most {most} of these classes, got {K}: {told}")
    depth = {group: hierarchy.depth(group) for group, n in held.items() if n >= K}
    deepest = sorted(group for group, d in depth.items() if d == max(depth.values()))
    group = deepest[int(noise.of("group").integers(len(deepest)))]
    inside = [node for node in nodes if group in paths[node]]
    return {inside[int(i)] for i in noise.permutation(len(inside))[:K].tolist()}
