"""Settings of studies: what is allowed is said by their types, once."""

import re

import pytest

from sourcewise.errors import InputError
from sourcewise.families.registry import families
from sourcewise.studies.registry import STUDIES

CLASSES = {name: study.load(study.settings) for name, study in STUDIES.items()} | {
    name: entry.settings_class for name, entry in families().items()
}
RANGE = re.compile(r"\bat least \d|\d or more|[<>]=|\bin [\[(]")


@pytest.mark.parametrize("name", CLASSES)
def test_no_description_repeats_the_range(name):
    fields = CLASSES[name].model_fields.items()
    assert not {
        field: about for field, info in fields if RANGE.search(about := info.description or "")
    }


@pytest.mark.parametrize(
    ("name", "setting", "value", "words"),
    [
        (
            "audit",
            "repetitions",
            "0",
            "not '0' (allowed: a whole number in [2, 1000000]): data sets per setting",
        ),
        (
            "fig1",
            "K_values",
            "3,x",
            "not 'x' (allowed: whole numbers in [1, 10000]): numbers of sources",
        ),
        (
            "audit",
            "metric",
            "same",
            "not 'same' (allowed: log-likelihood, energy-distance): what decides",
        ),
        (
            "fig1",
            "K_values",
            "3,0",
            "not '0' (allowed: whole numbers in [1, 10000]): numbers of sources",
        ),
        ("fig1", "beta_values", "2", "not '2' (allowed: numbers in [0, 1]): similarities"),
        (
            "ebm",
            "nodes",
            "64",
            "not 64 (allowed: 2 whole numbers in [2, 4096]): per axis of the quadrature in "
            "training: of D = 1, of D = 2",
        ),
        (
            "ebm",
            "dimensions",
            "3",
            "not '3' (allowed: whole numbers in [1, 2]): D, coordinates of x",
        ),
        (
            "energy",
            "image",
            "0,2,2",
            "not '0' (allowed: whole numbers in [1, 4096]): channels,height,width, with "
            "network=convolutional; not needed for arrays of images",
        ),
    ],
)
def test_a_bad_value_hears_the_range_once(name, setting, value, words):
    with pytest.raises(InputError, match=f"^{re.escape(f'setting {setting}: {words}')}$"):
        CLASSES[name].parse({setting: value})
