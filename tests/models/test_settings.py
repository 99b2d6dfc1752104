"""What is wrong with a setting is said once; the page of families shows the true defaults."""

import re
from pathlib import Path

import pytest

from sourcewise.errors import InputError
from sourcewise.models.settings import ArmSettings, TableSettings, TransformerSettings

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
    own = {name for cls in FAMILIES.values() for name in cls.__annotations__} - {"SPACE"}
    assert own <= shown


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batch": "0"}, "settings: batch must be >= 1 or all, not 0"),
        ({"width": "7"}, "settings: width / heads must be even, not 7 / 4"),
        ({"layers": "0"}, "setting layers: not '0' (allowed: blocks, >= 1)"),
        ({"stacked": "perhaps"}, "setting stacked: not 'perhaps' (allowed: true, false)"),
        (
            {"symbols": "words"},
            "setting symbols: not 'words' (allowed: characters, bytes (of UTF-8))",
        ),
    ],
)
def test_a_bad_setting_is_said_once(values, message):
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        TransformerSettings.parse(values)
