"""Sweeps, and the paper's figures and tables."""
