"""The paper's ARM tables."""
