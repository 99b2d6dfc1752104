"""Conditional normalizing flows of masked autoregressive rational-quadratic splines."""
