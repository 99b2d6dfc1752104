"""The paper's table 1: diffusion on image classes, pooled against separate."""
