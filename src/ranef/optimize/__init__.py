"""Optimizers of a criterion over relative covariance factors, and the verdict on their end."""
