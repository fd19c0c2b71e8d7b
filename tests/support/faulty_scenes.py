"""CSI with the troubles of measurements, one put into a random scene of the model at a time.

Every trouble draws a scene of its own: 8 to 20 nodes a side, 2-D or 3-D, 3 to 8 scatterers, 15 to 30 dB, uniform
phases.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Generator, Tensor

from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.physics import Csi, NodeArray, PixelGrid, Scene, clock_phase, link_phasor, los_channel, measure


@dataclass(frozen=True)
class Faulty:
    """CSI with a trouble, and the nodes, links or subcarriers that have it (numbers, Tx and Rx by name)."""

    csi: Csi
    array: NodeArray
    grid: PixelGrid
    where: tuple[str, ...] = ()


def integer(low: int, high: int, generator: Generator) -> int:
    """A whole number from `low` to `high`, both included."""
    return int(torch.randint(low, high + 1, (), generator=generator))


def real(low: float, high: float, generator: Generator) -> float:
    """A number between `low` and `high`."""
    return low + (high - low) * float(torch.rand((), dtype=torch.float64, generator=generator))


def subset(count: int, size: int, generator: Generator) -> list[int]:
    """`size` of `count` numbers, ascending."""
    return sorted(torch.randperm(count, generator=generator)[:size].tolist())


def scenario(generator: Generator, **fields: Any) -> Scenario:
    """A random scenario with some fields given."""
    dimension = 3 if integer(0, 3, generator) == 0 else 2
    side = 7 if dimension == 3 else integer(10, 20, generator)
    values: dict[str, Any] = {
        "n_tx": integer(8, 20, generator),
        "n_rx": integer(8, 20, generator),
        "pixels": (side,) * dimension,
        "node_radius": (1.0, 1.5) if dimension == 3 else (0.75, 1.25),
        "sparsity": integer(3, 8, generator) / side**dimension,
        "snr_db": real(15, 30, generator),
        "phase_model": "uniform",
    }
    return Scenario(**values | fields)


def drawn(generator: Generator, **fields: object) -> tuple[Scene, Csi]:
    """A random scene without trouble, and its CSI."""
    return scenario(generator, **fields).draw(1, generator)


def faulty(scene: Scene, csi: Csi, value: Tensor, where: tuple[str, ...] = ()) -> Faulty:
    """The scene with other CSI."""
    return Faulty(replace(csi, value=value), scene.array, scene.grid, where)


def dead_nodes(generator: Generator, noise: bool = False) -> Faulty:
    """One to three Rx, or Tx, that are zero on all links, or measure noise alone."""
    scene, csi = drawn(generator, snr_db=real(20, 30, generator))
    value, side = csi.value.clone(), integer(0, 1, generator)
    chosen = subset(value.shape[1 + side], integer(1, 3, generator), generator)
    quiet = measure(replace(scene, reflectivity=0 * scene.reflectivity, los=scene.los & False), generator).value
    value.movedim(1 + side, 0)[chosen] = (quiet if noise else 0 * quiet).movedim(1 + side, 0)[chosen]
    return faulty(scene, csi, value, tuple(f"{('Tx', 'Rx')[side]} {node}" for node in chosen))


def noisy_nodes(generator: Generator) -> Faulty:
    """Like `dead_nodes`, with noise instead of zeros."""
    return dead_nodes(generator, noise=True)


def garbage_links(generator: Generator) -> Faulty:
    """A few links 40 to 50 dB stronger than the others."""
    scene, csi = drawn(generator)
    value, links = csi.value.clone(), subset(csi.link[0].numel(), integer(1, 3, generator), generator)
    value.flatten(1, 2)[:, links] *= 10 ** (real(40, 50, generator) / 20)
    n_rx = value.shape[2]
    return faulty(scene, csi, value, tuple(f"Tx {link // n_rx} to Rx {link % n_rx}" for link in links))


def narrow_band(generator: Generator, los: bool = False) -> tuple[Scene, Csi]:
    """A random scene on 6 to 16 subcarriers, 100 kHz to 5 MHz apart."""
    spacing = 10 ** real(5, 6.7, generator)
    return drawn(generator, n_subcarriers=integer(6, 16, generator), subcarrier_spacing=spacing, los=los)


def spike(generator: Generator) -> Faulty:
    """A constant added on all links of one subcarrier, three to thirty times as large as the CSI."""
    scene, csi = narrow_band(generator, los=bool(integer(0, 1, generator)))
    index = integer(0, csi.value.shape[-1] - 1, generator)
    value, level = csi.value.clone(), csi.value.abs().square().mean().sqrt()
    value[..., index] += level * real(3, 30, generator)
    return faulty(scene, csi, value, (str(index),))


def garbage_subcarrier(generator: Generator) -> Faulty:
    """One subcarrier of the power of the others, with random phases on all links."""
    scene, csi = narrow_band(generator)
    index = integer(0, csi.value.shape[-1] - 1, generator)
    value = csi.value.clone()
    turn = 2 * math.pi * torch.rand(value.shape[1:3], dtype=torch.float64, generator=generator)
    value[..., index] *= torch.polar(torch.ones_like(turn), turn)
    return faulty(scene, csi, value, (str(index),))


def null_subcarriers(generator: Generator) -> Faulty:
    """Some subcarriers are zero."""
    scene, csi = narrow_band(generator)
    chosen = subset(csi.value.shape[-1], integer(1, csi.value.shape[-1] // 2, generator), generator)
    value = csi.value.clone()
    value[..., chosen] = 0
    return faulty(scene, csi, value, tuple(map(str, chosen)))


def fft_order(generator: Generator) -> Faulty:
    """Subcarriers in FFT order with ascending frequencies, over a band wide enough for delays to matter."""
    count = integer(6, 32, generator)
    scene, csi = drawn(
        generator,
        n_subcarriers=count,
        subcarrier_spacing=real(20e6, 100e6, generator) / count,
        los=bool(integer(0, 1, generator)),
    )
    return faulty(scene, csi, torch.fft.ifftshift(csi.value, dim=-1))


def packet_delays(generator: Generator) -> Faulty:
    """Every Tx, or every node, is late by up to 200 ns; a band of 10 to 20 MHz with lines of sight."""
    count = integer(8, 32, generator)
    fields = {"n_subcarriers": count, "subcarrier_spacing": real(10e6, 20e6, generator) / count, "los": True}
    scene, csi = drawn(generator, **fields)
    n_tx, n_rx = csi.link.shape[1:]
    late = 200e-9 * torch.rand(1, n_tx + n_rx, dtype=torch.float64, generator=generator)
    if integer(0, 1, generator):
        late[:, n_tx:] = 0
    tx, rx = clock_phase(late, torch.zeros_like(late), scene.array.frequency).split([n_tx, n_rx], dim=1)
    return faulty(scene, csi, csi.value * link_phasor(tx, rx).conj())


def unmarked_line_of_sight(generator: Generator) -> Faulty:
    """The CSI contains the line of sight of all or most links, and `los` says no."""
    scene, csi = drawn(generator, los=True, blocked_los=0.2 * integer(0, 1, generator))
    return Faulty(replace(csi, los=csi.los & False, los_trusted=csi.los & False), scene.array, scene.grid)


def exchanged_nodes(generator: Generator) -> Faulty:
    """Two Rx, or two Tx, have each other's positions; lines of sight are trusted."""
    scene, csi = drawn(generator, los=True, sparsity=3 / 400, pixels=(20, 20), node_radius=(0.75, 1.25))
    side = integer(0, 1, generator)
    one, other = subset((scene.array.tx, scene.array.rx)[side].shape[1], 2, generator)
    nodes = (scene.array.tx, scene.array.rx)[side].clone()
    nodes[:, [one, other]] = nodes[:, [other, one]]
    array = replace(scene.array, tx=nodes) if side == 0 else replace(scene.array, rx=nodes)
    name = ("Tx", "Rx")[side]
    return Faulty(replace(csi, los_channel=los_channel(array)), array, scene.grid, (f"{name} {one}", f"{name} {other}"))


