"""Hierarchies from files: what is in them, what is refused, and the real ones."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from sourcewise.errors import InputError
from sourcewise.randomness import Noise
from sourcewise.similarity.hierarchy_files import ROOT, read_hierarchy
from sourcewise.similarity.levels import choose

NODES = [{"id": "r"}, {"id": "a", "label": "ant"}, {"id": "b", "more": 1}]
LINKS = [{"source": "r", "target": "a"}, {"source": "r", "target": "b"}]


def written(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def as_json(nodes, links, **more) -> str:
    return json.dumps({"nodes": nodes, "links": links, **more})


def test_a_tree_in_json(tmp_path):
    tree = read_hierarchy(written(tmp_path, "t.json", as_json(NODES, LINKS, directed=True)))
    assert tree.parents == {"a": "r", "b": "r"}
    assert (tree.root, tree.node("ant")) == ("r", "a")


def test_a_table_of_groups(tmp_path):
    text = (
        '﻿class,kind,family\ncat,animal,feline\n\n"lion, mane",animal,feline\nfrog, animal,\ncar\n'
    )
    tree = read_hierarchy(written(tmp_path, "t.csv", text))
    assert tree.root == ROOT
    assert tree.path("lion, mane") == (ROOT, "animal", "feline", "lion, mane")
    assert tree.path("frog") == (ROOT, "animal", "frog")
    assert tree.path("car") == (ROOT, "car")
    assert tree.similarity("cat", "lion, mane") == 2


@pytest.mark.parametrize(
    ("message", "name", "text"),
    [
        ("a hierarchy is a .json or .csv file", "t.yaml", ""),
        ("a hierarchy is text in UTF-8", "t.csv", b"\xff\xfe"),
        ("is no JSON; a hierarchy has nodes, each with", "t.json", "{"),
        ("is no JSON; a hierarchy has nodes, each with", "t.json", "[" * 100_000),
        ("it lacks links", "t.json", '{"nodes": []}'),
        ("nodes.0.id: Input should be a valid string", "t.json", as_json([{"id": 1}], LINKS)),
        ("a tree has one root, found none", "t.json", as_json(NODES, [])),
        (
            "a link names 'c', which is no node",
            "t.json",
            as_json(NODES[:1], [{"source": "c", "target": "r"}]),
        ),
        ("no link leads to 'c': no tree", "t.json", as_json([*NODES, {"id": "c"}], LINKS)),
        (
            "'b' stands under both 'r' and 'a'",
            "t.json",
            as_json(NODES, [*LINKS, {"source": "a", "target": "b"}]),
        ),
        (
            "'a' stands under itself: no tree",
            "t.json",
            as_json(NODES, [{"source": "b", "target": "a"}, {"source": "a", "target": "b"}]),
        ),
        ("0 columns; a hierarchy is a row of names", "t.csv", ""),
        ("1 columns; a hierarchy is a row of names", "t.csv", "class\ncat\n"),
        ("a tree has one root, found none", "t.csv", "class,kind\n"),
        ("row 2 has 3 cells, the names are 2", "t.csv", "class,kind\ncat,animal,feline\n"),
        ("row 3 lacks a class, or a group before", "t.csv", "class,kind\ncat,animal\n,animal\n"),
        ("row 2 lacks a class, or a group before", "t.csv", "class,a,b\ncat,,feline\n"),
        (
            "'cat' stands under both 'animal' and 'toy'",
            "t.csv",
            "class,kind\ncat,animal\ncat,toy\n",
        ),
        ("'cat' stands under itself: no tree", "t.csv", "class,kind\ncat,cat\n"),
        ("row 2: (all) is the root's name", "t.csv", "class,kind\ncat,(all)\n"),
        ("unexpected end of data; a hierarchy is", "t.csv", 'class,kind\n"cat,animal\n'),
    ],
)
def test_what_is_no_hierarchy_is_refused_in_one_line(tmp_path, message, name, text):
    path = written(tmp_path, name, text)
    with pytest.raises(InputError) as stop:
        read_hierarchy(path)
    assert message in str(stop.value)
    assert name in str(stop.value)
    assert "\n" not in str(stop.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*none\.csv: No such file"):
        read_hierarchy(tmp_path / "none.csv")


@pytest.fixture
def wordnet(shared_data) -> Path:
    folder = shared_data / "images" / "hierarchy"
    if not folder.is_dir():
        pytest.skip(f"no trees of WordNet at {folder}")
    return folder


@pytest.mark.parametrize(
    ("name", "nodes"), [("tiny_imagenet200", 295), ("cifar100", 149), ("cifar10", 18)]
)
def test_the_trees_of_wordnet(wordnet, name, nodes):
    tree = read_hierarchy(wordnet / f"{name}_wordnet.json")
    assert len(tree.parents) + 1 == nodes
    classes = (wordnet / f"{name}_wnids.txt").read_text().split()
    assert sorted(tree.classes) == sorted(classes)


def test_depths_and_paths_are_those_that_came_with_the_tree(wordnet):
    tree = read_hierarchy(wordnet / "tiny_imagenet200_wordnet.json")
    with (wordnet / "tiny_imagenet200_paths.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 200
    for row in rows:
        assert tree.depth(row["wnid"]) == int(row["depth"])
        path = [tree.labels[node] for node in tree.path(row["wnid"])]
        assert "/".join(path) == row["path_root_to_leaf"]


def test_levels_of_42_classes_of_images(wordnet):
    """Ten dogs and cats by level 2; by level 1 they are spread over all that there is."""
    tree = read_hierarchy(wordnet / "tiny_imagenet200_wordnet.json")
    images = wordnet.parent / "tiny_imagenet_42cls_jpeg64.npz"
    if not images.is_file():
        pytest.skip(f"no images at {images}")
    with np.load(images) as file:
        group = dict(zip(file["wnid"].tolist(), file["group"].tolist(), strict=True))
    for seed in range(5):
        close = choose(tree, list(group), 10, 2, Noise(seed))
        assert {group[name] for name in close} <= {"dog", "feline", "other_carnivore"}
        assert tree.labels[tree.common_ancestor(close)] == "carnivore"
        apart = choose(tree, list(group), 10, 1, Noise(seed))
        assert tree.average_similarity(apart) == pytest.approx(75 / 45)
        assert tree.average_similarity(close) >= 7
