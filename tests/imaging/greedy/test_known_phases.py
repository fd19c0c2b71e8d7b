"""Node phases that the file gives as known, exactly or with an error, join nodes without common links."""

from __future__ import annotations

from dataclasses import replace

import torch

from unfolded_ogamp.imaging.greedy.estimator import GreedyEstimator
from unfolded_ogamp.imaging.scenes.sampler import draw
from unfolded_ogamp.imaging.scenes.scenario import Scenario

SYNCHRONISED = Scenario(n_tx=12, n_rx=12, pixels=(8, 8), sparsity=0.05, snr_db=25.0, phase_std=0.0)


def test_two_arrays_without_common_links_find_the_scatterers_together() -> None:
    """Six Tx and six Rx each measure among themselves; only known phases relate one array to the other."""
    scene, csi = draw(SYNCHRONISED, 3, torch.Generator().manual_seed(0))
    apart = torch.zeros_like(csi.link)
    apart[:, :6, :6], apart[:, 6:, 6:] = True, True
    known = torch.ones(3, dtype=torch.bool)
    csi = replace(csi, value=csi.value * apart[..., None], link=apart, phases_known=known)
    estimate = GreedyEstimator()(csi, scene.array, scene.grid)
    assert not estimate.tx_phase.any()
    assert not estimate.rx_phase.any()
    assert not torch.cat([estimate.tx_phase_std, estimate.rx_phase_std], dim=1).any()
    for found, true, converged in zip(estimate.scatterers, scene.position, estimate.converged, strict=True):
        assert converged
        distance = torch.cdist(true, found.position)
        assert len(found.position) == len(true)
        assert float(distance.amin(1).max()) < 0.01


def test_phases_with_a_prior_join_two_arrays() -> None:
    """The phases of the nodes have a standard deviation of 0.2 rad, and are found to less than that."""
    scene, csi = draw(replace(SYNCHRONISED, phase_std=0.2 * 2**0.5), 3, torch.Generator().manual_seed(0))
    apart = torch.zeros_like(csi.link)
    apart[:, :6, :6], apart[:, 6:, 6:] = True, True
    prior = torch.full((3, 24), 0.2, dtype=torch.float64)
    csi = replace(csi, value=csi.value * apart[..., None], link=apart, phase_std=prior)
    estimate = GreedyEstimator()(csi, scene.array, scene.grid)
    level = []
    for index, (found, true) in enumerate(zip(estimate.scatterers, scene.position, strict=True)):
        assert estimate.converged[index]
        nearest = torch.cdist(true, found.position).min(1)
        assert len(found.position) == len(true)
        assert float(nearest.values.max()) < 0.02
        error = (found.position[nearest.indices] - true).double()
        whitened = torch.linalg.solve(found.covariance.double()[nearest.indices], error[..., None])
        level.append(error[:, None] @ whitened)
    assert 0.5 < float(torch.cat(level).mean()) / 2 < 2.0  # mean of chi-squared with two degrees of freedom
    phase = torch.cat([estimate.tx_phase - scene.tx_phase, estimate.rx_phase - scene.rx_phase], dim=1)[..., 0]
    error = phase - phase.mean(1, keepdim=True)
    assert float(error.square().mean().sqrt()) < 0.1


def test_known_phases_make_positions_more_certain() -> None:
    scene, csi = draw(SYNCHRONISED, 2, torch.Generator().manual_seed(1))
    unknown, known = (
        GreedyEstimator()(replace(csi, phases_known=flag), scene.array, scene.grid)
        for flag in (None, torch.ones(2, dtype=torch.bool))
    )
    for before, after in zip(unknown.scatterers, known.scatterers, strict=True):
        assert float(after.position_std.mean()) < 0.8 * float(before.position_std.mean())
