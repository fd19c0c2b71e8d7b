"""Ray-traced paths: the CSI from the paths of Sionna RT is the frequency response of Sionna RT."""

from __future__ import annotations

import cmath
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from unfolded_ogamp.imaging.files.arrays import from_arrays
from unfolded_ogamp.imaging.files.sionna import sionna_arrays
from unfolded_ogamp.physics import los_channel

FREQUENCY = [3.49e9, 3.5e9]


def stand_in(synthetic: bool, seed: int = 0) -> SimpleNamespace:
    """Paths of two Tx and three Rx as documented: two reflections at most, some missing, a line of sight first."""
    random = np.random.default_rng(seed)
    shape = (3, 2, 4) if synthetic else (3, 1, 2, 1, 4)
    valid = random.random(shape) < 0.7
    valid[..., 0] = True
    interactions = np.ones((2, *shape), int)
    interactions[1] = random.integers(0, 2, shape)
    interactions[..., 0] = 0
    coefficient = random.normal(size=(2, 3, 1, 2, 1, 4))
    positions = np.concatenate([random.normal(size=(2, 5)), np.full((1, 5), 1.5)])
    return SimpleNamespace(
        a=(coefficient[0], coefficient[1]),
        tau=np.where(valid, 1e-8 + 1e-7 * random.random(shape), -1.0),
        valid=valid,
        interactions=interactions,
        sources=positions[:, :2],
        targets=positions[:, 2:],
    )


@pytest.mark.parametrize("synthetic", [True, False])
def test_csi_is_the_sum_over_the_paths_of_a_link(synthetic):
    paths = stand_in(synthetic)
    arrays = sionna_arrays(paths, FREQUENCY)
    real, imaginary = (part.reshape(3, 2, 4) for part in paths.a)
    delay, valid = paths.tau.reshape(3, 2, 4), paths.valid.reshape(3, 2, 4)
    for tx in range(2):
        for rx in range(3):
            for k, frequency in enumerate(FREQUENCY):
                waves = [
                    complex(real[rx, tx, p], imaginary[rx, tx, p])
                    * cmath.exp(-2j * math.pi * frequency * delay[rx, tx, p])
                    for p in range(4)
                    if valid[rx, tx, p]
                ]
                assert arrays["csi"][tx, rx, k] == pytest.approx(sum(waves), rel=1e-9)
                assert arrays["los_channel"][tx, rx, k] == pytest.approx(waves[0], rel=1e-9)
    assert arrays["los"].all()
    np.testing.assert_array_equal(arrays["tx"], paths.sources[:2].T)  # one height: a plane
    np.testing.assert_array_equal(arrays["rx"], paths.targets[:2].T)
    assert from_arrays(arrays).csi.value.shape == (1, 2, 3, 2)


def test_nodes_at_different_heights_are_nodes_in_space_and_blocked_links_have_no_line_of_sight():
    paths = stand_in(synthetic=True)
    paths.sources[2, 0] = 4.0
    paths.valid[1, 0, 0] = False
    arrays = sionna_arrays(paths, FREQUENCY)
    assert arrays["tx"].shape == (2, 3)
    assert (~arrays["los"]).nonzero()[0].tolist() == [0]
    assert (~arrays["los"]).nonzero()[1].tolist() == [1]
    assert (arrays["los_channel"][0, 1] == 0).all()


def test_devices_with_several_antennas_are_refused():
    paths = stand_in(synthetic=True)
    paths.a = tuple(np.concatenate([part, part], axis=3) for part in paths.a)
    with pytest.raises(ValueError, match="one antenna per device, found 2 at Tx and 1 at Rx"):
        sionna_arrays(paths, FREQUENCY)


def test_ray_tracing_in_free_space_is_our_line_of_sight():
    """Against the installed Sionna RT: an empty scene, isotropic antennas, and its own frequency response."""
    rt = pytest.importorskip("sionna.rt", exc_type=ImportError)
    scene = rt.load_scene()
    scene.frequency = 3.5e9
    scene.tx_array = scene.rx_array = rt.PlanarArray(num_rows=1, num_cols=1, pattern="iso", polarization="V")
    places = {"tx": [[0, 0, 1.5], [1, 9, 1.5]], "rx": [[5, 2, 1.5], [-3, 4, 1.5], [7, 7, 1.5]]}
    for number, place in enumerate(places["tx"]):
        scene.add(rt.Transmitter(name=f"tx {number}", position=place))
    for number, place in enumerate(places["rx"]):
        scene.add(rt.Receiver(name=f"rx {number}", position=place))
    paths = rt.PathSolver()(scene, max_depth=0)
    arrays = sionna_arrays(paths, FREQUENCY)
    offset = np.array(FREQUENCY) - 3.5e9
    response = paths.cfr(frequencies=offset, normalize_delays=False, out_type="numpy")[:, 0, :, 0, 0]
    np.testing.assert_allclose(arrays["csi"], response.swapaxes(0, 1), rtol=1e-3)
    file = from_arrays(arrays | {"carrier_frequency": np.array(3.5e9)})
    torch.testing.assert_close(file.csi.value, los_channel(file.array), rtol=1e-3, atol=0)
