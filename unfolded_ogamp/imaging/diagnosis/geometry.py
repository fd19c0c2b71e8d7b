"""What the geometry leaves open whatever the CSI: mirror images, symmetric arrays, parts, and too few samples."""

from __future__ import annotations

import torch
from torch import Tensor

from unfolded_ogamp.imaging.diagnosis.finding import Finding, Severity, listed, node_names
from unfolded_ogamp.imaging.evidence.subcarriers import group_size
from unfolded_ogamp.imaging.problem import pose
from unfolded_ogamp.physics import Csi, NodeArray, PixelGrid, distances, flat_normal, main_part

SYMMETRIC = 0.05  # largest change of a distance under an exchange of nodes, in wavelengths
MOST_TRIALS = 4_000_000  # distances that are compared in a test for symmetry
FEW = 6  # scatterers from which the number that the CSI supports is not mentioned


def mirror_image(array: NodeArray, grid: PixelGrid) -> list[Finding]:
    """The finding that nodes lie on a line (2-D) or in a plane (3-D) that cuts the region; a batch of one."""
    normal = flat_normal(array)
    if normal is None:
        return []
    side = (grid.centre[0] - torch.cat([array.tx, array.rx], dim=1)[0].mean(0)) @ normal
    half = float(grid.pixel[0]) / 2
    if float(side.max()) <= half or float(side.min()) >= -half:
        return []
    shape = "on a line" if len(normal) == 2 else "in a plane"
    share = float(torch.minimum((side > 0).sum(), (side < 0).sum())) / len(side)
    evidence = (
        f"all nodes lie {shape}, and {100 * share:.0f} % of the region beyond it: a scatterer and its mirror image fit "
        f"the CSI alike"
    )
    return [
        Finding(
            "mirror image",
            evidence,
            "Both are listed, at half the probability; a roi on one side of the nodes decides",
            Severity.DOUBT,
        )
    ]


def symmetric_array(array: NodeArray) -> list[Finding]:
    """The finding that a usual mistake in the lists of nodes changes no distance, so that no CSI can show it."""
    length = distances(array.tx, array.rx)[0]
    n_tx, n_rx = length.shape
    if length.numel() * n_rx > MOST_TRIALS or min(n_tx, n_rx) < 3:
        return []
    limit = SYMMETRIC * float(array.wavelength)
    found = []
    if turn := _turn(length, length, limit, least=1):
        found.append(f"both lists start later, Tx by {turn[0]} and Rx by {turn[1]}")
    elif turn := _turn(length, length.flip(0).flip(1), limit, least=0):
        found.append("both lists run in the opposite direction")
    same_places = bool((length.diagonal() < limit).all())  # then swapped CSI is the same CSI
    if n_tx == n_rx and not same_places and (turn := _turn(length, length.T, limit, least=0)):
        shift = (turn[1] - turn[0]) % n_rx
        later = shift if 2 * shift <= n_rx else shift - n_rx
        start = f" and the list of Rx starts {abs(later)} {'later' if later > 0 else 'earlier'}" if later else ""
        found.append(f"Tx and Rx are swapped{start}")
    if not found:
        return []
    evidence = f"no distance between Tx and Rx changes if {' or if '.join(found)}: the CSI cannot show such a mistake"
    cure = "Check the order of the nodes; with a mistake, the scene comes out turned or mirrored"
    return [Finding("symmetric array", evidence, cure, Severity.LIMIT)]


def _turn(length: Tensor, other: Tensor, limit: float, least: int) -> tuple[int, int] | None:
    """Shifts of both lists that make `other` [n_tx, n_rx] equal to `length`, that of Tx at least `least`, or None."""
    n_rx = length.shape[1]
    rx = torch.arange(n_rx, device=length.device)
    rolled = other[:, (rx[:, None] + rx) % n_rx]  # Tx, shift, Rx
    for shift in ((rolled - length[0]).abs().amax(-1) < limit).nonzero().tolist():
        if shift[0] >= least and float((other.roll((-shift[0], -shift[1]), (0, 1)) - length).abs().max()) < limit:
            return shift[0], shift[1]
    return None


def joined_part(link: Tensor) -> tuple[list[Finding], Tensor]:
    """The finding that nodes are separate from the others after links are left out, and their links [n_tx, n_rx]."""
    part = main_part(link)
    separate = ~part & torch.cat([link.any(1), link.any(0)])
    if not bool(separate.any()):
        return [], torch.zeros_like(link)
    names = listed(node_names(separate, len(link)))
    evidence = f"no chain of links joins {names} to the other nodes after what is left out"
    tx, rx = part.split(list(link.shape))
    return [Finding("parts", evidence, f"Left out: {names}", Severity.DOUBT)], link & ~(tx[:, None] & rx)


def few_samples(csi: Csi, array: NodeArray, grid: PixelGrid) -> list[Finding]:
    """The finding that the CSI determines only few scatterers: more have as many unknowns as there are samples."""
    problem = pose(csi, array, grid, None)
    independent = csi.value.shape[-1] // group_size(problem)
    link = csi.link[0]
    samples = int(link.sum()) * independent
    nodes = int(link.any(1).sum() + link.any(0).sum())
    known = csi.phases_known is not None and bool(csi.phases_known[0])
    gauge = 1 if bool(csi.los.any()) else 2
    phases = 0 if known else nodes - gauge
    each = grid.centre.shape[-1] + 2
    most = max(0, (samples - phases - 1) // each)
    if most >= FEW:
        return []
    of = f" ({independent} of {csi.value.shape[-1]} subcarriers are independent)" if csi.value.shape[-1] > 1 else ""
    evidence = (
        f"{samples} independent samples{of}, {phases} unknown node phases and {each} unknowns per scatterer: "
        f"with more than {most} scatterers there are fewer independent samples than unknowns"
    )
    severity = Severity.DOUBT if most == 0 else Severity.LIMIT
    return [Finding("few samples", evidence, "Measure more links, or at frequencies farther apart", severity)]
