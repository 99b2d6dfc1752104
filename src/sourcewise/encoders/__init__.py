"""Raw x <-> tensors: which columns a density can use, and how they become numbers."""
