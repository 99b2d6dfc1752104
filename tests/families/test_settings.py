"""What is wrong with a setting is said once; the page of families shows the true defaults."""

import re
from pathlib import Path

import pytest

from sourcewise.errors import InputError
from sourcewise.families.arm.settings import ArmSettings
from sourcewise.families.energy.settings import EnergySettings
from sourcewise.families.gaussian.settings import GaussianSettings
from sourcewise.families.registry import families
from sourcewise.families.table.settings import TableSettings
from sourcewise.families.transformer.settings import TransformerSettings

PAGE = Path(__file__).parents[2] / "docs" / "families.md"
FAMILIES = {"arm": ArmSettings, "transformer": TransformerSettings, "table": TableSettings}


def test_the_page_of_families_shows_the_defaults():
    """Of every setting in the table, for every family that has it."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    start = lines.index("| setting | `arm` | `transformer` | `table` | |")
    shown = set()
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        name, *cells, _ = (cell.strip(" `") for cell in line.strip("|").split("|"))
        shown.add(name)
        for cell, cls in zip(cells, FAMILIES.values(), strict=True):
            field = cls.model_fields.get(name)
            assert (field is None) == (cell == ""), (name, cls)
            if field is not None:
                default = field.default
                text = ",".join(default) if isinstance(default, tuple) else str(default)
                assert cell == text.lower(), (name, cls)
    named = (name for cls in FAMILIES.values() for name in (*cls.__annotations__, *cls.DEFAULTS))
    own = {*named} - {"SPACE", "DEFAULTS"}
    assert own <= shown


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"batch": "0"},
            "setting batch: not '0' (allowed: a whole number in [1, 10000000], or all): rows per "
            "update; all: exact full-batch gradients",
        ),
        ({"width": "7"}, "settings: width / heads must be even, not 7 / 4"),
        (
            {"layers": "0"},
            "setting layers: not '0' (allowed: a whole number in [1, 1000]): blocks",
        ),
        (
            {"symbols": "words"},
            "setting symbols: not 'words' (allowed: characters, bytes): what a symbol is; bytes "
            "of UTF-8",
        ),
        ({"optimizer": "sgd"}, "setting optimizer: not 'sgd' (allowed: adam, adamw)"),
        (
            {"dropout": "1"},
            "setting dropout: not '1' (allowed: a number in [0, 1)): share of channels set to "
            "zero in training",
        ),
    ],
)
def test_a_bad_setting_is_said_once(values, message):
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        TransformerSettings.parse(values)


@pytest.mark.parametrize("name", families())
def test_every_setting_says_which_values_it_takes(name):
    """In words of its type, before what it is; the names left out are free text."""
    settings = families()[name].settings_class
    names = r"[\w-]+( [\w-]+)?(, | or )[\w-]+|[\w-]+ only"
    kinds = rf"a (whole )?number|true, false|{names}|(whole )?numbers"
    for field in settings.model_fields.keys() - {"autoencoder", "device", "order"}:
        with pytest.raises(InputError, match=rf"^setting {field}: not '\?' \(allowed: ({kinds})"):
            settings.parse({field: "?"})


def test_limits_of_numbers_and_names_are_those_of_the_type():
    for settings, values in (
        (EnergySettings, {"particles": "8"}),
        (EnergySettings, {"nodes": "1"}),
        (GaussianSettings, {"shrinkage": "1.5"}),
        (GaussianSettings, {"specific": "-1"}),
        (TableSettings, {"bins": "1"}),
    ):
        with pytest.raises(InputError, match="allowed: .*(>=|in \\[)"):
            settings.parse(values)


def test_an_unknown_setting_gets_the_nearest_names_then_those_of_the_family():
    with pytest.raises(InputError, match=r"did you mean 'particles'\? \(there are: particles, "):
        EnergySettings.parse({"partcles": 3})
    with pytest.raises(InputError, match=r"no setting 'foo' \(there are: embedding, width, depth"):
        EnergySettings.parse({"foo": 3})
