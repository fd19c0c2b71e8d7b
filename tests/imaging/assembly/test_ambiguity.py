"""Scatterers in the region and outside of it, and mirror images about a line or plane that holds all nodes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from faulty_scenes import flat_array
from hand_made import make_scene

from unfolded_ogamp.imaging.assembly.ambiguity import mirror, split
from unfolded_ogamp.imaging.estimate import Scatterers
from unfolded_ogamp.physics import NodeArray, PixelGrid, nlos_channel, regular_grid
from unfolded_ogamp.physics.geometry import FLAT


def scatterers(position: torch.Tensor, seed: int = 0) -> Scatterers:
    """Certain scatterers of random reflectivity and covariance at positions [S, D]."""
    generator = torch.Generator().manual_seed(seed)
    count, dimension = position.shape
    root = 0.01 * torch.randn(count, dimension, dimension, dtype=torch.float64, generator=generator)
    gain = torch.randn(count, 2, dtype=torch.float64, generator=generator)
    return Scatterers.points(
        position, root @ root.mT, torch.view_as_complex(gain), torch.ones(count, dtype=torch.float64)
    )


def same_csi(array: NodeArray, one: Scatterers, other: Scatterers) -> bool:
    first, second = (nlos_channel(array, part.position[None], part.reflectivity[None]) for part in (one, other))
    return torch.allclose(first, second, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_both_images_are_listed_at_half_the_probability(seed: int) -> None:
    """Arrays on a line and in a plane, of any direction; the region is symmetric enough to hold both images."""
    faulty = flat_array(torch.Generator().manual_seed(seed))
    array, dimension = faulty.array, faulty.array.tx.shape[-1]
    position = 0.5 * torch.rand(3, dimension, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    found = scatterers(position, seed)
    wide = replace(faulty.grid, centre=3 * faulty.grid.centre, pixel=3 * faulty.grid.pixel)
    both, beyond, ambiguous = split(found, array, wide)
    assert (len(both.position), len(beyond.position), ambiguous) == (6, 0, 3)
    assert torch.equal(both.probability, torch.full((6,), 0.5, dtype=torch.float64))
    image = both[torch.arange(3, 6)]
    assert float((image.position - position).norm(dim=1).min()) > 1e-3
    assert same_csi(array, found, image)
    # positions are as certain along the way from one image to the other
    way = (image.position - position) / (image.position - position).norm(dim=1, keepdim=True)
    along = [((way[:, None] @ part.covariance)[:, 0] * way).sum(1) for part in (found, image)]
    assert torch.allclose(*along)


def line_of_nodes() -> tuple[NodeArray, PixelGrid]:
    """Nodes on the x axis, and a region on its upper side."""
    array = make_scene().array
    flat = torch.tensor([1.0, 0.0], dtype=torch.float64)
    return replace(array, tx=array.tx * flat, rx=array.rx * flat), regular_grid([10, 5], 0.2, [0.0, 0.6], torch.float64)


def test_the_region_decides_between_images_if_it_holds_one() -> None:
    array, grid = line_of_nodes()
    found = scatterers(torch.tensor([[0.3, 0.5], [0.1, -0.8], [5.0, 0.5]], dtype=torch.float64))
    region, beyond, ambiguous = split(found, array, grid)
    assert ambiguous == 0
    expected = torch.tensor([[0.3, 0.5], [0.1, 0.8]], dtype=torch.float64)
    torch.testing.assert_close(region.position, expected)
    assert bool((region.probability == 1).all())
    assert same_csi(array, region, found[torch.tensor([0, 1])])
    torch.testing.assert_close(beyond.position, found.position[2:])
    # errors across the line are those of the other side, with the sign of their correlation turned
    sign = torch.tensor([[1.0, -1.0], [-1.0, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(region.covariance[1], sign * found.covariance[1])


def test_other_arrays_have_no_images() -> None:
    array, grid = line_of_nodes()
    bent = array.tx.clone()
    n_nodes = array.tx.shape[1] + array.rx.shape[1]
    bent[0, 0, 1] = 3 * FLAT * n_nodes**0.5 * float(array.wavelength[0])
    assert mirror(array) is not None
    assert mirror(replace(array, tx=bent)) is None
    found = scatterers(torch.tensor([[0.3, 0.5], [0.1, -0.8]], dtype=torch.float64))
    region, beyond, ambiguous = split(found, replace(array, tx=bent), grid)
    assert (region.position.tolist(), beyond.position.tolist(), ambiguous) == ([[0.3, 0.5]], [[0.1, -0.8]], 0)


def test_the_region_ends_half_a_pixel_outside_of_its_pixels() -> None:
    grid = regular_grid([10, 5], 0.2, [0.0, 0.6], torch.float64)  # pixels from -1 to 1 and from 0.1 to 1.1
    near = torch.tensor([[1.09, 0.5], [1.11, 0.5], [0.0, 0.01], [0.0, -0.01]], dtype=torch.float64)
    assert grid.holds(near[None])[0].tolist() == [True, False, True, False]
