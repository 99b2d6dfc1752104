"""How far a distribution is from the data or from the truth."""
