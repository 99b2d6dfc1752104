"""Who is recommended, and what says so: the same words in the document, the table, the report."""

from dataclasses import replace

import pytest
import torch

import sourcewise as sw
from sourcewise.comparison.cautions import (
    condition,
)
from sourcewise.errors import InputError
from sourcewise.fitting.run import Comparison
from sourcewise.forms import as_table
from sourcewise.randomness import Noise
from sourcewise.report.prose import headline

ARM = {"passes": 2, "batch": 32}


def gaussians(n: int, gap: float, seed: int = 0) -> sw.Sources:
    """Four sources in two columns, of correlations +-gap."""
    y = torch.arange(4 * n) % 4
    rows = Noise(seed).of("verdicts").normal(4 * n, 2)
    r = gap * (1.0 - 2 * (y % 2))
    second = r * rows[:, 0] + (1 - r**2).sqrt() * rows[:, 1]
    return sw.Sources(torch.stack([rows[:, 0], second], 1), y, list("abcd"), name="pairs")


GROUPS = "pooled,separate,groups:a+c|b+d"


@pytest.mark.parametrize(("n", "gap"), [(25, 0.0), (25, 0.4), (25, 0.8), (200, 0.0), (200, 0.3)])
@pytest.mark.parametrize(
    ("scope", "seed"), [("procedure", 0), ("these models", 1), ("these models", 2)]
)
def test_the_best_estimate_is_recommended_and_never_what_it_speaks_against(n, gap, scope, seed):
    """Six sources of 25 rows with opposite correlations: by fewest models `pooled` was
    recommended in 49 of 100 cases although its estimate was below the region."""
    options = {"model": "gaussian", "strategies": GROUPS, "scope": scope, "seeds": 1}
    result = sw.compare(gaussians(n, gap, seed), **options)
    verdict, found = result.result.verdict, result.result.strategies
    macro = {name: s.macro["log_likelihood"].mean or 0.0 for name, s in found.items()}
    assert verdict.recommended == max(macro, key=macro.__getitem__) == verdict.lead.strategy
    lead = verdict.lead
    assert lead.difference == pytest.approx(macro[lead.strategy] - macro[lead.over])
    assert lead.sure is not None
    assert 0.5 <= lead.sure <= 1
    if verdict.overall == "undecided":
        whose = "" if scope == "procedure" else "of these models, "
        assert f"undecided, {whose}leaning to {lead.strategy} (by " in str(result)
        assert f"{100 * lead.sure:.0f} % sure" in " ".join(str(result).split())


def test_an_equivalence_says_how_large_a_difference_it_leaves():
    result = sw.compare(gaussians(2000, 0.0), model="gaussian", seeds=1)
    assert result.verdict["overall"] == "equivalent"
    assert result.result.metric.total_variation == pytest.approx((0.02 / 2) ** 0.5)
    assert "within ±0.02 nats per row, at most 0.1 in total variation" in result.verdict["reason"]


def with_noise(columns: int) -> sw.Sources:
    data = gaussians(800, 0.6)
    noise = Noise(1).normal(len(data), columns)
    return replace(data, x=torch.cat([as_table(data.x).matrix(), noise], 1))


def test_columns_of_noise_do_not_make_a_difference_equivalent():
    """28 of them beside two columns that differ: the region was .01 for each."""
    few, many = (sw.compare(with_noise(m), model="gaussian", seeds=1) for m in (0, 28))
    assert few.verdict["overall"] == many.verdict["overall"] == "separate"
    assert many.result.metric.region == 0.05
    assert few.result.metric.region == 0.02


def test_the_region_can_be_said():
    result = sw.compare(gaussians(300, 0.4), model="gaussian", seeds=1, region=0.5)
    assert result.result.metric.region == 0.5
    assert result.verdict["overall"] == "equivalent"
    with pytest.raises(InputError, match="region"):
        sw.compare(gaussians(30, 0.4), model="gaussian", region=-1.0)


def test_table_and_report_say_the_same():
    x = torch.minimum(Noise(1).integers(3, 120, 5), torch.arange(120)[:, None] % 2 + 1)
    data = sw.Sources(x, torch.arange(120) % 2, ("0", "1"), name="symbols")
    result = sw.compare(data, model="arm", set=ARM, seeds=2)
    assert "2 sources, 5 positions of 3 symbols;" in str(result).splitlines()[0]
    lead = replace(result.result.verdict.lead, strategy="separate", over="pooled", sure=0.87)
    changed = {"overall": "undecided", "recommended": "separate", "lead": lead}
    verdict = replace(result.result.verdict, **changed)
    other = replace(result.result, verdict=verdict)
    assert "of these models, leaning to separate (by " in str(Comparison(other, dict))
    assert verdict.condition == "for models trained this long"
    assert headline(other).line[:31] == "For models trained this long: t"
    other = replace(other, verdict=replace(verdict, condition=None))
    told = (
        "These data do not decide between these trained models; they lean to separate (87 % sure)."
    )
    assert headline(other).line == told
    assert "('0')" in str(result) or "('1')" in str(result)  # the worst source


def test_a_verdict_says_what_it_holds_under():
    assert condition([], []) == ""
    assert condition(["pooled"], []) == "for models trained this long"
    found = condition(["pooled"], ["with a", "with b"])
    assert found == "for models trained this long, with a, with b"
