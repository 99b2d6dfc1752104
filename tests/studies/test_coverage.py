from sourcewise.studies.coverage import CoverageSettings, grid


def test_intervals_cover_in_a_reduced_simulation():
    """The full one is a study (docs/coverage.md); nominal is 95 %."""
    settings = CoverageSettings(repetitions=60, truth_samples=400, sizes=(30,), tails=("t5",))
    for point in grid(settings).run().points:
        assert point.coverage_per_source >= 0.93
        assert point.coverage_macro >= 0.9
