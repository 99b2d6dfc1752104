"""Conditional Gaussians: laws of the estimate (`laws`), partitions, brackets, localized bounds."""
