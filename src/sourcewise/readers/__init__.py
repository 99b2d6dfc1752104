"""A file, object or built-in name -> `Sources`."""

from sourcewise.readers.read import read

__all__ = ["read"]
