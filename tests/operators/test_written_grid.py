"""The written-out grid gives the images of the search grid."""

from __future__ import annotations

import torch
from problems import posed

from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.operators.written_grid import WrittenGrid

SCENARIO = Scenario(n_tx=5, n_rx=4, pixels=(4, 4), missing_links=0.2, subcarrier_spacing=30e6)


def test_images_and_channels_are_those_of_the_search_grid():
    problem = posed(SCENARIO).problem
    grid = problem.search_grid(0.3)
    written, every = (
        WrittenGrid.of(grid, problem.link),
        grid.map(lambda tensor: tensor.repeat(3, *[1] * (tensor.ndim - 1))),
    )
    generator = torch.Generator().manual_seed(0)
    residual = torch.randn(3, *problem.csi.shape[1:], dtype=torch.complex64, generator=generator) * problem.link
    image = torch.randn(3, len(written.position), dtype=torch.complex64, generator=generator)
    torch.testing.assert_close(written.back_project(residual), every.back_project(residual), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        written.channel(image), every.channel(image) * problem.link.float(), rtol=1e-4, atol=1e-4
    )
