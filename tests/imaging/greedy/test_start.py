"""Sources that a start keeps if the residual exceeds the noise or targets are extended."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from problems import Posed, modelled, pose_scene
from torch import Tensor

from unfolded_ogamp.imaging.greedy import rounds, start
from unfolded_ogamp.imaging.greedy.settings import GreedySettings
from unfolded_ogamp.imaging.mismatch import correction
from unfolded_ogamp.imaging.model import Correction, evaluate
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.scenes.sampler import draw_scene
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.sources import Sources
from unfolded_ogamp.physics import Scene, link_phase, measure, nlos_channel, unit_vectors

SCENARIO = Scenario(n_tx=20, n_rx=20, pixels=(10, 10), sparsity=0.03, snr_db=35.0)
PLACES = torch.tensor([[-0.7, -0.6], [0.6, -0.5], [0.0, 0.7]], dtype=torch.float64)


def three_apart(snr_db: float = 35.0) -> Scene:
    """Two scenes of three scatterers, seven wavelengths and more from one another."""
    scene = draw_scene(replace(SCENARIO, snr_db=snr_db), 2, torch.Generator().manual_seed(1))
    return replace(scene, position=PLACES.expand(2, -1, -1))


def echoes(scene: Scene, part: slice) -> Tensor:
    return nlos_channel(scene.array, scene.position[:, part], scene.reflectivity[:, part])


def power(channel: Tensor) -> Tensor:
    return channel.abs().square().sum((1, 2, 3))


def weakened(scene: Scene, echo: Tensor) -> Scene:
    """The scene whose third scatterer has an echo of this power [B]."""
    reflectivity = scene.reflectivity.clone()
    reflectivity[:, 2] *= (echo / power(echoes(scene, slice(2, 3)))).sqrt()
    return replace(scene, reflectivity=reflectivity)


def measured(scene: Scene, beside: Tensor) -> Posed:
    """The problem of a scene whose channel holds something beside [B, n_tx, n_rx, K]."""
    csi = measure(scene, torch.Generator().manual_seed(2))
    turn = torch.polar(torch.ones_like(beside.real), -link_phase(scene.tx_phase, scene.rx_phase))
    return pose_scene(scene, replace(csi, value=csi.value + beside * turn))


def speckle(scene: Scene) -> Tensor:
    """Random errors of 30 % on the links of the first two scatterers, as rough targets have them."""
    shape = (*echoes(scene, slice(2)).shape[:3], 2)
    gain = torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64) / 2**0.5
    return 0.3 * torch.view_as_complex(gain)[..., None] * echoes(scene, slice(2))


def kept(sources: Sources, problem: Problem, extended: bool) -> list[int]:
    """Numbers of sources that stay."""
    assumed = replace(Correction.none(problem), extended=torch.full((2,), extended))
    state = rounds.all_running(correction.refit(evaluate(sources, problem, assumed), problem))
    return start.prune_by_jackknife(state, problem, GreedySettings()).model.sources.used.sum(1).tolist()


@pytest.mark.parametrize(("share", "stays"), [(0.07, False), (0.5, True)])
def test_beside_rough_targets_a_point_needs_a_large_share_of_the_residual(share: float, stays: bool) -> None:
    """Two targets with a speckle of 30 % on their links, and a true point with a given share of the speckle power."""
    scene = three_apart()
    left = speckle(scene)
    *_, problem, truth = measured(weakened(scene, share * power(left)), left)
    assert kept(truth, problem, extended=True) == [3 if stays else 2] * 2
    assert kept(truth, problem, extended=False) == [3, 3]


def test_noise_is_no_residual_of_targets() -> None:
    """A point with a tenth of the power of the noise is far above the false-alarm threshold of 800 samples."""
    scene = three_apart(snr_db=-5.0)
    scene = weakened(scene, 0.1 * 800 * scene.noise_variance)
    *_, problem, truth = measured(scene, torch.zeros_like(echoes(scene, slice(3))))
    assert kept(truth, problem, extended=True) == [3, 3]


def test_an_echo_that_few_nodes_receive_is_no_scatterer() -> None:
    """It exists on the links of two Tx only. In white noise of that power, the matched filter would accept it."""
    scene = three_apart()
    false = 3 * echoes(scene, slice(2, 3))
    false[:, 2:] = 0
    *_, problem, truth = measured(weakened(scene, 0 * scene.noise_variance), false)
    fitted = truth.reflectivity.clone()
    fitted[:, 2] = 3 * 2 / 20 * scene.reflectivity[:, 2]
    assert kept(replace(truth, reflectivity=fitted), problem, extended=False) == [2, 2]


def test_close_sources_merge_and_are_parts_of_an_extended_target() -> None:
    """A pair of opposite signs in place of one scatterer merges; a neighbour is part of an extended target only."""
    scene = three_apart()
    for apart, points in ((0.02, 3), (0.4, 4)):
        shift = apart * scene.array.wavelength[0] * torch.tensor([1.0, 0.0], dtype=torch.float64)
        truly_there = apart > 0.1
        more = replace(
            scene,
            position=torch.cat([scene.position, scene.position[:, 2:] + shift], dim=1),
            reflectivity=torch.cat([scene.reflectivity, 0.8 * scene.reflectivity[:, 2:]], dim=1),
        )
        *_, problem, _ = measured(more if truly_there else scene, speckle(scene))
        sources = Sources.of_scene(more, problem)
        if not truly_there:
            reflectivity = sources.reflectivity.clone()
            reflectivity[:, 2], reflectivity[:, 3] = 1.8 * reflectivity[:, 2], -reflectivity[:, 3]
            sources = replace(sources, reflectivity=reflectivity)
        assert kept(sources, problem, extended=False) == [points] * 2
        assert kept(sources, problem, extended=True) == [3, 3]


def tried(scene: Scene, sources: Scene, beside: Tensor) -> list[bool]:
    """Whether the scenes are taken for those of extended targets, from sources at the places of another scene."""
    *_, problem, _ = measured(scene, beside)
    state = rounds.all_running(modelled(Sources.of_scene(sources, problem), problem))
    found = start.try_extended_targets(state, problem, torch.ones(2, dtype=torch.bool), GreedySettings())
    return found.model.correction.extended.tolist()


def test_targets_are_extended_if_a_directivity_explains_the_csi_better() -> None:
    """The echo of a round target depends on the bistatic angle, here on its cosine."""
    scene = three_apart()
    assert tried(scene, scene, torch.zeros_like(speckle(scene))) == [False, False]
    towards = (unit_vectors(nodes, scene.position[:, :1]) for nodes in (scene.array.tx, scene.array.rx))
    cosine = torch.einsum("bdis,bdjs->bij", *towards)[..., None]
    assert tried(scene, scene, 0.3 * cosine * echoes(scene, slice(1))) == [True, True]


def test_targets_are_extended_if_points_cluster_and_do_not_explain_the_csi() -> None:
    """Four points each, up to half a wavelength apart: more than a series of two orders explains."""
    scene = three_apart()
    generator = torch.Generator().manual_seed(4)
    turns = torch.rand(2, 3, 4, generator=generator, dtype=torch.float64)
    shift = torch.tensor([[0.24, 0.0], [0.0, 0.24], [-0.24, 0.0], [0.0, -0.24]]).double() * scene.array.wavelength[0]
    gathered = replace(
        scene,
        position=(scene.position[:, :, None] + shift).flatten(1, 2),
        reflectivity=(scene.reflectivity[..., None] * torch.polar(torch.ones_like(turns), 6.28 * turns)).flatten(1),
    )
    assert tried(gathered, gathered, torch.zeros_like(speckle(scene))) == [False, False]
    assert tried(gathered, gathered, 0.3 * speckle(scene)) == [True, True]
