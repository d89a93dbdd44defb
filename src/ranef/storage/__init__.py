"""Keeping fitted models: `save` writes one file, `load` reads it, and nothing in it is executed."""

from ranef.storage.models import load, save

__all__ = ["load", "save"]
