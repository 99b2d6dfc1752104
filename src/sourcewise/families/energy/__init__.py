"""The energy family: its settings, model, normaliser, objectives and samplers."""
