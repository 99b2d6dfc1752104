"""The transformer family: text and other sequences, one symbol after another."""
