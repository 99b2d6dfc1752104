"""The documents as types, with `to_json` and `from_json`, how they print, and draws as files."""
