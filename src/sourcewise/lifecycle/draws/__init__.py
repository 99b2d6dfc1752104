"""Draws of saved models beside new rows: shown, and nothing is decided by them."""
