"""Whether advice of more rows holds, reduced; the full one is a study (docs/coverage.md)."""

from dataclasses import replace

import pytest

from sourcewise.errors import InputError
from sourcewise.statistics import Interval, would_decide
from sourcewise.studies.advice import FEW, AdvicePoint, AdviceSettings, advised, grid


def test_the_number_of_rows_is_read_as_it_is_printed():
    more = would_decide(Interval(0.1, 0.03, 99), region=0.01, tests=4)
    same = would_decide(Interval(0.0, 0.1, 99), region=0.2)
    few = would_decide(Interval(0.1, 0.03, 99), region=0.01)
    many = would_decide(Interval(0.0, 1.0, 9), region=0.01, tests=500)
    none = would_decide(Interval(0.1, 0.1, 99, allowance=0.2), region=0.01)
    assert few.startswith("a few more rows")
    assert advised(more) == (1.3, False)
    assert advised(same) == (2.7, True)
    assert advised(few) == (FEW, False)
    assert advised(many) is advised(none) is advised(None) is None


def test_shares_are_of_the_data_sets_that_they_speak_of():
    point = AdvicePoint("any", 10, 8, 2, 1, (2.0, 4.0, 9.0, 9.0, 9.0), 4, 2, 0)
    assert str(point) == (
        "| any | 8 of 10: 80 % ± 13 | 2 of 8: 25 % ± 15 | 1 | 9 "
        "| 4 of 5: 80 % ± 18 | 0 of 2: 0 % ± 0 |"
    )


def test_undecided_data_sets_are_tried_told_of_or_counted():
    settings = AdviceSettings(repetitions=4, most=20.0, only=("opposite-normal-4x30-",))
    result = grid(settings).run()
    total, (point,) = result.total, result.points
    assert replace(total, name=point.name) == point
    assert point.undecided == point.silent + point.capped + len(point.times)
    assert point.equivalent <= point.promised <= len(point.times)
    assert max(point.times) <= 20
    assert point.decided >= 0.5 * len(point.times)


def test_settings_that_are_not_there_are_refused():
    with pytest.raises(InputError, match="no setting's name holds patients5"):
        grid(AdviceSettings(only=("patients5",)))
