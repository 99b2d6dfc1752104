"""What the settings of an energy mean for D columns: every `auto` settled, every misfit refused.

| | up to 3 columns | `rule=grid`, at most 2^20 cells | more columns |
|---|---|---|---|
| Z | quadrature | exact sum | annealed importance sampling |
| objective | likelihood, or any other | likelihood | nce, pcd, denoising, sliced |
| sampler | grid, or chains | grid | hmc, mala |

With given columns every row has a Z of its own: quadrature is for one column then, a grid has at
most 2^12 cells, and pcd, whose chains are of sources, is out.

A setting that serves nothing under these choices is an error unless it has its default.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from sourcewise.errors import InputError
from sourcewise.families.energy.settings import EnergySettings

__all__ = ["EnergyPlan", "choose"]

CHAINS = ("chains", "replay", "steps", "adjusted", "acceptance", "restart", "energy_decay")
CHANNELS, WIDTH = 16, 64
NODES = {1: 64, 2: 48, 3: 16}  # per axis by D, in training
MOST_NODES = 1 << 22
MOST_CELLS = 1 << 20  # of a grid that is summed over
GIVEN_CELLS = 1 << 12  # likewise where every row has a sum of its own


@dataclass(frozen=True)
class EnergyPlan:
    """What is settled.

    Args:
        exact: whether Z is a sum that can be made.
        rule: a name in `quadrature.RULES`.
        nodes: per axis, in training; 0 if Z is not exact.
        objective: by name.
        sampler: by name.
        width: W, or channels.
        shape: of images: channels, height, width.
    """

    exact: bool
    rule: str
    nodes: int
    objective: Literal["likelihood", "nce", "pcd", "denoising", "sliced"]
    sampler: Literal["grid", "mala", "hmc"]
    width: int
    shape: tuple[int, int, int] | None

    def settled(self, settings: EnergySettings) -> dict[str, str | int | float]:
        """All of it by name, for tables; nodes of validation and scores beside those of training.

        Args:
            settings: that it was settled from.
        """
        out: dict[str, str | int | float] = {"objective": self.objective}
        if not self.exact:
            out["normaliser"] = "annealed importance sampling"
            out |= {"temperatures": settings.temperatures, "particles": settings.particles}
        elif settings.rule == "grid":
            out |= {"normaliser": "exact sum over a grid", "nodes": self.nodes}
        else:
            more = {"validation nodes": 2 * self.nodes, "score nodes": 4 * self.nodes}
            out |= {"normaliser": f"{self.rule} quadrature", "nodes": self.nodes} | more
        out |= {"sampler": self.sampler, "width": self.width}
        out |= {"spectral": settings.spectral} if settings.spectral else {}
        return out | ({"image": ",".join(map(str, self.shape))} if self.shape else {})

    @property
    def based(self) -> bool:
        """Whether a noise distribution is needed after training."""
        return not self.exact or self.sampler != "grid"

    def validated_by(self, s: EnergySettings) -> str:
        """What losses of validation rows are, in words; empty: minus the log-likelihood."""
        points = 1 + s.negatives
        texts = {
            "nce": f"noise-contrastive loss in nats ({math.log(points):.3g} where the row is not "
            f"told from {points - 1} points of the noise)",
            "denoising": "denoising score matching, without a unit",
        }
        usual = "sliced score matching, without a unit"
        return "" if self.exact else texts.get(self.objective, usual)


def choose(
    settings: EnergySettings,
    D: int,
    *,
    shape: tuple[int, int, int] | None = None,
    cells: int | None = None,
    C: int = 0,
) -> EnergyPlan:
    """Settle all choices.

    Args:
        settings: of the family.
        D: columns.
        shape: of images, where the data tell it.
        cells: per axis, of a grid on the columns' lattices.
        C: given columns.

    Raises:
        InputError: settings that do not go together, or not with D columns.
    """
    s = settings
    exact = s.rule == "grid" or D in _summed(C)
    nodes, image = _nodes(s, D, cells, C), _shape(s, D, shape)
    objective = s.objective
    if objective == "auto":
        objective = "pcd" if image else "likelihood" if exact else "nce"
    sampler = s.sampler
    if sampler == "auto":
        sampler = "grid" if exact else "hmc"
    rule = "midpoints" if s.rule == "grid" else s.rule
    width = _width(s, D, C, image is not None)
    out = EnergyPlan(exact, rule, nodes, objective, sampler, width, image)
    for text in (*_misfits(s, D, out, C), *_unused(s, D, out)):
        raise InputError(text)
    return out


def _summed(C: int) -> tuple[int, ...]:
    """How many columns quadratures take: Z is summed for sources, or for every row given c."""
    return (1,) if C else tuple(NODES)


def _nodes(s: EnergySettings, D: int, cells: int | None, C: int) -> int:
    if s.rule != "grid":
        by_rule = D in _summed(C)
        nodes = (NODES[D] if by_rule else 0) if s.nodes == "auto" else s.nodes
        if by_rule and (4 * nodes) ** D > MOST_NODES:
            raise InputError(
                f"setting nodes: scores take 4 x {nodes} nodes on each of {D} axes, too many to "
                "sum over (at most 2^22 in all)"
            )
        return nodes
    nodes = cells if s.nodes == "auto" else s.nodes
    if nodes is None:
        raise InputError("setting nodes: rule=grid needs nodes=N where columns are on no lattice")
    most = GIVEN_CELLS if C else MOST_CELLS
    if nodes**D > most:
        each = " for every row, given columns" if C else ""
        raise InputError(
            f"setting nodes: rule=grid has {nodes}^{D} cells, too many to sum over{each} (at most "
            f"2^{most.bit_length() - 1}): {'another rule' if D in NODES else 'fewer columns'}, or "
            "columns in larger steps"
        )
    return nodes


def _width(s: EnergySettings, D: int, C: int, convolutional: bool) -> int:
    """W, or channels."""
    inputs = D + s.embedding + C
    if s.width != "auto":
        if not convolutional and s.width < inputs:
            given = f" + {C} of given columns" if C else ""
            raise InputError(
                f"setting width: at least the {D} columns + the {s.embedding} numbers of an "
                f"embedding{given}, not {s.width}"
            )
        return s.width
    return CHANNELS if convolutional else max(WIDTH, inputs)


def _shape(
    s: EnergySettings, D: int, shape: tuple[int, int, int] | None
) -> tuple[int, int, int] | None:
    if s.network == "mlp" or (s.network == "auto" and shape is None):
        return None
    channels, height, width = shape or s.image or (0, 0, 0)
    if channels * height * width != D:
        raise InputError(
            f"setting image: channels,height,width whose product is the {D} columns, not "
            f"{channels},{height},{width}"
        )
    if s.depth < 2:
        raise InputError(f"setting depth: at least 2 layers with convolutions, not {s.depth}")
    return channels, height, width


def _misfits(s: EnergySettings, D: int, c: EnergyPlan, C: int) -> Iterator[str]:
    """What cannot be done."""
    few = "1 column where others are given" if C else "1 to 3 columns"
    if c.objective == "pcd" and C:
        yield (
            "setting objective: pcd keeps chains for every source, not for every value of given "
            "columns: likelihood, nce, denoising, sliced"
        )
    scores = c.objective in ("denoising", "sliced") or (c.objective == "pcd" and not c.exact)
    if c.objective == "likelihood" and not c.exact:
        yield (
            f"setting objective: likelihood needs {few}, or rule=grid, not {D} columns: "
            f"nce, {'' if C else 'pcd, '}denoising, sliced"
        )
    if c.objective != "likelihood" and s.rule == "grid":
        yield f"setting rule: grid goes with objective=likelihood, not {c.objective}"
    if c.sampler != "grid" and s.rule == "grid":
        yield f"setting rule: grid has no slopes to follow: sampler=grid, not {c.sampler}"
    if c.sampler == "grid" and not c.exact:
        yield f"setting sampler: grid needs {few}, not {D}: hmc, mala"
    if scores and s.activation == "relu":
        yield (
            f"setting activation: objective={c.objective} needs slopes of slopes here, which relu "
            "has none of: silu, softplus"
        )
    if scores and s.depth < 2:
        yield f"setting depth: at least 2 layers with objective={c.objective}, not {s.depth}"


def _unused(s: EnergySettings, D: int, c: EnergyPlan) -> Iterator[str]:
    """Settings that were given and serve nothing, with what they would serve."""
    annealing = not c.exact, "annealed importance sampling: more than 3 columns, no rule=grid"
    pcd = c.objective == "pcd", "objective=pcd"
    base = "objective=nce or pcd, sampler=hmc or mala, or more than 3 columns"
    based = c.based or c.objective in ("nce", "pcd")
    serves = {
        "negatives": (c.objective == "nce", "objective=nce"),
        **dict.fromkeys(CHAINS, pcd),
        "smoothing": (c.objective == "denoising", "objective=denoising"),
        "image": (s.network == "convolutional", "network=convolutional"),
        "rule": (c.exact, "quadrature: 1 to 3 columns"),
        "nodes": (c.exact, "quadrature, 1 to 3 columns, and rule=grid"),
        "temperatures": annealing,
        "particles": annealing,
        "noise": (based, base),
        "components": (based and s.noise == "mixture", f"noise=mixture, with {base}"),
    }
    how = f"{'rule=' + s.rule if c.exact else 'annealing'}, sampler={c.sampler}, noise={s.noise}"
    for name, (used, what) in serves.items():
        if not used and getattr(s, name) != type(s).model_fields[name].default:
            yield (
                f"setting {name} serves only {what} (here: columns {D}, objective={c.objective}, "
                f"{how})"
            )
