"""Predictions for the data of the fit or for new data, with intervals that tell what is known."""

from ranef.prediction.blocks import LevelCovariances, level_covariances
from ranef.prediction.predictor import IntervalKind, NewLevels, predict
from ranef.prediction.rows import Rows, fitted_rows
from ranef.prediction.variances import absorbed_columns, relative_variances

__all__ = [
    "IntervalKind",
    "LevelCovariances",
    "NewLevels",
    "Rows",
    "absorbed_columns",
    "fitted_rows",
    "level_covariances",
    "predict",
    "relative_variances",
]
