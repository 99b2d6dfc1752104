"""What messages tell users to type is there to be typed."""

import ast
import re
from pathlib import Path

import typer

import sourcewise
from sourcewise.cli import app
from sourcewise.families.registry import families


def messages():
    """All text in the code that may reach a user: no docstrings."""
    for path in Path(sourcewise.__file__).parent.rglob("*.py"):
        tree = ast.parse(path.read_text())
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and id(node) not in docs:
                yield str(node.value)


def test_options_in_messages_are_those_of_some_verb():
    group = typer.main.get_group(app)
    options = [option for verb in group.commands.values() for option in verb.params]
    there = {name for option in options for name in option.opts}
    found = r"(?<![\w-])--[a-z][a-z-]*[a-z](?![\w-])"
    told = {option for text in messages() for option in re.findall(found, text)}
    assert len(told) > 30
    assert told - there == {"--version", "--help"}


def test_settings_in_messages_are_those_of_some_family():
    there = {name for item in families().values() for name in item.settings_class.model_fields}
    told = {name for text in messages() for name in re.findall(r"--set (\w+)=", text)}
    assert len(told) > 5
    assert told - there == {"NAME"}
