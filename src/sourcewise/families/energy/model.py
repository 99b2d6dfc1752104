"""The paper's conditional energy-based model (section 4.3).

    p(x|y) = exp(-u(x|y)) / Z(y)   on the cube [0,1]^D,   Z(y) = integral of exp(-u(x|y)) dx

u is a network; with given columns c all of this is given c, and every row has its own Z(y, c). Up
to three columns (one, with given columns), Z is found by quadrature (`normaliser`), and where
columns take few values, by summing over all cells of a grid: likelihoods are exact but for an
error that doubling the nodes shows. Training takes N nodes per axis, validation 2 N, scores 4 N. A
network may learn to hide mass between the nodes of training: weights for which log Z of N and of
2 N nodes differ are not kept (`Energy.reliable`).

With more columns Z is estimated by annealed importance sampling (`normaliser`): after training, or
with given columns when rows are scored. Its log is understated in expectation, so log-likelihoods
are overstated; diagnostics say by how much they may be off. Energies are then trained without Z
(`objectives`, `persistent`).
"""

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import ClassVar

import torch
from torch import Tensor

from sourcewise.batch import Batch, needed
from sourcewise.errors import rounded
from sourcewise.families.base import (
    BatchNoise,
    Carried,
    Caution,
    ConditionalModel,
    Density,
    Diagnosed,
    Diagnostic,
    Occasion,
    SharedError,
)
from sourcewise.families.energy.cautions import cautions, error_words
from sourcewise.families.energy.divergence import (
    ROWS,
    divergence_of_fit,
    gain_over_one_normal,
    same_everywhere,
)
from sourcewise.families.energy.network import CHUNK, EnergyNetwork, energy_network
from sourcewise.families.energy.normaliser import (
    NormalisedRows,
    annealed_normaliser,
    annealed_rows,
    conditions_of,
    log_normaliser,
    quadrature_error,
    source_means,
)
from sourcewise.families.energy.objectives import (
    Denoising,
    NoiseContrastive,
    Sliced,
    base_of,
    begin_base,
)
from sourcewise.families.energy.persistent import PersistentContrastive
from sourcewise.families.energy.plan import choose
from sourcewise.families.energy.sampling_chains import LEAPFROG, Settled, sample_chains, settle
from sourcewise.families.energy.sampling_grid import CELLS, sample_grid
from sourcewise.families.energy.settings import EnergySettings
from sourcewise.randomness import ExampleNoise, Noise
from sourcewise.truths.box import BoxMixture

__all__ = ["Energy"]

OBJECTIVES = {
    "nce": NoiseContrastive,
    "pcd": PersistentContrastive,
    "denoising": Denoising,
    "sliced": Sliced,
}
SHOWN: dict[str, tuple[str, Callable[[float], str]]] = {  # of diagnostics: unit, and form
    "annealing error": ("nats", error_words),
    "quadrature error": ("nats", error_words),
    "effective weights": ("", "{:.0f}".format),
    "gain over one normal": ("nats per row", rounded),
    "r_hat": ("", "{:.2f}".format),
    "effective samples": ("", "{:.0f}".format),
}
UNIFORM = 1 / math.sqrt(12)  # standard deviation of a coordinate
RESOLVED = 0.05  # nats of log Z, between N nodes and 2 N
STEEPER = 3.0  # chosen on rings, moons and a checkerboard
TRIED = 64  # training rows that annealing is tried on, where every row has its Z
BASE = ("weight", "mean", "scale")


