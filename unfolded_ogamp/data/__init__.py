"""Where scenes come from: seeded draws of scenarios, and the user's own CSI files."""

from unfolded_ogamp.data.arrays import CsiFile, Truth, from_arrays
from unfolded_ogamp.data.csi_file import CsiFileError, load_csi, save_csi
from unfolded_ogamp.data.dataset import CounterSampler, SceneDataset, Source
from unfolded_ogamp.data.estimate_file import save_estimate
from unfolded_ogamp.data.evaluation_scenes import evaluation_scenes
from unfolded_ogamp.data.fresnel import fresnel_arrays
from unfolded_ogamp.data.mismatch import MISMATCHES, mismatched, mismatched_scenes
from unfolded_ogamp.data.mixture import Component, Mixture
from unfolded_ogamp.data.sampler import draw, draw_scene
from unfolded_ogamp.data.scenario import Scenario
from unfolded_ogamp.data.simulation import simulate
from unfolded_ogamp.data.sionna import sionna_arrays

__all__ = [
    "MISMATCHES",
    "Component",
    "CounterSampler",
    "CsiFile",
    "CsiFileError",
    "Mixture",
    "Scenario",
    "SceneDataset",
    "Source",
    "Truth",
    "draw",
    "draw_scene",
    "evaluation_scenes",
    "fresnel_arrays",
    "from_arrays",
    "load_csi",
    "mismatched",
    "mismatched_scenes",
    "save_csi",
    "save_estimate",
    "simulate",
    "sionna_arrays",
]
