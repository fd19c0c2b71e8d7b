"""The paper's phase bound against the joint bound with the image known, Monte-Carlo and closed forms."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hand_made import link_phase_rms, make_scene

from unfolded_ogamp.bounds.imaging import joint_bound
from unfolded_ogamp.bounds.paper import link_phase_variance, link_variance, node_phase_information, paper_phase_bound
from unfolded_ogamp.physics import incidence_matrix, noise_free_csi, reference_node


@pytest.mark.parametrize(("missing", "los"), [(0.0, False), (0.3, False), (0.3, True)])
def test_is_the_joint_bound_with_the_image_known(missing, los):
    scene = make_scene(seed=5, n_tx=7, n_rx=6, missing=missing, los=los)
    bound, link = paper_phase_bound(scene, 0), scene.link[0]
    expected = joint_bound(scene, 0).phase_rms_known_image
    rms = link_phase_rms(bound.common.node_covariance[0], link, reference_node(link))
    assert rms == pytest.approx(expected, rel=1e-9)
    for k in range(2):
        array = replace(scene.array, frequency=scene.array.frequency[:, k : k + 1])
        phases = {name: getattr(scene, name)[..., k : k + 1] for name in ("tx_phase", "rx_phase")}
        expected = joint_bound(replace(scene, array=array, **phases), 0).phase_rms_known_image
        rms = link_phase_rms(bound.per_subcarrier.node_covariance[k], link, reference_node(link))
        assert rms == pytest.approx(expected, rel=1e-9)


def test_variance_of_a_link_phase_is_that_of_noisy_angles():
    """At 30 dB, where the angle of y h* is Gaussian."""
    generator = torch.Generator().manual_seed(0)
    channel = torch.polar(torch.tensor([[1.0, 2.0]]).double(), torch.tensor([[0.3, -2.0]]).double())
    noise = torch.tensor(1e-3, dtype=torch.float64)
    draws = torch.randn(40_000, 1, 2, generator=generator, dtype=torch.complex128) * noise.sqrt()
    angle = ((channel + draws) * channel.conj()).angle()
    variance = link_phase_variance(channel.abs().square(), noise)
    torch.testing.assert_close(angle.square().mean(0), variance, rtol=0.03, atol=0)


def test_link_phases_do_not_depend_on_the_reference_node():
    scene = make_scene(seed=6, n_tx=5, n_rx=4, missing=0.2)
    link = scene.link[0]
    variance = link_phase_variance(noise_free_csi(scene)[0][link].abs().square(), scene.noise_variance[0])
    expected = paper_phase_bound(scene, 0).per_subcarrier.link_variance
    for reference in range(9):
        incidence = incidence_matrix(link, reference)
        covariance = torch.linalg.inv(node_phase_information(incidence, variance))
        torch.testing.assert_close(link_variance(incidence, covariance), expected, rtol=1e-9, atol=0)


def test_synchronisation_noise_is_that_of_wrong_node_phases():
    """Node phases drawn from the bound turn every link, and the CSI is compared with the right one."""
    scene = make_scene(seed=7)
    bound = paper_phase_bound(scene, 0).per_subcarrier
    csi = noise_free_csi(scene)[0][scene.link[0]][:, 0]
    root = torch.linalg.cholesky(bound.node_covariance[0])
    draws = torch.randn(len(root), 40_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    error = incidence_matrix(scene.link[0], reference_node(scene.link[0])) @ root @ draws
    power = (csi[:, None] * (torch.polar(torch.ones_like(error), -error) - 1)).abs().square().mean(1)
    torch.testing.assert_close(power, bound.synchronisation_noise[:, 0], rtol=0.03, atol=0)


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_synchronisation_noise_adds_up_to_half_the_noise_of_one_link_per_phase(missing):
    scene = make_scene(seed=8, missing=missing, los=True)
    bound = paper_phase_bound(scene, 0)
    expected = 10 * scene.noise_variance[0] / 2
    torch.testing.assert_close(bound.per_subcarrier.synchronisation_noise.sum(0), expected.expand(2), rtol=1e-9, atol=0)
    torch.testing.assert_close(bound.common.synchronisation_noise.sum(), expected, rtol=1e-9, atol=0)


def test_approximation_is_exact_where_all_links_are_alike():
    """One scatterer at the centre of a circle of nodes; two at one position have the power of four paths."""
    scene = make_scene(n_scatterers=1)
    angle = torch.arange(11, dtype=torch.float64)
    circle = 3 * torch.stack([angle.cos(), angle.sin()], dim=-1)[None]
    array = replace(scene.array, tx=circle[:, :6], rx=circle[:, 6:])
    scene = replace(scene, array=array, position=torch.zeros_like(scene.position))
    bound = paper_phase_bound(scene, 0)
    exact, approximate = bound.per_subcarrier, bound.approximate
    torch.testing.assert_close(approximate.node_covariance, exact.node_covariance, rtol=1e-9, atol=0)
    torch.testing.assert_close(approximate.synchronisation_noise, exact.synchronisation_noise, rtol=1e-9, atol=0)

    twice = replace(scene, position=scene.position.repeat(1, 2, 1), reflectivity=scene.reflectivity.repeat(1, 2))
    bound = paper_phase_bound(twice, 0)
    coherent = bound.per_subcarrier.node_covariance
    torch.testing.assert_close(bound.approximate.node_covariance, 2 * coherent, rtol=1e-9, atol=0)


def test_approximation_is_too_low_where_paths_fade():
    """The inverse is convex in the powers of the links: their mean power gives too low a bound."""
    for seed in range(5):
        bound = paper_phase_bound(make_scene(seed=seed, n_tx=12, n_rx=12, n_scatterers=8), 0)
        ratio = bound.approximate.link_variance.mean() / bound.per_subcarrier.link_variance.mean()
        assert 0.5 < ratio < 1.0


def test_scenes_without_a_bound_are_refused():
    scene = make_scene()
    parts = torch.zeros_like(scene.link)
    parts[:, :3, :3] = parts[:, 3:, 3:] = True
    with pytest.raises(ValueError, match="one network"):
        paper_phase_bound(replace(scene, link=parts), 0)
    with pytest.raises(ValueError, match="positive noise variance"):
        paper_phase_bound(replace(scene, noise_variance=torch.zeros(1)), 0)
