"""The JKO flow beside the exact scheme, and beside the bounds that hold for it."""
