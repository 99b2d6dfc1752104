"""Data sets that need no file: three from scikit-learn (no download), and draws of truths."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import torch

from sourcewise.errors import InputError
from sourcewise.forms import Column, Images, Table, as_table
from sourcewise.randomness import Noise
from sourcewise.sources import Sources
from sourcewise.truths.gaussian import paper_gaussian
from sourcewise.truths.square import checkerboard, moons, rings

__all__ = ["built_in"]

TRUTHS: dict[str, tuple[Callable[[int], Any], int, int]] = {  # made for K, draws, K
    "gaussian": (paper_gaussian, 500, 5),
    "rings": (rings, 1500, 3),
    "moons": (moons, 1500, 3),
    "checkerboard": (checkerboard, 1500, 3),
}


def built_in(name: str, columns: Iterable[str] = (), ignore: Iterable[str] = ()) -> Sources:
    """One of `registry.BUILT_IN`, with only some of its columns if any are named.

    >>> len(built_in("gaussian"))
    500
    >>> built_in("wine", ["alcohol", "ash"]).x.names
    ('alcohol', 'ash')
    """
    data = _drawn(name) if name in TRUTHS else _from_scikit_learn(name)
    if not columns and not ignore:
        return data
    table = as_table(data.x)
    kept = table.drop(ignore).names
    chosen = [column for column in table.select(columns or table.names).names if column in kept]
    if not chosen:
        raise InputError(f"{name}: no column left")
    return replace(data, x=table.select(chosen))


def _from_scikit_learn(name: str) -> Sources:
    from sklearn import datasets

    load = {
        "wine": datasets.load_wine,
        "breast-cancer": datasets.load_breast_cancer,
        "digits": datasets.load_digits,
    }[name]
    bunch = load()
    names = [str(target) for target in bunch.target_names]
    y = torch.from_numpy(bunch.target)
    if name == "digits":  # counts of inked pixels in blocks of 4 x 4, from 0 to 16
        pixels = torch.from_numpy(bunch.images).byte().unsqueeze(1)
        return Sources(Images.of(pixels, top=16), y, names, name=name)
    columns = {
        str(column): torch.from_numpy(bunch.data[:, j].copy())
        for j, column in enumerate(bunch.feature_names)
    }
    table = Table(columns, tuple(Column(column) for column in columns))
    return Sources(table, y, names, name=name)


def _drawn(name: str) -> Sources:
    truth, n, K = TRUTHS[name]
    noise = Noise(0).of(f"built-in {name}")
    y = noise.of("y").integers(K, n)
    x = truth(K).sample(y, noise=noise.of("x"))
    return Sources(x, y, [f"k={k}" for k in range(1, K + 1)], name=name)
