"""The forms of x: plain tensors, tables of named columns, sequences of different lengths."""
