"""Suspect labels: rows that another source explains better than their own."""
