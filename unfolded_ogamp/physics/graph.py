"""The graph of nodes and links: its incidence matrix (7), its Laplacian and its connected components.

Nodes are numbered over the Tx first, then the Rx.
"""

from __future__ import annotations

import torch
from torch import Tensor


def degree(link: Tensor) -> Tensor:
    """Number of links of every node, or the sum of their weights: [..., n_tx, n_rx] -> [..., n_tx + n_rx]."""
    return torch.cat([link.sum(-1), link.sum(-2)], dim=-1)


def reference_node(link: Tensor) -> Tensor:
    """The node whose phase is fixed in (7), the one with most links: bool [..., n_tx, n_rx] -> its number [...]."""
    return degree(link).argmax(-1)


def isolated_nodes(link: Tensor) -> Tensor:
    """Nodes that have none of the links [..., n_tx, n_rx] (bool): bool [..., n_tx + n_rx]."""
    return degree(link) == 0


def components(link: Tensor) -> Tensor:
    """The connected component of every node, as the number of the node with most links in that component.

    Args:
        link: bool [..., n_tx, n_rx].

    Returns:
        [..., n_tx + n_rx]; a node without links is a component by itself.
    """
    n_tx, n_rx = link.shape[-2:]
    n_nodes = n_tx + n_rx
    # the highest rank, by links and then by number, propagates over the links of its component
    rank = degree(link) * n_nodes + torch.arange(n_nodes - 1, -1, -1, device=link.device)
    for _ in range(n_nodes):
        at_tx, at_rx = rank.split([n_tx, n_rx], dim=-1)
        from_rx = torch.where(link, at_rx[..., None, :], 0).amax(-1)
        from_tx = torch.where(link, at_tx[..., :, None], 0).amax(-2)
        higher = torch.maximum(rank, torch.cat([from_rx, from_tx], dim=-1))
        # an exported graph depends on no values; further rounds change nothing
        if not torch.compiler.is_exporting() and torch.equal(higher, rank):
            break
        rank = higher
    return n_nodes - 1 - rank % n_nodes


def reference_nodes(link: Tensor) -> Tensor:
    """The node with most links in every connected component: bool [..., n_tx, n_rx] -> bool [..., n_tx + n_rx]."""
    part = components(link)
    return part == torch.arange(part.shape[-1], device=link.device)


def main_part(link: Tensor) -> Tensor:
    """Nodes in the component of the node with most links: bool [..., n_tx, n_rx] -> bool [..., n_tx + n_rx]."""
    return components(link) == reference_node(link)[..., None]


def reached_nodes(link: Tensor) -> Tensor:
    """Nodes in the component of the first Tx: bool [..., n_tx, n_rx] -> bool [..., n_tx + n_rx]."""
    part = components(link)
    return part == part[..., :1]


def is_connected(link: Tensor) -> Tensor:
    """Whether the links [..., n_tx, n_rx] (bool) connect all nodes: bool [...].

    Only then are the phases of all nodes determined up to the gauge.
    """
    return reached_nodes(link).all(-1)


def laplacian(weight: Tensor) -> Tensor:
    """Laplacian G^T W G over all nodes, for links of weight W [..., n_tx, n_rx]: [..., nodes, nodes]."""
    tx_block, rx_block = torch.diag_embed(weight.sum(-1)), torch.diag_embed(weight.sum(-2))
    return torch.cat([torch.cat([tx_block, -weight], -1), torch.cat([-weight.mT, rx_block], -1)], -2)


def incidence_matrix(link: Tensor, reference: int | Tensor) -> Tensor:
    """Network incidence matrix G of (7): a row per existing link, a column per node except the reference.

    Args:
        link: which links exist, bool [n_tx, n_rx].
        reference: number of the reference node.

    Returns:
        float64 [number of links, n_tx + n_rx - 1]: +1 at the Tx, -1 at the Rx; rows in the order (Tx, Rx).
    """
    n_tx = link.shape[0]
    tx_index, rx_index = link.nonzero(as_tuple=True)
    row = torch.arange(len(tx_index), device=link.device)
    matrix = torch.zeros(len(tx_index), sum(link.shape), dtype=torch.float64, device=link.device)
    matrix[row, tx_index] = 1.0
    matrix[row, n_tx + rx_index] = -1.0
    keep = torch.arange(matrix.shape[1], device=link.device) != reference
    return matrix[:, keep]
