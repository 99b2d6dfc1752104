"""Conditional generative models: one file per family, and the router over blocks of sources."""
