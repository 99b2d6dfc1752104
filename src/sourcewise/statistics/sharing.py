"""The sharing factor as it is measured."""

__all__ = ["beta_from_gain"]


def beta_from_gain(gain: float, excess: float, K: int, J: int = 1) -> float:
    """Beta-hat from measured errors: `(1 - m / m_separate) K / (K - J)`, never clipped.

    With excess errors in nats, `m / m_separate = (excess - gain) / excess`.

    >>> beta_from_gain(gain=2.0, excess=5.0, K=5)
    0.5

    Args:
        gain: error of separate minus error of the strategy, nats.
        excess: error of separate above the best possible, nats.
        K: number of sources.
        J: number of blocks, below K.
    """
    return gain / excess * K / (K - J)
