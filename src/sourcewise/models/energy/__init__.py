"""The energy family: the model, its normaliser, its objectives, its samplers."""

from sourcewise.models.energy.model import Energy

__all__ = ["Energy"]