def conjugated_node(generator: Generator) -> Faulty:
    """One node is conjugated; lines of sight are trusted."""
    scene, csi = drawn(generator, los=True, sparsity=3 / 400, pixels=(20, 20), node_radius=(0.75, 1.25))
    side = integer(0, 1, generator)
    node = integer(0, csi.value.shape[1 + side] - 1, generator)
    value = csi.value.clone()
    chosen = value.movedim(1 + side, 0)[node]
    chosen.copy_(chosen.conj().resolve_conj())
    return faulty(scene, csi, value, (f"{('Tx', 'Rx')[side]} {node}",))


def quarter_turns(generator: Generator) -> Faulty:
    """15 % of the links are turned by one to three quarters; lines of sight are trusted."""
    scene, csi = drawn(generator, los=True)
    turned = torch.rand(csi.link.shape, generator=generator) < 0.15
    angle = math.pi / 2 * torch.randint(1, 4, csi.link.shape, generator=generator).double() * turned
    value = csi.value * torch.polar(torch.ones_like(angle), angle)[..., None]
    return faulty(scene, csi, value, tuple(f"Tx {i} to Rx {j}" for _, i, j in turned.nonzero().tolist()))


def random_link_phases(generator: Generator) -> Faulty:
    """Every link has a phase of its own; lines of sight are trusted."""
    scene, csi = drawn(generator, los=True)
    turn = 2 * math.pi * torch.rand(csi.link.shape, dtype=torch.float64, generator=generator)
    return faulty(scene, csi, csi.value * torch.polar(torch.ones_like(turn), turn)[..., None])


