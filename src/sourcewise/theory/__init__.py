"""The paper's bounds and laws as pure functions of numbers."""