class Energy(ConditionalModel):
    """The conditional energy-based model on [0,1]^D.

    Args:
        settings: sizes, rule, objective, sampler.
        K: sources.
        D: coordinates.
        shape: channels, height and width, where x is an image; D is their product.
        cells: per axis, of a grid on the columns' lattices (`rule=grid`).
        C: given columns, encoded.
        spread: (D,) standard deviations of the coordinates within sources, the same for all models
            that are compared; those of a uniform x if None.

    Raises:
        InputError: settings that do not go together, or not with D (see `plan`), or a width
            below `D + d_e` (Definition 4.2).
    """

    stackable = True
    recipe: ClassVar[str] = "phased"
    annealed: Tensor
    annealed_error: Tensor
    annealed_high: Tensor
    weights: Tensor
    step: Tensor
    spread: Tensor
    transitions: Tensor
    gain: Tensor
    effective: Tensor
    r_hat: Tensor

    def __init__(
        self,
        settings: EnergySettings,
        *,
        K: int,
        D: int,
        shape: tuple[int, int, int] | None = None,
        cells: int | None = None,
        spread: Sequence[float] | None = None,
        C: int = 0,
    ):
        super().__init__()
        s, self.settings, self.K, self.D, self.C = settings, settings, K, D, C
        self.plan = plan = choose(settings, D, shape=shape, cells=cells, C=C)
        self.slow_draws, self.simulated = plan.shape is not None, not plan.exact
        self.exact, self.rule, self.nodes = plan.exact, plan.rule, plan.nodes
        self.sampler, self.based = plan.sampler, plan.based
        sizes = s.embedding, plan.width, s.depth, s.activation, s.spectral, C
        self.network = energy_network(K, D, plan.shape, *sizes)
        widths = torch.full((D,), UNIFORM) if spread is None else torch.tensor(spread)
        kind = OBJECTIVES.get(plan.objective)
        self.objective = None if kind is None else kind(settings, widths.double())
        self._reserve()

    def _reserve(self) -> None:
        """Room for what `finish` finds."""
        K, D, C = self.K, self.D, self.settings.components
        sizes: dict[str, tuple[int, ...]] = {"gain": (1,)}
        if not self.exact:
            names = ("annealed", "annealed_error", "annealed_high", "weights")
            sizes |= dict.fromkeys(names, (1,) if self.C else (K,))
        if self.sampler != "grid":
            sizes |= {"step": (K,), "spread": (K, D), "transitions": (K,)}
            sizes |= {"effective": (K,), "r_hat": (K,)}
        if self.based:
            sizes |= {"base_weight": (C,), "base_mean": (C, D), "base_scale": (C, D)}
        for name, size in sizes.items():
            self.register_buffer(name, torch.full(size, torch.nan, dtype=torch.float64))

    def reset(self, noise: Noise) -> None:
        """Draw all parameters anew, an MLP's first layer as for uniform x made standard.

        Smooth activations get a steeper one: they are nearly linear where inputs are small, and
        an energy that begins so stays flat for long where the data have structure.
        """
        super().reset(noise)
        if isinstance(self.network, EnergyNetwork):
            first = self.network.mlp.first
            of_x = first.weight.data[:, : self.D]
            of_x *= math.sqrt(12) * (1 if self.settings.activation == "relu" else STEEPER)
            if first.bias is not None:
                first.bias.data -= of_x.sum(1) / 2

    @property
    def free_parameters(self) -> int:
        """`P_shared + K P_src` of the theory (section 7, dense)."""
        return sum(parameter.numel() for parameter in self.parameters())

    def diagnostics(self) -> list[Diagnostic]:
        """How well log Z is known, the worst of the sources, how well energies fit, how chains
        mixed, and what was settled (`plan.EnergyPlan`).

        - "quadrature error": its change from 2 N nodes to the 4 N of scores.
        - "annealing error": from the estimate to the far end of its interval, where it is biased
          (with given columns the worst of `TRIED` training rows').
        - "effective weights": of annealing, the fewest.
        - "gain over one normal": in nats per training row, see `divergence`.
        - "r_hat", "effective samples": of the sampler's chains.
        """
        found: dict[str, Tensor] = {}
        if not self.exact:
            found["annealing error"] = (self.annealed_high - self.annealed).max()
            found["effective weights"] = self.weights.min()
        elif self.settings.rule != "grid":
            found["quadrature error"] = self.quadrature_error(2 * self.nodes).max()
        found["gain over one normal"] = self.gain
        if self.sampler != "grid":
            found |= {"r_hat": self.r_hat.max(), "effective samples": self.effective.min()}
        settled = self.plan.settled(self.settings)
        return [
            *(Diagnostic(name, (float(v),), *SHOWN[name]) for name, v in found.items()),
            *(Diagnostic(name, (value,), setting=True) for name, value in settled.items()),
        ]

    @classmethod
    def cautions(
        cls, strategies: Mapping[str, Diagnosed], occasion: Occasion
    ) -> Iterator[Caution]:
        """See `families.energy.cautions`."""
        return cautions(strategies, occasion)

    @property
    def validated_by(self) -> str:
        """See `plan.EnergyPlan`."""
        return self.plan.validated_by(self.settings)

    def log_normaliser(self, nodes: int) -> Tensor:
        """(..., K) log Z of every source, by the rule with this many nodes per axis."""
        return log_normaliser(self.network, self.rule, nodes)

    def quadrature_error(self, nodes: int) -> Tensor:
        """(K,) `|log Z_n - log Z_2n|`, the error of the rule with n nodes per axis."""
        return quadrature_error(self.network, self.rule, nodes)

    def _times(self, factor: int) -> int:
        """A multiple of the nodes of training; a grid has all its cells from the beginning."""
        return self.nodes if self.settings.rule == "grid" else factor * self.nodes

    def loss(self, batch: Batch, noise: BatchNoise) -> Tensor:
        """(B,) `u(x|y) + log Z(y)`, minus the log-likelihood; (S, B) of S models at once."""
        x, y = batch.tensor.to(self.network.V_Y.weight), batch.y
        if not self.exact:
            return -self.log_density(batch, Noise(0)).value
        log_Z = self._log_Z(batch, self._times(1 if self.training else 2))
        log_Z = log_Z if self.C else log_Z.gather(-1, y)
        return self.network(self._placed(x), y, batch.c) + log_Z

    def refuse_rows(self, rows: Batch) -> None:
        """See `ConditionalModel`: too many different values of given columns to anneal at."""
        if self.C and not self.exact:
            conditions_of(rows.y, needed(rows.c))

    def begin(self, rows: Batch, noise: Noise) -> Carried:
        """See `recipes.phased.Phased`: the noise distribution, chains, spreads."""
        carried, x, y = {}, rows.tensor, rows.y
        if self.objective is not None:
            carried = self.objective.begin(self.network, x, y, noise)
        if self.based and "weight" not in carried:
            carried |= begin_base(x, self.settings, noise)
        return carried

    def advance(self, carried: Carried, noise: BatchNoise) -> Carried:
        """See `recipes.phased.Phased`: chains move."""
        if self.objective is None:
            return carried
        return self.objective.advance(self.network, carried, noise)

    def carried_loss(self, batch: Batch, carried: Carried, noise: BatchNoise) -> Tensor:
        """(..., B) the objective in training; for validation the likelihood, where it is exact."""
        if self.objective is None or (self.exact and not self.training):
            return self.loss(batch, noise)
        batch = replace(batch, x=batch.tensor.to(self.network.V_Y.weight))
        if self.training:
            return self.objective.loss(self.network, batch, carried, noise)
        return self.objective.validation_loss(self.network, batch, carried, noise)

    def divergence(self, value: float) -> str | None:
        """See `recipes.phased.Phased`."""
        return None if self.objective is None else self.objective.divergence(value, self.D)

    @torch.no_grad()
    def reliable(self) -> bool:
        """See `recipes.phased.Phased`: whether the nodes of training resolve the energies.

        Maximum likelihood by a rule is not that of the density once mass lies between its nodes,
        and where there are few rows it learns to put some there: the training rows become ever
        more likely, and validation rows beside them as well.
        """
        by_rule = self.plan.objective == "likelihood" and self.settings.rule != "grid"
        return not by_rule or bool(self.quadrature_error(self.nodes).max() <= RESOLVED)

    @torch.no_grad()
    def excess(self, batch: Batch, carried: Carried, noise: BatchNoise) -> Tensor:
        """See `recipes.phased.Phased`: of what validation rows are scored by, beyond u = 0."""
        here = self.eval().carried_loss(batch, carried, noise)
        if self.exact:  # the uniform density is 1
            return here
        constant = copy.deepcopy(self)
        for parameter in constant.parameters():
            parameter.zero_()
        return here - constant.carried_loss(batch, carried, noise)

    def divergence_of_fit(self, start: float, end: float) -> str | None:
        """See `recipes.phased.Phased`."""
        s, name = self.settings, self.plan.objective
        found = divergence_of_fit(s, name, self.D, self.exact, start, end)
        return found or same_everywhere(s, name, self.network)

    def finish(self, rows: Batch, carried: Carried, noise: Noise) -> None:
        """After training: the normaliser by annealing, and the sampler's steps, where needed; and
        what training has gained."""
        if self.based:
            self._settle(rows, carried, noise)
        most = TRIED if self.C and not self.exact else ROWS
        gain = gain_over_one_normal(lambda r: self.log_density(r, noise).value, rows, most)
        self._note("", [("gain", gain)])

    def _settle(self, rows: Batch, carried: Carried, noise: Noise) -> None:
        """What is known by simulation."""
        self._note("base_", {name: carried[name] for name in BASE}.items())
        base, s = self.noise_distribution(), self.settings
        if not self.exact and self.C:
            some = rows.take(torch.arange(0, len(rows), -(-len(rows) // TRIED)))
            worst = self._annealed_rows(some, noise.of("normaliser")).worst
            self._note("", worst.items())
        elif not self.exact:
            found = annealed_normaliser(
                self.network, base, s.temperatures, s.particles, noise.of("normaliser")
            )
            parts = {"": found.value, "_error": found.standard_error, "_high": found.high}
            self._note("annealed", parts.items())
            self._note("", [("weights", found.effective)])
        if self.sampler != "grid":
            leapfrog = LEAPFROG[self.sampler]
            settled = settle(self.network, base, leapfrog, noise.of("sampler"), rows)
            parts = {field.name: getattr(settled, field.name) for field in fields(Settled)}
            self._note("", (parts | {"spread": parts.pop("scale")}).items())

    def _annealed_rows(self, rows: Batch, noise: Noise) -> NormalisedRows:
        base, c = self.noise_distribution(), needed(rows.c)
        return annealed_rows(self.network, base, self.settings, rows.y, c, noise)

    def _note(self, start: str, values: Iterable[tuple[str, Tensor]]) -> None:
        for name, value in values:
            kept = self.get_buffer(start + name)
            setattr(self, start + name, value.detach().double().to(kept.device))

    def noise_distribution(self) -> BoxMixture:
        """Where chains and annealing start."""
        return base_of({name: self.get_buffer(f"base_{name}") for name in BASE}, self.settings)

    def log_density(self, batch: Batch, noise: Noise) -> Density:
        """Of points (B, D), -inf off the cube: exact over a grid, otherwise up to the error of log
        Z, which is that of the rule (the change from half its nodes), or what training left."""
        y, K = batch.y, self.K
        if not self.exact and self.C:
            found = self._annealed_rows(batch, noise)
            shared = found.shared_error(y, K)
            return Density(self._log_prob(batch, found.value), "estimate", shared)
        if not self.exact:
            beyond = self.annealed_high - self.annealed - 1.96 * self.annealed_error
            shared = SharedError(self.annealed_error, beyond.clamp(min=0), 0 * beyond)
            return Density(self._log_prob(batch, self.annealed[y]), "estimate", shared)
        log_Z = self._log_Z(batch, self._times(4))
        value = self._log_prob(batch, log_Z if self.C else log_Z[y])
        if self.settings.rule == "grid":
            return Density(value)
        with torch.no_grad():
            error = (self._log_Z(batch, 2 * self.nodes) - log_Z).abs().double()
            error = source_means(error, y, K) if self.C else error
        return Density(value, "estimate", SharedError(0 * error, 0 * error, error))

    def _log_Z(self, batch: Batch, nodes: int) -> Tensor:
        """(..., K) log Z of every source; with given columns (..., B) of every row."""
        if self.C:
            return log_normaliser(self.network, self.rule, nodes, batch.y, needed(batch.c))
        return self.log_normaliser(nodes)

    def _log_prob(self, batch: Batch, log_Z: Tensor) -> Tensor:
        """(B,) of points, with log Z (B,) of theirs."""
        x, u = batch.tensor.to(self.network.V_Y.weight), []
        for at in torch.arange(len(x), device=x.device).split(CHUNK):
            part = batch.take(at)
            u.append(self.network(self._placed(x[at]), part.y, part.c))
        inside = ((x >= 0) & (x <= 1)).all(-1)
        u = torch.cat(u) if u else x.new_zeros(0)
        return torch.where(inside, -u - log_Z.to(u), -torch.inf)

    def _placed(self, x: Tensor) -> Tensor:
        """Points where the energy is taken: under `rule=grid`, the centres of their cells."""
        if self.settings.rule != "grid":
            return x
        return ((x * self.nodes).floor().clamp(0, self.nodes - 1) + 0.5) / self.nodes

    @torch.no_grad()
    def sample(self, y: Tensor, noise: Noise | ExampleNoise, c: Tensor | None = None) -> Tensor:
        """One point per entry of y, (B, D) float64: see `sampling_grid` and `sampling_chains`."""
        each = noise.each(y)
        if self.sampler == "grid":
            on_grid = self.settings.rule == "grid"
            cells = self.nodes if on_grid else CELLS[self.D]
            return sample_grid(self.network, y, each, cells, not on_grid, c)
        settled = Settled(self.step, self.spread, self.transitions, self.effective, self.r_hat)
        base, leapfrog = self.noise_distribution(), LEAPFROG[self.sampler]
        return sample_chains(self.network, base, settled, leapfrog, y, each, c).double()
