"""Settings of the flow family, and of its draws."""

from typing import Literal

from pydantic import Field

from sourcewise.families.denoisers.settings import DenoiserSampling, DenoiserSettings

__all__ = ["FlowSampling", "FlowSettings"]


class FlowSettings(DenoiserSettings):
    """Settings of flow matching."""

    path: Literal["linear", "cosine", "variance-preserving"] = Field(
        default="linear", description="from noise to data: linear, cosine, variance-preserving"
    )
    coupling: Literal["independent", "optimal-transport"] = Field(
        default="independent",
        description="of noise and rows in training: independent, or optimal-transport, by "
        "pairs at least cost inside a source and a batch",
    )

    def judged_by(self, offered: tuple[str, ...], form: str) -> tuple[str, ...]:
        """The bound is for independent noise; of images coupled otherwise draws tell."""
        fitting = super().judged_by(offered, form)
        if self.coupling == "independent":
            return fitting
        others = [name for name in fitting if name != "likelihood-bound"]
        first = "kernel-distance" if form == "images" else "log-likelihood"
        return tuple(sorted(others, key=lambda name: name != first))


class FlowSampling(DenoiserSampling):
    """Options of its draws."""

    sampler: Literal["euler", "midpoint", "heun", "rk4", "adaptive"] = Field(
        default="heun", description="euler, midpoint, heun, rk4, or adaptive: no steps are set"
    )
