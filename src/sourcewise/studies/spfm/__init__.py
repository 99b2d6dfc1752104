"""Self-purifying flow matching: which labels are flagged, and what models make of wrong ones."""