def ring(generator: Generator, los: bool, n_nodes: int) -> Scene:
    """A scene with Tx and Rx in turn on a regular ring."""
    scene, _ = drawn(generator, n_tx=n_nodes, n_rx=n_nodes, pixels=(15, 15), node_radius=(0.75, 1.25), los=los)
    turns = torch.arange(2 * n_nodes, dtype=torch.float64) / (2 * n_nodes)
    places = 3.5 * torch.stack([(2 * math.pi * turns).cos(), (2 * math.pi * turns).sin()], dim=-1)
    return replace(scene, array=replace(scene.array, tx=places[None, ::2], rx=places[None, 1::2]))


def shifted_ring(generator: Generator) -> Faulty:
    """The list of Rx on a regular ring starts one node later; lines of sight are trusted."""
    scene = ring(generator, True, integer(8, 20, generator))
    csi = measure(scene, generator)
    return faulty(scene, csi, csi.value.roll(1 - 2 * integer(0, 1, generator), 2))


def right_ring(generator: Generator) -> Faulty:
    """A regular ring without trouble."""
    scene = ring(generator, bool(integer(0, 1, generator)), integer(8, 20, generator))
    csi = measure(scene, generator)
    return faulty(scene, csi, csi.value)


def flat_array(generator: Generator) -> Faulty:
    """All nodes on a line through the region (2-D), or in a plane (3-D)."""
    scene, _ = drawn(generator)
    dimension = scene.grid.centre.shape[-1]
    normal = torch.randn(dimension, dtype=torch.float64, generator=generator)
    normal = normal / normal.norm()
    tx, rx = (nodes - (nodes @ normal)[..., None] * normal + 0.3 * normal for nodes in (scene.array.tx, scene.array.rx))
    scene = replace(scene, array=replace(scene.array, tx=tx, rx=rx))
    csi = measure(scene, generator)
    return faulty(scene, csi, csi.value)


FAULTS: dict[str, tuple[Callable[[Generator], Faulty], str]] = {
    "dead nodes": (dead_nodes, "dead nodes"),
    "noisy nodes": (noisy_nodes, "outlying nodes"),
    "garbage links": (garbage_links, "outlying links"),
    "spike": (spike, "outlying subcarriers"),
    "garbage subcarrier": (garbage_subcarrier, "outlying subcarriers"),
    "null subcarriers": (null_subcarriers, "null subcarriers"),
    "FFT order": (fft_order, "order of subcarriers"),
    "packet delays": (packet_delays, "clocks are apart"),
    "unmarked line of sight": (unmarked_line_of_sight, "unmarked line of sight"),
    "exchanged nodes": (exchanged_nodes, "nodes that do not fit"),
    "conjugated node": (conjugated_node, "nodes that do not fit"),
    "quarter turns": (quarter_turns, "links that do not fit"),
    "random link phases": (random_link_phases, "random phases"),
    "shifted ring": (shifted_ring, "order of nodes"),
    "right ring": (right_ring, "symmetric array"),
    "flat array": (flat_array, "mirror image"),
}
