"""How families are trained: one file per recipe, each with what it asks of a model."""
