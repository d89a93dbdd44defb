"""Parameters of the random effects' covariance matrices."""
