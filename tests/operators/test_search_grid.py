"""The search_grid against exact propagation over every link."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from unfolded_ogamp.imaging.problem import Problem, pose
from unfolded_ogamp.imaging.scenes.sampler import draw
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.physics import propagation_gain

SCENARIOS = [
    Scenario(n_tx=5, n_rx=4, pixels=(4, 3), sparsity=0.2, missing_links=0.3, n_subcarriers=3),
    Scenario(n_tx=4, n_rx=5, pixels=(2, 2, 3), sparsity=0.2, node_radius=(1.0, 1.5), n_subcarriers=1),
]


def posed(scenario: Scenario) -> Problem:
    """A batch of two with gains of antennas, in which a Tx of the second scene lies on a searched position."""
    generator = torch.Generator().manual_seed(8)
    scene, csi = draw(scenario, 2, generator)
    array, grid = scene.array, scene.grid
    tx_gain, rx_gain = (0.5 + torch.rand(side.shape[:2], generator=generator).double() for side in (array.tx, array.rx))
    array = replace(array, tx_gain=tx_gain, rx_gain=rx_gain)
    tx = array.tx.clone()
    tx[1, 0] = pose(csi, array, grid, None).search_grid(0.3).position[1, 6]
    return pose(csi, replace(array, tx=tx), grid, None)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=["plane", "volume"])
def test_image_is_that_of_exact_atoms_on_the_links_there_are(scenario: Scenario) -> None:
    problem = posed(scenario)
    search_grid = problem.search_grid(0.3)
    scale = problem.dictionary_scale[:, None, None, None, None]
    atom = propagation_gain(problem.array, search_grid.position) / scale * problem.link[..., None]
    energy = atom.abs().square().sum((1, 2, 3))
    expected = torch.einsum("bijkq,bijk->bq", atom.conj(), problem.csi) / energy.sqrt()
    image, apart = search_grid.back_project(problem.csi), torch.isfinite(energy)
    assert (~apart).nonzero().tolist() == [[1, 6]]
    assert image[1, 6] == 0  # a position on a node makes no echo
    torch.testing.assert_close(search_grid.energy[apart].double(), energy[apart], rtol=1e-5, atol=0)
    most = problem.csi.abs().square().sum((1, 2, 3)).sqrt()[:, None]
    assert ((image - expected).abs() / most)[apart].max() < 1e-6
