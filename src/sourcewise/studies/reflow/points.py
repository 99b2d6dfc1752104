"""What the study finds of a field on a set."""

from dataclasses import dataclass

__all__ = ["ReflowPoint"]


@dataclass(frozen=True)
class ReflowPoint:
    """A field that draws by so many evaluations.

    Args:
        data: the set.
        flow: "1-rectified", "2-rectified", ..., "distilled", "exact field"; "data": training rows.
        method: "euler", "rk4"; "" of data.
        evaluations: of the field, for a draw.
        energy: energy distance to held-out rows.
        energy_error: its standard error.
        wasserstein: W2 to held-out rows, of two samples; not of images.
        straightness: S of the field.
        gamma: gamma_{2,T}, of T steps of Euler's method.
        lipschitz: L that these meet.
        step_error: theirs, along the same noise.
        bound: of it.
        map_error: on the line, root mean square of what a draw is away from the monotone map.
    """

    data: str
    flow: str
    method: str
    evaluations: int
    energy: float
    energy_error: float
    wasserstein: float | None = None
    straightness: float | None = None
    gamma: float | None = None
    lipschitz: float | None = None
    step_error: float | None = None
    bound: float | None = None
    map_error: float | None = None
