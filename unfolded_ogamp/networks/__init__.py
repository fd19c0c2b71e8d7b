"""Unfolded networks: the analytic steps with learned scalars."""

from unfolded_ogamp.networks.settings import NetworkSettings
from unfolded_ogamp.networks.unfolded import UnfoldedOGAMP

__all__ = ["NetworkSettings", "UnfoldedOGAMP"]
