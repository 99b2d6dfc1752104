"""The tree: depths, common ancestors and similarities, against walks along its links."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sourcewise.errors import InputError
from sourcewise.similarity.hierarchy import Hierarchy

ANIMALS = Hierarchy(
    {
        "cat": "feline",
        "lion": "feline",
        "feline": "mammal",
        "dog": "mammal",
        "mammal": "animal",
        "frog": "animal",
        "animal": "all",
        "car": "all",
    },
    labels={"car": "automobile", "frog": "croaker", "dog": "hound", "lion": "hound"},
)
SIMILARITIES = {  # each by hand
    ("cat", "lion"): 3,
    ("cat", "dog"): 2,
    ("dog", "lion"): 2,
    ("cat", "frog"): 1,
    ("dog", "frog"): 1,
    ("frog", "lion"): 1,
    ("car", "cat"): 0,
    ("car", "frog"): 0,
}


@st.composite
def trees(draw, most=12):
    """Every node hangs from one before it: all trees of so many nodes, up to names."""
    n = draw(st.integers(2, most))
    parents = {f"n{i}": f"n{draw(st.integers(0, i - 1))}" for i in range(1, n)}
    shuffled = draw(st.permutations(list(parents.items())))
    return Hierarchy(dict(shuffled))


def ancestors(tree: Hierarchy, node: str) -> set[str]:
    """Itself and all above, by one link at a time."""
    found = {node}
    while node in tree.parents:
        node = tree.parents[node]
        found.add(node)
    return found


def test_similarities_of_a_small_tree_are_those_by_hand():
    for (a, b), depth in SIMILARITIES.items():
        assert ANIMALS.similarity(a, b) == ANIMALS.similarity(b, a) == depth
    assert ANIMALS.common_ancestor(["cat", "dog", "frog"]) == "animal"
    assert ANIMALS.common_ancestor(["cat", "feline"]) == "feline"
    assert [ANIMALS.depth(name) for name in ("all", "car", "frog", "dog", "cat")] == [
        0,
        1,
        2,
        3,
        4,
    ]
    assert ANIMALS.path("dog") == ("all", "animal", "mammal", "dog")
    assert ANIMALS.classes == ("cat", "lion", "dog", "frog", "car")
    # cat and dog 2, cat and car 0, dog and car 0
    assert ANIMALS.average_similarity(["cat", "dog", "car"]) == pytest.approx(2 / 3)


@given(trees())
def test_similarity_is_the_number_of_common_ancestors_less_one(tree):
    nodes = [tree.root, *tree.parents]
    found = tree.matrix(nodes)
    for (i, a), (j, b) in itertools.product(enumerate(nodes), repeat=2):
        both = ancestors(tree, a) & ancestors(tree, b)
        assert found[i, j] == len(both) - 1 == tree.similarity(a, b)
        assert ancestors(tree, tree.common_ancestor([a, b])) == both
    assert found.diagonal().tolist() == [tree.depth(node) for node in nodes]


@given(trees())
def test_of_three_similarities_the_two_smallest_are_equal(tree):
    similar = tree.matrix([tree.root, *tree.parents])
    through = np.minimum(similar[:, :, None], similar[None, :, :])  # of a, b and b, c
    assert (similar[:, None, :] >= through).all()


@given(trees())
def test_the_average_is_over_pairs(tree):
    nodes = [tree.root, *tree.parents]
    pairs = [tree.similarity(a, b) for a, b in itertools.combinations(nodes, 2)]
    assert tree.average_similarity(nodes) == pytest.approx(sum(pairs) / len(pairs))


def test_labels_are_names_too():
    assert ANIMALS.node("automobile") == "car"
    assert ANIMALS.similarity("croaker", "cat") == 1


@pytest.mark.parametrize(
    ("message", "ask"),
    [
        ("no class 'catt': did you mean 'cat'?", lambda: ANIMALS.depth("catt")),
        ("'hound' names 2 nodes: write one of dog, lion", lambda: ANIMALS.node("hound")),
        ("needs at least one class, got none", lambda: ANIMALS.common_ancestor([])),
        ("needs at least 2 classes, got 1", lambda: ANIMALS.average_similarity(["cat"])),
        ("'a' stands under itself: no tree", lambda: Hierarchy({"a": "b", "b": "a"})),
        ("'a' stands under itself: no tree", lambda: Hierarchy({"a": "a", "b": "c"})),
        ("a tree has one root, found a, b", lambda: Hierarchy({"c": "a", "d": "b"})),
        ("a tree has one root, found none", lambda: Hierarchy({})),
        (
            "here: 'c' stands under both 'a' and 'b'",
            lambda: Hierarchy.of([("a", "c"), ("r", "a"), ("r", "b"), ("b", "c")], where="here"),
        ),
    ],
)
def test_what_is_no_tree_or_no_class_is_refused_in_one_line(message, ask):
    with pytest.raises(InputError) as stop:
        ask()
    assert message in str(stop.value)
    assert "\n" not in str(stop.value)


def test_long_chains_are_no_trouble():
    n = 20_000
    chain = Hierarchy({f"n{i + 1}": f"n{i}" for i in reversed(range(n))})
    assert chain.depth(f"n{n}") == n
    assert chain.similarity(f"n{n}", "n5") == 5
