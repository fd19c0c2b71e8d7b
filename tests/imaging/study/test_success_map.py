"""Where unknowns outnumber equations, counted, is where the Fisher matrix loses rank."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from small_network import small_network

from unfolded_ogamp.bounds.imaging import fisher_information, joint_bound
from unfolded_ogamp.imaging.scenes.sampler import draw_scene
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.study import success_map
from unfolded_ogamp.imaging.study.sweep import Size


def drawn(n_nodes: int, n_scatterers: int, n_subcarriers: int):
    pixels = (8, 8)
    scenario = Scenario(
        n_tx=n_nodes,
        n_rx=n_nodes,
        pixels=pixels,
        sparsity=n_scatterers / math.prod(pixels),
        n_subcarriers=n_subcarriers,
    )
    return draw_scene(scenario, 1, torch.Generator().manual_seed(2))


def undetermined(fisher: torch.Tensor) -> int:
    """Number of directions without information, all unknowns in units of their own accuracy."""
    scale = fisher.diagonal().rsqrt()
    value = torch.linalg.eigvalsh(scale[:, None] * fisher * scale)
    return int((value < 1e-11).sum())


@pytest.mark.parametrize("n_nodes", [4, 5])
def test_line_is_where_a_single_subcarrier_ceases_to_determine_the_unknowns(n_nodes):
    below = math.floor(success_map.most_scatterers(n_nodes, 2, phases_known=False))
    assert undetermined(fisher_information(drawn(n_nodes, below, 1), 0)) == 2  # the two gauges
    assert undetermined(fisher_information(drawn(n_nodes, below + 1, 1), 0)) > 2
    image = math.floor(success_map.most_scatterers(n_nodes, 2, phases_known=True))
    for count, lost in ((image, False), (image + 1, True)):
        fisher = fisher_information(drawn(n_nodes, count, 1), 0)[: 4 * count, : 4 * count]
        assert (undetermined(fisher) > 0) == lost


def test_second_subcarrier_close_by_does_not_help():
    """Above the line two subcarriers determine all on paper, with a bound of wavelengths; more nodes do help."""
    above = math.floor(success_map.most_scatterers(4, 2, phases_known=False)) + 1
    assert joint_bound(drawn(4, above, 2), 0).position_rms > 2 * 0.3
    assert joint_bound(drawn(8, above, 2), 0).position_rms < 0.01


def test_map_shows_the_share_of_successes(monkeypatch):
    monkeypatch.setattr(success_map, "CASES", {"known": success_map.CASES["known"]})
    rows = success_map.measure(Size(1, (2.0, 6.0), (1.0, 2.0)), 0, small_network())
    places = [(row["n_nodes"], row["n_scatterers"]) for row in rows]
    assert places == [(2.0, 1.0), (2.0, 2.0), (6.0, 1.0), (6.0, 2.0)]
    # two scatterers are 8 unknowns, 2 + 2 nodes make 8 equations and no margin for noise; 6 + 6 make 72
    assert [row["mean"] for row in rows if row["n_scatterers"] == 2.0] == [0.0, 1.0]
    (image,) = success_map.draw(rows).axes[0].images
    np.testing.assert_allclose(image.get_array()[1], [0.0, 100.0])
