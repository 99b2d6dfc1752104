"""The best pair of family and strategy, held against what its very models truly achieve."""
