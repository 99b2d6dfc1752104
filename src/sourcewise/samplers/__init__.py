"""Markov chains on the unit box [0,1]^D: pure functions of an energy, nothing about networks."""
