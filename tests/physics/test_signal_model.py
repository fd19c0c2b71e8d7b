"""The signal model against numbers computed directly from its equations, and against closed forms."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from unfolded_ogamp.imaging.scenes.sampler import draw_scene
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.physics import (
    SPEED_OF_LIGHT,
    NodeArray,
    Scene,
    clock_phase,
    draw_nodes,
    incidence_matrix,
    link_phase,
    los_channel,
    measure,
    nlos_channel,
    noise_free_csi,
    propagation_gain,
    regular_grid,
)


def batch_of_one(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.asarray(array))[None]


@pytest.fixture(scope="module")
def golden_array(golden_signal_model) -> NodeArray:
    golden = golden_signal_model
    return NodeArray(
        tx=batch_of_one(golden["tx"]),
        rx=batch_of_one(golden["rx"]),
        frequency=batch_of_one(golden["frequency"]),
        carrier_frequency=batch_of_one(SPEED_OF_LIGHT / golden["wavelength"]),
    )


def assert_close(actual: torch.Tensor, expected: np.ndarray, tolerance: float = 1e-10) -> None:
    """Equal to `tolerance` relative to the largest entry."""
    error = np.abs(actual.numpy() - expected).max()
    assert error <= tolerance * np.abs(expected).max()


def test_grid_runs_over_the_first_coordinate_fastest(golden_signal_model):
    grid = regular_grid((3, 3), 0.2, (0.0, 0.0), torch.float64)
    assert_close(grid.centre[0], golden_signal_model["grid"])


def test_grid_of_unequal_counts_lies_around_its_middle():
    centre = regular_grid((2, 1, 3), 0.5, (1.0, 2.0, 3.0), torch.float64).centre[0]
    expected = [[x, 2.0, z] for z in (2.5, 3.0, 3.5) for x in (0.75, 1.25)]
    torch.testing.assert_close(centre, torch.tensor(expected, dtype=torch.float64))


def test_gain_agrees_with_the_equations(golden_signal_model, golden_array):
    golden = golden_signal_model
    true_position = batch_of_one(golden["grid"] + golden["offset"])
    assert_close(propagation_gain(golden_array, batch_of_one(golden["grid"]))[0], golden["A"])
    assert_close(propagation_gain(golden_array, true_position)[0], golden["A_true"])


def test_line_of_sight_agrees_with_the_equations(golden_signal_model, golden_array):
    assert_close(los_channel(golden_array)[0], golden_signal_model["h_los"])


def test_csi_agrees_with_the_equations(golden_signal_model, golden_array):
    golden = golden_signal_model
    scene = Scene(
        array=golden_array,
        grid=regular_grid((3, 3), 0.2, (0.0, 0.0), torch.float64),
        position=batch_of_one(golden["grid"] + golden["offset"]),
        reflectivity=batch_of_one(golden["reflectivity"]).to(torch.complex128),
        tx_phase=batch_of_one(golden["phi_tx"]),
        rx_phase=batch_of_one(golden["phi_rx"]),
        link=torch.ones(1, 4, 3, dtype=torch.bool),
        los=batch_of_one(golden["visible"]),
        noise_variance=torch.ones(1, dtype=torch.float64),
    )
    # The clocks turn up to 8000 times, so that the phase loses four of its sixteen digits.
    assert_close(noise_free_csi(scene)[0], golden["csi"], 1e-9)


def test_clock_and_link_phases_agree_with_the_equations(golden_signal_model):
    golden = golden_signal_model
    frequency = golden["frequency"]
    spacing = frequency[1] - frequency[0]
    phases = []
    for side in ("tx", "rx"):
        phase = golden[f"phi_{side}"]
        offset = (phase[:, 1] - phase[:, 0]) / (2 * np.pi * spacing)
        oscillator = phase[:, 0] - 2 * np.pi * frequency[0] * offset
        node = clock_phase(batch_of_one(offset), batch_of_one(oscillator), batch_of_one(frequency))
        assert_close(torch.exp(1j * node[0]), np.exp(1j * phase), 1e-6)
        phases.append(node)
    assert_close(torch.exp(1j * link_phase(*phases)[0]), np.exp(1j * golden["Phi"]), 1e-6)


def test_clock_phase_of_a_quarter_period():
    frequency = torch.tensor([[1e9, 2e9]], dtype=torch.float64)
    quarter = torch.tensor([[3.25e-9]], dtype=torch.float64)
    phase = clock_phase(quarter, torch.tensor([[0.5]], dtype=torch.float64), frequency)
    expected = torch.tensor([[[math.pi / 2 + 0.5, math.pi + 0.5]]], dtype=torch.float64)
    torch.testing.assert_close(phase, expected, rtol=0, atol=1e-6)


def test_projection_on_consistent_link_phases_agrees_with_the_equations(golden_signal_model):
    golden = golden_signal_model
    matrix = incidence_matrix(torch.ones(4, 3, dtype=torch.bool), reference=4)
    assert torch.equal(matrix, torch.from_numpy(golden["G"]))
    node_phase = torch.linalg.lstsq(matrix, torch.from_numpy(golden["link_phase"])[:, None]).solution
    assert_close(node_phase[:, 0], golden["node_phase_ls"])
    assert_close((matrix @ node_phase)[:, 0], golden["link_phase_projected"])


def test_gain_over_a_scatterer_a_whole_number_of_wavelengths_away():
    frequency = torch.tensor([[SPEED_OF_LIGHT]], dtype=torch.float64)  # a wavelength of 1 m
    tx = torch.tensor([[[3.0, 0.0, 0.0]]], dtype=torch.float64)
    rx = torch.tensor([[[0.0, 0.0, 2.25]]], dtype=torch.float64)
    array = NodeArray(tx=tx, rx=rx, frequency=frequency, carrier_frequency=frequency[:, 0])
    gain = propagation_gain(array, torch.zeros(1, 1, 3, dtype=torch.float64))
    expected = -1j / (4 * math.pi * 3.0 * 2.25)  # 5.25 wavelengths: a quarter turn back
    assert abs(complex(gain.squeeze()) - expected) < 1e-12


def test_single_precision_keeps_the_phase():
    """40 wavelengths of path in float32 are known to 40 / 2^24 of a turn per rounding, 1e-5 rad."""
    scene = draw_scene(Scenario(), 4, torch.Generator().manual_seed(0))
    exact = propagation_gain(scene.array, scene.position)
    single = propagation_gain(scene.array.to(torch.float32), scene.position.to(torch.float32))
    assert single.dtype == torch.complex64
    assert (single.to(exact) * exact.conj()).angle().abs().max() < 1e-4
    assert (single.abs() / exact.abs() - 1).abs().max() < 1e-5


def test_noise_is_circular_and_at_the_asked_ratio():
    scene = draw_scene(Scenario(snr_db=7.0, missing_links=0.3, los=True), 64, torch.Generator().manual_seed(1))
    csi = measure(scene, torch.Generator().manual_seed(2))
    noise = csi.value - noise_free_csi(scene)
    assert torch.all(csi.value[~scene.link] == 0)

    # The ratio counts the scattered part alone, over the measured links of each scene, in a separate loop.
    gain = propagation_gain(scene.array, scene.position)
    for index in range(8):
        scattered = (gain[index] @ scene.reflectivity[index])[scene.link[index]]
        ratio = scattered.abs().square().mean() / scene.noise_variance[index]
        assert 10 * math.log10(ratio) == pytest.approx(7.0, abs=1e-9)

    normalised = (noise / scene.noise_variance.sqrt()[:, None, None, None])[scene.link]
    bound = 4 / math.sqrt(normalised.numel())
    assert abs(normalised.abs().square().mean() - 1) < bound
    assert abs(normalised.square().mean()) < 2 * bound
    assert abs(normalised.mean()) < bound


@pytest.mark.parametrize("dimension", [2, 3])
def test_nodes_are_isotropic_and_uniform_in_radius(dimension):
    position = draw_nodes(100, dimension, 3.0, 5.0, 200, torch.Generator().manual_seed(3)).reshape(-1, dimension)
    radius = position.norm(dim=-1)
    direction = position / radius[:, None]
    bound = 4 / math.sqrt(len(radius))
    assert radius.min() >= 3.0
    assert radius.max() <= 5.0
    assert abs(radius.mean() - 4.0) < bound * 2 / math.sqrt(12)
    assert abs((radius < 3.5).double().mean() - 0.25) < bound * math.sqrt(3) / 4
    assert direction.mean(0).abs().max() < bound
    covariance = direction.T @ direction / len(direction)
    assert (covariance - torch.eye(dimension) / dimension).abs().max() < bound


@pytest.mark.parametrize("pixels", [(6, 5), (3, 3, 4)], ids=["plane", "space"])
def test_scattered_channel_is_the_sum_over_its_paths(pixels):
    """Summed as a matrix product, over a band of 50 MHz."""
    scenario = Scenario(n_tx=3, n_rx=4, pixels=pixels, node_radius=(1.0, 1.5), sparsity=0.2, n_subcarriers=5)
    scene = draw_scene(replace(scenario, subcarrier_spacing=1e7), 2, torch.Generator().manual_seed(0))
    reflectivity = scene.reflectivity * torch.exp(0.3j * torch.arange(scene.reflectivity.shape[1]))
    gain = propagation_gain(scene.array, scene.position)
    expected = torch.einsum("bijkp,bp->bijk", gain, reflectivity)
    actual = nlos_channel(scene.array, scene.position, reflectivity)
    torch.testing.assert_close(actual, expected, rtol=1e-11, atol=1e-13)
