"""The commands on the theory pages print what stands below them."""

import re
import sys
from pathlib import Path

import pytest

from sourcewise import cli

PAGES = sorted((Path(__file__).parents[2] / "docs" / "theory").glob("*.md"))
COMMAND = re.compile(
    r"^(?: *\$ )?sourcewise bound (?P<arguments>(?:[^\n]*\\\n)*[^\n]*)\n"
    r"(?:\n```text\n(?P<block>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)
FOUND = [
    pytest.param(match["arguments"], match["block"], id=f"{page.stem}-{i}")
    for page in PAGES
    for i, match in enumerate(COMMAND.finditer(page.read_text()))
]


@pytest.mark.parametrize(("arguments", "block"), FOUND)
def test_commands_print_what_the_page_shows(monkeypatch, capsys, arguments, block):
    """A page may leave out lines at either end; without a block the command only has to run."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    words = arguments.replace("\\\n", " ").split()
    monkeypatch.setattr(sys, "argv", ["sourcewise", "bound", *words])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    out, err = capsys.readouterr()
    assert (stop.value.code or 0, err) == (0, "")
    assert block is None or f"\n{block}" in f"\n{out}"


def test_the_pages_were_searched():
    assert sum(param.values[1] is not None for param in FOUND) >= 4
    assert len(FOUND) == sum(page.read_text().count("sourcewise bound ") for page in PAGES)
