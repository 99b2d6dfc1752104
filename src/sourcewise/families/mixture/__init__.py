"""The mixture family: mixtures of Gaussians, fitted by EM with exact steps."""
