"""The named perturbations, and their scenes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch

from unfolded_ogamp.imaging.perturbations.nodes_and_links import LinkGains, LossExponent, Nodes, OutlierLinks, Wall
from unfolded_ogamp.imaging.perturbations.signal import Perturbation, Signal, measured
from unfolded_ogamp.imaging.perturbations.targets import Clusters, Extended, Occluded
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.physics import Csi
from unfolded_ogamp.scenes import counter_seed, evaluation_scenes

OTHER_EPOCH = 2  # epoch of the random numbers of a perturbation; those of the scenes have epoch 0

PERTURBATIONS: Mapping[str, Perturbation] = {
    "none": Nodes(),
    "nodes_5mm": Nodes(position_std=0.005),
    "nodes_20mm": Nodes(position_std=0.02),
    "nodes_50mm": Nodes(position_std=0.05),
    "nodes_70mm": Nodes(position_std=0.07),
    "gains_3db": Nodes(gain_std=3.0),
    "gains_3db_nodes_20mm": Nodes(position_std=0.02, gain_std=3.0),
    "outliers_5": OutlierLinks(0.05),
    "outliers_20": OutlierLinks(0.2),
    "outliers_35": OutlierLinks(0.35),
    "loss_exponent": LossExponent(),
    "wall": Wall(),
    "link_gains_2db": LinkGains(2.0, 0.25),
    "link_gains_4db": LinkGains(4.0, 0.5),
    "extended": Extended(),
    "clusters_small": Clusters(smallest=0.03, largest=0.05),
    "clusters_large": Clusters(smallest=0.08, largest=0.15),
    "dielectric": Clusters(smallest=0.03, largest=0.15, strength=0.2),
    "occluded": Occluded(),
    "pillars": Clusters(count=6, points=12, smallest=0.1, largest=0.1),
}


def perturbed_scenes(scenario: Scenario, name: str, n_scenes: int, seed: int) -> Iterator[tuple[Signal, Csi]]:
    """The first `n_scenes` scenes of the test split after a perturbation, one at a time, in double precision.

    Raises:
        KeyError: if there is no perturbation of this name.
    """
    perturbation = PERTURBATIONS[name]
    for index, (scene, _) in enumerate(evaluation_scenes(scenario, n_scenes, 1, seed, torch.float64)):
        generator = torch.Generator().manual_seed(counter_seed(seed, "test", OTHER_EPOCH, index))
        yield measured(perturbation(scene, generator), scene, generator)
