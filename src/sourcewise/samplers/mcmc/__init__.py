"""Markov chains on the unit box: `hamiltonian` is the kernel, `annealed` estimates normalisers."""
