"""Raw x <-> tensors: fitted once per split, shared by all strategies."""
