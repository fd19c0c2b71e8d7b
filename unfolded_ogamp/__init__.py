"""Learned, physics-based estimators for distributed radio sensing."""

from unfolded_ogamp.pretrained import load_pretrained

__version__ = "0.1.0"

__all__ = ["__version__", "load_pretrained"]
