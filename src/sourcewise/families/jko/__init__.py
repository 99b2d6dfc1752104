"""Flows of the scheme of Jordan, Kinderlehrer and Otto (JKO), block by block."""
