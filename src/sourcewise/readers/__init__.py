"""A file, object or built-in name -> `Sources`."""
