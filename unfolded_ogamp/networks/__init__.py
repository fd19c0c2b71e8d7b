"""Unfolded networks: the analytic steps with learned scalars."""

from unfolded_ogamp.networks.unfolded import NetworkSettings, UnfoldedOGAMP

__all__ = ["NetworkSettings", "UnfoldedOGAMP"]
