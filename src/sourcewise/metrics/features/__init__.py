"""Rows as points of a Euclidean space, where distances between them are taken."""
