"""Conditional generative models: a folder per family, and the router over blocks of sources."""
