"""The orders of the samplers, on truths of which everything is known."""
