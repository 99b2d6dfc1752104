"""Sets at a level of similarity, against all sets of their size."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sourcewise.errors import InputError
from sourcewise.randomness import Noise
from sourcewise.similarity.hierarchy import Hierarchy
from sourcewise.similarity.levels import choose

from .test_hierarchy import ANIMALS, trees

GROUPED = Hierarchy(
    {f"{group}{i}": group for group in "abc" for i in range(4)} | dict.fromkeys("abc", "all")
)


def least(tree: Hierarchy, names) -> int:
    return min(tree.similarity(a, b) for a, b in itertools.combinations(names, 2))


@settings(max_examples=60)
@given(trees(most=11), st.integers(2, 5), st.integers(0, 5))
def test_no_set_is_less_alike_on_average_than_level_1(tree, K, seed):
    """Also where some of the classes are groups of others."""
    nodes = sorted(tree.parents)
    if K > len(nodes):
        return
    chosen = choose(tree, nodes, K, 1, Noise(seed))
    averages = [tree.average_similarity(each) for each in itertools.combinations(nodes, K)]
    assert len(set(chosen)) == K
    assert tree.average_similarity(chosen) == pytest.approx(min(averages))


@settings(max_examples=60)
@given(trees(most=11), st.integers(2, 5), st.integers(0, 5))
def test_no_set_has_a_larger_least_similarity_than_level_2(tree, K, seed):
    nodes = sorted(tree.parents)
    if K > len(nodes):
        return
    largest = max(least(tree, each) for each in itertools.combinations(nodes, K))
    if largest == tree.depth(tree.common_ancestor(nodes)):  # no better than all together
        with pytest.raises(InputError, match="level 2 takes at most"):
            choose(tree, nodes, K, 2, Noise(seed))
        return
    chosen = choose(tree, nodes, K, 2, Noise(seed))
    assert len(set(chosen)) == K
    assert least(tree, chosen) == largest
    apart = choose(tree, nodes, K, 1, Noise(seed))
    assert tree.average_similarity(apart) <= tree.average_similarity(chosen)


@pytest.mark.parametrize("level", [1, 2])
def test_a_choice_is_that_of_its_seed_whatever_the_order(level):
    names = list(GROUPED.classes)
    chosen = [choose(GROUPED, names, 3, level, Noise(seed)) for seed in range(30)]
    for seed in range(30):
        turned = choose(GROUPED, names[::-1], 3, level, Noise(seed))
        assert turned == chosen[seed][::-1]  # in the order that was given
    # Every class has its turn, and every group at level 2.
    assert {name for names in chosen for name in names} == set(names)
    sizes = {len({name[0] for name in names}) for names in chosen}
    assert sizes == ({3} if level == 1 else {1})


def test_smaller_sets_are_part_of_larger_ones():
    names = GROUPED.classes
    for seed, level in itertools.product(range(10), (1, 2)):
        sets = [set(choose(GROUPED, names, K, level, Noise(seed))) for K in (2, 3, 4)]
        assert sets[0] < sets[1] < sets[2]


def test_labels_are_given_back_as_they_came():
    names = ["automobile", "cat", "croaker", "lion"]
    assert choose(ANIMALS, names, 2, 2, Noise(0)) == ["cat", "lion"]
    assert "automobile" in choose(ANIMALS, names, 2, 1, Noise(0))


@pytest.mark.parametrize(
    ("message", "names", "K", "level"),
    [
        ("a level is 1 (less similar) or 2 (more similar), got 3", ("cat", "dog"), 2, 3),
        ("no class 'bat': did you mean 'cat'?", ("bat", "dog"), 2, 1),
        ("classes must differ: 'car' and 'automobile' are", ("car", "automobile"), 2, 1),
        ("from 2 to the number of classes, got 3 of 2 classes", ("cat", "dog"), 3, 1),
        ("from 2 to the number of classes, got 1 of 1 class", ("cat",), 1, 2),
        (
            "level 2 takes at most 4 of these classes, got 5: the largest group below that of all "
            "5 classes holds 4 of them",
            ("cat", "lion", "dog", "frog", "car"),
            5,
            2,
        ),
        ("from 2 to the number of classes, got 2 of 0 classes", (), 2, 2),
    ],
)
def test_what_cannot_be_chosen_is_refused_in_one_line(message, names, K, level):
    with pytest.raises(InputError) as stop:
        choose(ANIMALS, names, K, level, Noise(0))
    assert message in str(stop.value)
    assert "\n" not in str(stop.value)
