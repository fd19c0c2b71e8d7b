"""Search grids: images against exact propagation over every link, and over every one-way path."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from operator_contract import BATCH, N_SUBCARRIERS, N_TX, Case, LinearMapContract, random_array
from torch import Tensor

from unfolded_ogamp.imaging.problem import Problem, pose
from unfolded_ogamp.imaging.scenes.sampler import draw
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.operators.search_grid import OneWaySearchGrid, SearchGrid
from unfolded_ogamp.physics import SPEED_OF_LIGHT, NodeArray, phasor, propagation_gain

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


@dataclass(frozen=True)
class AsOperator:
    """Images to CSI and back."""

    grid: SearchGrid

    def forward(self, image: Tensor) -> Tensor:
        return self.grid.channel(image.to(torch.complex64)).to(image)

    def adjoint(self, csi: Tensor) -> Tensor:
        return self.grid.back_project(csi)

    def __getitem__(self, index: slice) -> AsOperator:
        return AsOperator(self.grid[index])


class TestContract(LinearMapContract):
    @pytest.fixture(params=SCENARIOS, ids=["plane", "volume"])
    def case(self, request: pytest.FixtureRequest) -> Case:
        problem = posed(request.param)
        grid = problem.search_grid(0.3)
        return Case(AsOperator(grid), grid.position.shape[1:2], problem.csi.shape[1:], tolerance=1e-5)


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
    assert image[1, 6] == 0  # a position on a node is excluded
    torch.testing.assert_close(search_grid.energy[apart].double(), energy[apart], rtol=1e-5, atol=0)
    most = problem.csi.abs().square().sum((1, 2, 3)).sqrt()[:, None]
    assert ((image - expected).abs() / most)[apart].max() < 1e-6


def one_way(on_a_node: bool = False) -> tuple[NodeArray, Tensor, OneWaySearchGrid]:
    array, position = random_array(2)
    if on_a_node:
        position[1, 4] = array.tx[1, 2]
    return array, position, OneWaySearchGrid.of(array, array.tx, array.tx_gain, position)


def test_one_way_images_are_those_of_plain_loops() -> None:
    array, position, grid = one_way()
    measured = torch.randn(
        BATCH, N_TX, N_SUBCARRIERS, dtype=torch.complex128, generator=torch.Generator().manual_seed(1)
    )
    for scene in range(BATCH):
        for place in range(position.shape[1]):
            alone, energies = [], []
            for node in range(N_TX):
                distance = float((array.tx[scene, node] - position[scene, place]).norm())
                turns = array.frequency[scene] * distance / SPEED_OF_LIGHT
                atom = torch.exp(-2j * torch.pi * turns) * array.tx_gain[scene, node] / distance
                alone.append((atom.conj() * measured[scene, node]).sum())
                energies.append(atom.abs().square().sum())
            product, energy = torch.stack(alone), torch.stack(energies)
            power = (product.abs().square() / energy).sum()
            found = (image(measured)[scene, ..., place] for image in (grid.per_node, grid.coherent, grid.power))
            expected = (product / energy.sqrt(), product.sum() / energy.sum().sqrt(), power)
            torch.testing.assert_close(tuple(found), expected, rtol=1e-9, atol=1e-12)


def test_one_way_images_peak_where_the_source_is() -> None:
    """With one gain for all nodes all power is in the coherent image; with a phase per node, in the power image."""
    _, _, grid = one_way()
    measured = grid.wave[..., 3].movedim(1, -1) * (0.6 - 0.8j)
    total = measured.abs().square().sum((1, 2))
    turned = measured * phasor(torch.arange(N_TX).double())[:, None]
    for image in (grid.coherent(measured).abs().square(), grid.power(measured), grid.power(turned)):
        assert image.argmax(1).tolist() == [3, 3]
        torch.testing.assert_close(image[:, 3], total, rtol=1e-9, atol=0)
    assert bool((grid.coherent(turned)[:, 3].abs().square() < 0.5 * total).all())


def test_a_one_way_position_on_a_node_excludes_that_node_alone() -> None:
    _, _, grid = one_way(on_a_node=True)
    measured = torch.ones(BATCH, N_TX, N_SUBCARRIERS, dtype=torch.complex128)
    images = (grid.per_node(measured), grid.coherent(measured), grid.power(measured))
    assert all(bool(image.isfinite().all()) for image in images)
    assert images[0][1, :, 4].abs().gt(0).tolist() == [True, True, False, True, True]
