"""Who is recommended, and what says so: the same words in the document, the table, the report."""

from dataclasses import replace

import pytest
import torch

import sourcewise as sw
from sourcewise.comparison.cautions import (
    condition,
)
from sourcewise.comparison.verdict import recommend
from sourcewise.fitting.run import Comparison
from sourcewise.partition import Partition
from sourcewise.randomness import Noise
from sourcewise.report.prose import headline
from sourcewise.results.comparison import Difference
from sourcewise.strategies import Strategy

ARM = {"passes": 2, "batch": 32}


POOLED = Strategy("pooled", Partition(((0, 1),)))
SEPARATE = Strategy("separate", Partition(((0,), (1,))))


def record(source: str, verdict: str, gain: float) -> Difference:
    head = source, "pooled", "separate", "log_likelihood", "nats"
    return Difference(*head, gain, gain - 1, gain + 1, 0.5, 9.0, 0.1, 0.1, verdict, None)


def records(gain: float | None = None, **verdicts: str) -> list[Difference]:
    names = {"s0": "0", "s1": "1"}
    if gain is None:
        gain = 0.1 if "pool" in verdicts.values() else -0.1
    return [record(names.get(k, k), verdict, gain) for k, verdict in verdicts.items()]


@pytest.mark.parametrize(
    ("verdicts", "recommended", "how"),
    [
        (("separate", "undecided", "undecided"), "separate", "because of source '0' alone"),
        (("separate", "separate", "undecided"), "separate", "because of sources '0', '1'"),
        (("pool", "equivalent", "undecided"), "pooled", "because of source '0' alone"),
        (("pool", "separate", "undecided"), "pooled", "by default"),
        (("undecided", "undecided", "undecided"), "pooled", "by default"),
        (("undecided", "undecided", "separate"), "separate", ""),
        (("undecided", "undecided", "pool"), "pooled", ""),
    ],
)
def test_what_says_which_to_use(verdicts, recommended, how):
    rows = records(**dict(zip(("s0", "s1", "macro"), verdicts, strict=True)))
    found = recommend([POOLED], (POOLED, SEPARATE), "separate", rows)
    assert (found.strategy, found.how) == (recommended, how)


def test_table_and_report_say_the_same():
    x = torch.minimum(Noise(1).integers(3, 120, 5), torch.arange(120)[:, None] % 2 + 1)
    data = sw.Sources(x, torch.arange(120) % 2, ("0", "1"), name="symbols")
    result = sw.compare(data, model="arm", set=ARM, seeds=2)
    assert "2 sources, 5 positions of 3 symbols;" in str(result).splitlines()[0]
    how = "because of source '0' alone"
    changed = {"overall": "undecided", "recommended": "separate", "recommended_how": how}
    verdict = replace(result.result.verdict, **changed)
    other = replace(result.result, verdict=verdict)
    assert f"recommended: separate, {how}" in str(Comparison(other, dict))
    assert verdict.condition == "for models trained this long"
    assert headline(other).line[:31] == "For models trained this long: t"
    other = replace(other, verdict=replace(verdict, condition=None))
    assert headline(other).line == f"These data do not decide it; {how}, separate."
    assert "('0')" in str(result) or "('1')" in str(result)  # the worst source


def test_a_verdict_says_what_it_holds_under():
    assert condition([], []) == ""
    assert condition(["pooled"], []) == "for models trained this long"
    found = condition(["pooled"], ["with a", "with b"])
    assert found == "for models trained this long, with a, with b"


@pytest.mark.parametrize(
    ("verdict", "average", "better"), [("separate", 0.26, "separate"), ("pool", -0.26, "pooled")]
)
def test_one_source_does_not_decide_against_the_average(verdict, average, better):
    rows = records(average, s0=verdict, s1="undecided", macro="undecided")
    found = recommend([POOLED], (POOLED, SEPARATE), "separate", rows)
    assert (found.strategy, found.how) == ("pooled", "by default")
    assert f"; source '0' favours {better}, but the average ({average:+.3g})" in found.why
