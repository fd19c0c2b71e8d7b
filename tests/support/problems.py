"""Problems of estimators from scenes, with the true sources."""

from __future__ import annotations

from typing import NamedTuple

import torch

from unfolded_ogamp.imaging.likelihood import joint_step
from unfolded_ogamp.imaging.likelihood.joint_step import JointState
from unfolded_ogamp.imaging.model import Model, evaluate
from unfolded_ogamp.imaging.problem import Problem, pose
from unfolded_ogamp.imaging.scenes.sampler import draw
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.sources import Sources
from unfolded_ogamp.physics import Csi, Scene


class Posed(NamedTuple):
    """A batch of scenes, their CSI, the problem that it poses, and its true solution in problem units."""

    scene: Scene
    csi: Csi
    problem: Problem
    truth: Sources


def posed(scenario: Scenario, n_scenes: int = 1, seed: int = 0, expected_count: float | None = None) -> Posed:
    """Scenes of a scenario; see `pose_scene`."""
    return pose_scene(*draw(scenario, n_scenes, torch.Generator().manual_seed(seed)), expected_count)


def pose_scene(scene: Scene, csi: Csi, expected_count: float | None = None) -> Posed:
    """The problem of a scene; without an expected count of scatterers, reflectivities keep the units of the CSI."""
    count = None if expected_count is None else torch.full_like(scene.grid.pixel, expected_count)
    problem = pose(csi, scene.array, scene.grid, count)
    return Posed(scene, csi, problem, Sources.of_scene(scene, problem))


def modelled(sources: Sources, problem: Problem) -> Model:
    """The model of sources."""
    return evaluate(sources, problem)


def started(sources: Sources, problem: Problem) -> JointState:
    """Initial sources of the joint steps."""
    return joint_step.init(modelled(sources, problem))
