"""YAML that was written by us, read as if by a stranger.

What `safe_load` builds is bounded in kind, not in size: an alias may stand for a list of aliases,
and so on, and a file may nest deeper than Python counts. What we write has neither.
"""

from pathlib import Path
from typing import Any

import yaml
from yaml.events import AliasEvent

__all__ = ["read_yaml"]

MOST_BYTES, MOST_DEPTH = 1 << 22, 50


def read_yaml(path: Path) -> Any:
    """The plain values of a small file.

    Raises:
        ValueError: what is wrong with it, in a few words; the file is missing or too large, no
            YAML, or deeper or more entwined than anything that we write.
    """
    if not path.is_file():
        raise ValueError("no file")
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"more than {MOST_BYTES} bytes")
    try:
        found = yaml.load(path.read_text(encoding="utf-8"), _Plain)
    except UnicodeDecodeError:
        raise ValueError("no UTF-8") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise ValueError(f"{where}{(error.problem or 'no YAML')[:100]}") from None
    except yaml.YAMLError as error:
        raise ValueError(str(error).splitlines()[0][:100]) from None
    except ValueError:  # Python refuses to read more than some thousand digits
        raise ValueError("a number too long, or no date") from None
    if found is None:
        raise ValueError("it is empty")
    return found


class _Plain(yaml.SafeLoader):
    """Without aliases, and not deep."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        mark = self.peek_event().start_mark
        if self.check_event(AliasEvent):
            raise yaml.MarkedYAMLError(problem="an alias", problem_mark=mark)
        if self.depth >= MOST_DEPTH:
            raise yaml.MarkedYAMLError(problem="nested too deep", problem_mark=mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node
