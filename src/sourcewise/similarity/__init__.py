"""How alike the sources are."""
