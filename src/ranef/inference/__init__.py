"""Tests and intervals for a fitted model."""
