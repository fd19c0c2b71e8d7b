"""Variants of a network: the same weights wherever the layers are the same, and everything goes on working."""

from __future__ import annotations

import torch
from small_network import small_network

from unfolded_ogamp.imaging.commands.ablate import variants, with_settings
from unfolded_ogamp.imaging.scenes.sampler import draw
from unfolded_ogamp.imaging.scenes.scenario import Scenario


def test_variants_share_the_weights_of_the_network() -> None:
    network = small_network()
    found = variants(network)
    kept = dict(network.named_parameters())
    for name, variant in found.items():
        if name == "all, analytic":
            assert all(not value.any() for key, value in variant.named_parameters() if "competition" not in key)
            continue
        for key, value in variant.named_parameters():
            assert torch.equal(value, kept[key]), (name, key)


def test_every_variant_estimates() -> None:
    scene, csi = draw(Scenario(n_tx=10, n_rx=10, pixels=(6, 6), sparsity=0.06), 2, torch.Generator().manual_seed(0))
    network = small_network()
    same = with_settings(network, network.settings)
    reference = network(csi, scene.array, scene.grid)
    assert torch.equal(same(csi, scene.array, scene.grid).prediction, reference.prediction)
    for name, variant in variants(network).items():
        estimate = variant(csi, scene.array, scene.grid)
        assert bool((estimate.residual <= csi.value.abs().square().mean((1, 2, 3))).all()), name
