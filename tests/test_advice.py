"""What messages tell users to type is there to be typed."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import typer

import sourcewise
from sourcewise.cli import app
from sourcewise.families.registry import families


def messages() -> Iterator[str]:
    """All text in the code that may reach a user: no docstrings."""
    for path in Path(sourcewise.__file__).parent.rglob("*.py"):
        tree = ast.parse(path.read_text())
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            text = isinstance(node, ast.Constant) and isinstance(node.value, str)
            if text and id(node) not in docs:
                yield node.value


def test_options_in_messages_are_those_of_some_verb():
    verbs = typer.main.get_command(app).commands.values()
    there = {name for verb in verbs for option in verb.params for name in option.opts}
    found = r"(?<![\w-])--[a-z][a-z-]*[a-z](?![\w-])"
    told = {option for text in messages() for option in re.findall(found, text)}
    assert len(told) > 30
    assert told - there == {"--version", "--help"}


def test_settings_in_messages_are_those_of_some_family():
    there = {name for item in families().values() for name in item.settings_class.model_fields}
    told = {name for text in messages() for name in re.findall(r"--set (\w+)=", text)}
    assert len(told) > 5
    assert told - there == {"NAME"}
