"""Predictions for the data of the fit or for new data, with intervals that tell what is known."""

from ranef.prediction.predictor import IntervalKind, NewLevels, predict

__all__ = ["IntervalKind", "NewLevels", "predict"]
