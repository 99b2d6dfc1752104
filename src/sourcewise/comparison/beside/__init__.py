"""Families beside each other: which of them, and which strategy of it, is best for the data."""
