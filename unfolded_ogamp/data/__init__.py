"""Where scenes come from: seeded draws of scenarios, and the user's own CSI files."""

from unfolded_ogamp.data.sampler import draw, draw_scene
from unfolded_ogamp.data.scenario import Scenario

__all__ = ["Scenario", "draw", "draw_scene"]
