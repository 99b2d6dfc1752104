"""A package of somebody else: a family without a density, and a metric of its draws."""
