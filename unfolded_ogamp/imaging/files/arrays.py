"""Checked conversion of the arrays of a CSI file, by name, to the inputs of an estimator."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unfolded_ogamp.files import Fields
from unfolded_ogamp.physics import (
    SPEED_OF_LIGHT,
    Csi,
    NodeArray,
    PixelGrid,
    los_channel,
    reached_nodes,
    regular_grid,
)
from unfolded_ogamp.records import Record

MOST_PIXELS = 1e9  # along an axis
LARGEST_MISFIT = 3.0  # ratio of the CSI to free space above which free space is scaled to the CSI
SAME_PLACE = 1e-6  # distance below which two points coincide, in carrier wavelengths

LOSS_EXPONENTS = {"spherical": 1.0, "cylindrical": 0.5}

REQUIRED = ("tx", "rx", "frequency", "csi")
KEYS = (
    *(*REQUIRED, "carrier_frequency", "wave_speed", "loss", "tx_gain", "rx_gain"),
    *("tx_phase_std", "rx_phase_std", "tx_std", "rx_std", "gain_std"),
    *("link", "los", "los_channel", "los_trusted", "noise_variance", "roi", "pixel"),
    *("truth_position", "truth_reflectivity", "truth_tx_phase", "truth_rx_phase"),
)


@dataclass(frozen=True)
class Truth(Record):
    """The true values of a scene in its file, for evaluation only; a batch of one.

    Attributes:
        position: true scatterer positions [1, S, D], [m].
        reflectivity: complex [1, S], or None where unknown.
        tx_phase, rx_phase: node phases [1, n_tx, K], [1, n_rx, K], [rad], or None where unknown.
    """

    position: Tensor
    reflectivity: Tensor | None
    tx_phase: Tensor | None
    rx_phase: Tensor | None


@dataclass(frozen=True)
class CsiFile(Record):
    """Contents of a CSI file as a batch of one in double precision.

    Attributes:
        csi, array, grid: inputs of an estimator.
        truth: None where the file has no `truth_position`.
    """

    csi: Csi
    array: NodeArray
    grid: PixelGrid
    truth: Truth | None


def from_arrays(arrays: Mapping[str, np.ndarray]) -> CsiFile:
    """Contents of a CSI file with these arrays; the module `files.csi` lists the keys.

    Raises:
        ValueError: with one line: what was expected, what was found.
    """
    unknown = [key for key in arrays if key not in KEYS]
    if unknown:
        raise ValueError(f"expected keys among {', '.join(KEYS)}, found {', '.join(unknown)}")
    return checked(arrays)


def checked(arrays: Mapping[str, np.ndarray]) -> CsiFile:
    """Contents of arrays whose names are known; warnings point to the caller of the public function above."""
    fields = Fields(arrays)
    array = _load_array(fields)
    return CsiFile(
        csi=_load_csi(fields, array),
        array=array,
        grid=_load_grid(fields, array),
        truth=_load_truth(fields, array),
    )


def expect_complex_csi(fields: Fields) -> None:
    """Raise if `csi` is real; the message says which shape it has if an axis holds real and imaginary parts.

    Raises:
        ValueError: if it is not complex.
    """
    csi = fields.required("csi")
    found = f"{csi.dtype} of shape {list(csi.shape)}"
    for axis in range(csi.ndim - 1, -1, -1):
        rest = [size for place, size in enumerate(csi.shape) if place != axis]
        if csi.ndim == 4 and csi.shape[axis] == 2:
            parts = ", ".join([":"] * axis + ["{}"] + [":"] * (3 - axis)) if axis < 3 else "..., {}"
            found += f", which could be {rest} with real and imaginary part along axis {axis}: "
            found += f"csi[{parts.format(0)}] + 1j * csi[{parts.format(1)}], or the imaginary part first"
            break
    else:
        sizes = tuple(fields.sizes.get(name, 0) for name in ("n_tx", "n_rx", "K"))
        if csi.shape == (*sizes[:2], 2 * sizes[2]):
            found += f", which could be {list(sizes)} with real and imaginary parts in turn: "
            found += "csi[..., 0::2] + 1j * csi[..., 1::2], or the imaginary part first"
    fields.expect(csi.dtype.kind == "c", "csi", "complex numbers", found)


def _load_array(fields: Fields) -> NodeArray:
    tx = fields.real("tx", ("n_tx", "D"))
    fields.expect(tx.shape[-1] in (2, 3), "tx", "2 or 3 coordinates", tx.shape[-1])
    rx = fields.real("rx", ("n_rx", "D"))
    frequency = fields.real("frequency", ("K",))
    fields.expect(bool((frequency > 0).all()), "frequency", "positive values", frequency.min())
    # waves of another speed are those of light at the frequency with the same wavelength
    scale = SPEED_OF_LIGHT / (fields.positive("wave_speed") or SPEED_OF_LIGHT)
    carrier = scale * (fields.positive("carrier_frequency") or float(frequency.mean()))
    law = fields.choice("loss", tuple(LOSS_EXPONENTS)) or "spherical"
    gains = [fields.optional_positive(f"{side}_gain", (f"n_{side}",)) for side in ("tx", "rx")]
    tx_gain, rx_gain = (None if gain is None else gain[None] for gain in gains)
    array = NodeArray(
        tx=tx[None],
        rx=rx[None],
        frequency=scale * frequency[None],
        carrier_frequency=frequency.new_tensor([carrier]),
        loss_exponent=None if law == "spherical" else frequency.new_tensor([LOSS_EXPONENTS[law]]),
        tx_gain=tx_gain,
        rx_gain=rx_gain,
    )
    for key, nodes in (("tx", tx), ("rx", rx)):
        distance = torch.cdist(nodes, nodes, compute_mode="donot_use_mm_for_euclid_dist")
        pair = ((distance <= SAME_PLACE * array.wavelength).triu(diagonal=1)).nonzero()
        fields.expect(not len(pair), key, "nodes at different places", f"nodes {pair[:1].tolist()} at one place")
    return array


def _load_csi(fields: Fields, array: NodeArray) -> Csi:
    n_tx, n_rx = fields.sizes["n_tx"], fields.sizes["n_rx"]
    links, values = ("n_tx", "n_rx"), ("n_tx", "n_rx", "K")
    every = torch.ones(n_tx, n_rx, dtype=torch.bool)
    link = fields.boolean("link", links, every)
    fields.expect(bool(link.any()), "link", "at least one measured link", "none")
    cut_off = (~reached_nodes(link[None])[0]).nonzero()[:, 0].tolist()
    names = [f"tx {node}" if node < n_tx else f"rx {node - n_tx}" for node in cut_off]
    found = f"{len(names)} of {n_tx + n_rx} nodes that no chain of links joins to tx 0: {', '.join(names[:5])}"
    known = _knowledge_of_nodes(fields)
    told = known["phases_known"] is not None or known["phase_std"] is not None
    fields.expect(told or not names, "link", "one connected network, or known node phases", found)
    expect_complex_csi(fields)
    value = fields.optional_complex("csi", values, link, "on every measured link")
    assert value is not None
    fields.expect(bool((value != 0).any()), "csi", "a value other than zero", "zero on every measured link")

    if "los_channel" in fields.arrays and "los" not in fields.arrays:
        warnings.warn("los_channel is given without los: the CSI is taken to contain no line of sight", stacklevel=4)
    los = fields.boolean("los", links, ~every) & link
    distance = torch.cdist(array.tx[0], array.rx[0], compute_mode="donot_use_mm_for_euclid_dist")
    pair = (los & (distance <= SAME_PLACE * array.wavelength)).nonzero()
    found = f"tx and rx {pair[:1].tolist()} at one place"
    fields.expect(not len(pair), "los", "a line of sight between different places", found)
    known_los = fields.optional_complex("los_channel", values, los, "on every link with a line of sight")
    if known_los is None:
        free_space = torch.where(los[..., None], los_channel(array)[0], torch.zeros_like(value))
        known_los = _scaled_free_space(free_space, value, los)
    noise_variance = fields.positive("noise_variance")
    return Csi(
        value=value[None],
        link=link[None],
        los=los[None],
        los_channel=known_los[None],
        los_trusted=(fields.boolean("los_trusted", links, los) & los)[None],
        noise_variance=None if noise_variance is None else array.frequency.new_tensor([noise_variance]),
        **known,
    )


def _knowledge_of_nodes(fields: Fields) -> dict[str, Tensor | None]:
    """How well the nodes are known: parts of the CSI, None where the file does not say."""
    gain = fields.optional_real("gain_std", ())
    fields.expect(gain is None or float(gain) >= 0, "gain_std", "a standard deviation of at least 0", "a negative one")
    phase, node = (standard_deviation_of_nodes(fields, name) for name in ("phase_std", "std"))
    known = phase is not None and not bool(phase.any())
    return {
        "phases_known": torch.tensor([True]) if known else None,
        "phase_std": None if known else phase,
        "node_std": node,
        "gain_std": None if gain is None else gain.reshape(1),
    }


def standard_deviation_of_nodes(fields: Fields, name: str) -> Tensor | None:
    """Standard deviations `tx_<name>` and `rx_<name>` [1, n_tx + n_rx], each of one number or one per node."""
    sides, keys = [], (f"tx_{name}", f"rx_{name}")
    for side, key in zip(("tx", "rx"), keys, strict=True):
        if key in fields.arrays and fields.arrays[key].ndim == 0:
            value = fields.optional_real(key, ())
            value = None if value is None else value.expand(fields.sizes[f"n_{side}"])
        else:
            value = fields.optional_real(key, (f"n_{side}",))
        fields.expect(value is None or not bool((value < 0).any()), key, "values of at least 0", "a negative one")
        sides.append(value)
    tx, rx = sides
    fields.expect((tx is None) == (rx is None), " and ".join(keys), "both or none", "one of them")
    return None if tx is None or rx is None else torch.cat([tx, rx])[None]


def _scaled_free_space(free_space: Tensor, value: Tensor, los: Tensor) -> Tensor:
    """The line of sight (9) [n_tx, n_rx, K] scaled to the CSI if they differ by more than `LARGEST_MISFIT`."""
    if not los.any():
        return free_space
    ratio = float((value[los].abs() / free_space[los].abs()).median())
    if 1 / LARGEST_MISFIT < ratio < LARGEST_MISFIT or ratio == 0:
        return free_space
    warnings.warn(
        f"the CSI is {ratio:.2g} times the line of sight in free space, which is scaled to it; "
        "give los_channel if it is known",
        stacklevel=5,
    )
    return ratio * free_space


def _load_grid(fields: Fields, array: NodeArray) -> PixelGrid:
    nodes = torch.cat([array.tx[0], array.rx[0]])
    pixel = fields.positive("pixel") or float(array.wavelength) / 1.5
    roi = fields.optional_real("roi", (2, "D"))
    if roi is None:
        lower, upper = nodes.amin(0), nodes.amax(0)
        fields.expect(bool((lower < upper).all()), "roi", "corners, as the nodes span no region", "none")
        roi = torch.stack([0.75 * lower + 0.25 * upper, 0.25 * lower + 0.75 * upper])
    lower, upper = roi
    fields.expect(bool((lower < upper).all()), "roi", "the lower corner below the upper one", roi.tolist())
    exact = ((upper - lower) / pixel).tolist()
    expected = f"at most {MOST_PIXELS:.3g} pixels along an axis"
    fields.expect(max(exact) <= MOST_PIXELS, "roi and pixel", expected, f"{max(exact):.3g}")
    counts = [max(1, round(count)) for count in exact]
    middle = (lower + upper) / 2
    grid = regular_grid(counts, pixel, middle.tolist(), torch.float64)

    half = (torch.tensor(counts, dtype=torch.float64) - 1) / 2
    nearest = torch.minimum(torch.maximum(((nodes - middle) / pixel + half).round(), 0 * half), 2 * half)
    distance = (nodes - middle - (nearest - half) * pixel).norm(dim=-1)
    on_centre = (distance <= SAME_PLACE * array.wavelength).nonzero()[:, 0].tolist()
    found = [nodes[index].tolist() for index in on_centre[:1]]
    fields.expect(not on_centre, "roi and pixel", "no node on the centre of a pixel", f"one at {found} m")
    return grid


def _load_truth(fields: Fields, array: NodeArray) -> Truth | None:
    position = fields.optional_real("truth_position", ("S", "D"))
    if position is None:
        return None
    if "truth_reflectivity" in fields.arrays and fields.arrays["truth_reflectivity"].dtype.kind == "c":
        reflectivity = fields.optional_complex("truth_reflectivity", ("S",), None, "everywhere")
    else:
        reflectivity = fields.optional_real("truth_reflectivity", ("S",))
    phases = []
    for side in ("tx", "rx"):
        key = f"truth_{side}_phase"
        per_subcarrier = key in fields.arrays and fields.arrays[key].ndim == 2
        phase = fields.optional_real(key, (f"n_{side}", "K") if per_subcarrier else (f"n_{side}",))
        if phase is not None and not per_subcarrier:
            phase = phase[:, None].repeat(1, array.frequency.shape[-1])
        phases.append(None if phase is None else phase[None])
    return Truth(
        position=position[None],
        reflectivity=None if reflectivity is None else reflectivity[None].to(torch.complex128),
        tx_phase=phases[0],
        rx_phase=phases[1],
    )
