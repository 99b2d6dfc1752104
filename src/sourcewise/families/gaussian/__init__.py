"""The Gaussian family: conditional multivariate normals, fitted exactly."""
