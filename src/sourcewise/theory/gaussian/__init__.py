"""Conditional Gaussians: laws of the estimate (`laws`), partitions, brackets, localized bounds."""

from sourcewise.theory.gaussian.laws import (
    asymptotic_tv_balanced,
    asymptotic_tv_pooled,
    asymptotic_tv_separate,
    expected_kl,
    expected_tv_balanced,
    expected_tv_pooled,
    expected_tv_separate,
    m_blocks,
    m_pooled,
    m_separate,
)

__all__ = [
    "asymptotic_tv_balanced",
    "asymptotic_tv_pooled",
    "asymptotic_tv_separate",
    "expected_kl",
    "expected_tv_balanced",
    "expected_tv_pooled",
    "expected_tv_separate",
    "m_blocks",
    "m_pooled",
    "m_separate",
]
