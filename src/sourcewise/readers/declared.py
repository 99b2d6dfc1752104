"""The types that Arrow columns declare: which are text, which are plain, which no model takes."""

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from sourcewise.cells import as_option
from sourcewise.errors import InputError
from sourcewise.readers.short import Short, Streamed

__all__ = ["is_plain", "is_text", "refuse_nested", "stored"]

_NESTED: dict[str, Callable[[pa.DataType], bool]] = {
    "lists": lambda t: pa.types.is_list(t) or pa.types.is_large_list(t),
    "arrays": pa.types.is_fixed_size_list,
    "structs": pa.types.is_struct,
    "maps": pa.types.is_map,
    "durations": pa.types.is_duration,
    "times of day": pa.types.is_time,
    "bytes": lambda t: pa.types.is_binary(t) or pa.types.is_large_binary(t),
    "fixed bytes": pa.types.is_fixed_size_binary,
    "intervals": pa.types.is_interval,
}
_PLAIN: tuple[Callable[[pa.DataType], bool], ...] = (
    pa.types.is_null,
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_date,
    pa.types.is_timestamp,
)


def is_text(kind: pa.DataType) -> bool:
    """Whether a column holds text that declares no type."""
    return isinstance(kind, Short) or pa.types.is_string(kind) or pa.types.is_large_string(kind)


def is_plain(kind: pa.DataType) -> bool:
    """Whether values of a type may be numbers, categories or dates, or name sources."""
    if pa.types.is_dictionary(kind):
        return is_plain(kind.value_type)
    return isinstance(kind, Short | Streamed) or any(test(kind) for test in _PLAIN)


def stored(table: pa.Table) -> pa.Table:
    """With columns as what they stand for: views of text as text, runs of values as values."""
    for j, column in enumerate(table.columns):
        kind = column.type
        if isinstance(kind, Short | Streamed):
            continue
        if isinstance(kind, pa.BaseExtensionType):
            plain = column.cast(kind.storage_type)
        elif pa.types.is_run_end_encoded(kind):
            plain = pc.run_end_decode(column)
        elif pa.types.is_string_view(kind):
            plain = column.cast(pa.large_string())
        else:
            continue
        table = table.set_column(j, table.column_names[j], plain)
    return table


def refuse_nested(array: pa.ChunkedArray, name: str, what: str = "column") -> None:
    """Raise for values that no model takes, and that name no source or group."""
    if not is_plain(array.type):
        words = next((w for w, test in _NESTED.items() if test(array.type)), f"{array.type}")
        remedy = (
            f"leave it out with {as_option('--ignore', name)}, or " if what == "column" else ""
        )
        raise InputError(
            f"the {what} {name!r} holds {words}: {remedy}make it numbers, text or dates"
        )
