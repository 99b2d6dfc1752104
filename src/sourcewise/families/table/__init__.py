"""The table family: mixed columns, one after another."""
