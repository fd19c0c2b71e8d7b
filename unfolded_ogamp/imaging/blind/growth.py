"""Growth of models source by source, joint steps, and removal of the least certain sources, for a batch at once."""

from __future__ import annotations

import torch
from torch import Tensor

from unfolded_ogamp.imaging.blind.settings import OvershootSettings
from unfolded_ogamp.imaging.likelihood import joint_step
from unfolded_ogamp.imaging.likelihood.uncertainty import uncertainty
from unfolded_ogamp.imaging.model import Model, evaluate, remove_sources, trim_slots
from unfolded_ogamp.imaging.phases.refinement import NodePhases
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.sources import Sources
from unfolded_ogamp.operators.written_grid import WrittenGrid


def without_sources(problem: Problem, phases: NodePhases) -> Model:
    """The model without sources, at node phases [B, n, 1]."""
    sources = Sources.none(problem, phases.tx[..., 0], phases.rx[..., 0])
    return evaluate(sources, problem)


def grow(model: Model, scene: Problem, images: WrittenGrid, count: int, settings: OvershootSettings) -> Model:
    """Models with `count` sources: new ones are at peaks of the residual's image, and joint steps follow.

    One source at a time is best while there are few; later, several peaks of a residual are reliable. The more sources
    the models have, the more their costs say which ones end in a trap, and the fewer models are kept.
    """
    problem = copies(scene, len(model.cost))
    while (n_slots := model.sources.used.shape[1]) < count:
        sources, image = model.sources, images.back_project(model.residual)
        for _ in range(min(1 + n_slots // settings.per_peak, count - n_slots)):
            sources, image = with_peak(sources, image, images, settings.separation * problem.array.wavelength[0])
        grown = evaluate(sources, problem)
        n_slots = sources.used.shape[1]
        phases_free = n_slots >= settings.phase_count or bool(scene.has_los)
        model = fit(grown, problem, settings.steps, settings.largest_move, phases_free)
        most = max(settings.kept, round(settings.starts * min(1.0, settings.undecided / n_slots) ** 2))
        if most < len(model.cost):
            model = best(model, most)
            problem = copies(scene, most)
    return model


def copies(scene: Problem, count: int) -> Problem:
    """One scene as a batch of `count` equal scenes, without copies of its tensors."""
    return scene.map(lambda tensor: tensor.expand(count, *tensor.shape[1:]))


def best(model: Model, count: int) -> Model:
    """The `count` models of lowest cost, in ascending order."""
    return model[model.cost.argsort()[:count]]


def with_peak(sources: Sources, image: Tensor, images: WrittenGrid, radius: Tensor) -> tuple[Sources, Tensor]:
    """Sources without unused slots and a new one at the peak of an image [R, Q], and the image without this peak.

    Positions within `radius` [m] of the peak are left out of the image.
    """
    index = (image.real.square() + image.imag.square()).argmax(1)
    position = images.position[index]
    height = image.gather(1, index[:, None]) * images.energy[index, None].rsqrt()
    used = torch.ones_like(height, dtype=torch.bool)
    grown = sources.with_points(position[:, None], height.to(sources.reflectivity), used)
    return grown, image.masked_fill(torch.cdist(position, images.position) < radius, 0)


def fit(model: Model, problem: Problem, steps: int, largest_move: float, phases_free: bool = True) -> Model:
    """The model after joint steps; node phases move only if `phases_free`."""
    state = joint_step.init(model)
    free = torch.full_like(model.cost, phases_free, dtype=torch.bool)
    for _ in range(steps):
        state = joint_step.step(state, problem, free, largest_move)
    return state.model


def without_least_certain(model: Model, problem: Problem, count: int) -> Model:
    """The models without their `count` least certain sources; nothing is fitted between two removals.

    The certainty is |x|^2 over its variance with all other unknowns free. Two sources in place of one scatterer are
    both strong, but neither is certain beside the other.
    """
    for _ in range(count):
        amplitude = uncertainty(model, problem).amplitude
        power = model.sources.reflectivity.real.square() + model.sources.reflectivity.imag.square()
        certainty = power / amplitude.clamp(min=torch.finfo(power.dtype).tiny)
        weakest = torch.where(model.sources.used, certainty, torch.inf).argmin(1, keepdim=True)
        removed = torch.zeros_like(model.sources.used).scatter(1, weakest, True)
        model = trim_slots(remove_sources(model, removed, problem))
    return model
