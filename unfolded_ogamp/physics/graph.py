"""Which nodes hear of each other: the graph behind the incidence matrix (7) of the paper."""

from __future__ import annotations

import torch
from torch import Tensor


def reached_nodes(link: Tensor) -> Tensor:
    """Nodes that the first Tx reaches over any chain of the links [B, n_tx, n_rx] (bool).

    Returns:
        bool [B, n_tx + n_rx], Tx first.
    """
    tx_reached = torch.zeros_like(link[..., :, 0])
    tx_reached[..., 0] = True
    for _ in range(link.shape[-2]):
        rx_reached = (link & tx_reached[..., :, None]).any(-2)
        tx_next = tx_reached | (link & rx_reached[..., None, :]).any(-1)
        if torch.equal(tx_next, tx_reached):
            break
        tx_reached = tx_next
    return torch.cat([tx_reached, rx_reached], dim=-1)


def is_connected(link: Tensor) -> Tensor:
    """Whether the links [B, n_tx, n_rx] (bool) join all nodes into one network: bool [B].

    Only then are the phases of all nodes determined up to the gauge.
    """
    return reached_nodes(link).all(-1)


def reference_nodes(link: Tensor) -> Tensor:
    """The reference of (7), the node with most links, of every connected part of the network.

    Args:
        link: bool [B, n_tx, n_rx].

    Returns:
        bool [B, n_tx + n_rx], Tx first, true once in every part; a node without links is a part of its own.
    """
    rank = _rank(link)
    return rank == _highest_rank(link, rank)


def main_part(link: Tensor) -> Tensor:
    """Nodes that chains of the links [B, n_tx, n_rx] join to the node with most links: bool [B, n_tx + n_rx]."""
    highest = _highest_rank(link, _rank(link))
    return highest == highest.amax(-1, keepdim=True)


def isolated_nodes(link: Tensor) -> Tensor:
    """Nodes that have none of the links [B, n_tx, n_rx] (bool): bool [B, n_tx + n_rx], Tx first."""
    return ~torch.cat([link.any(-1), link.any(-2)], dim=-1)


def _rank(link: Tensor) -> Tensor:
    """A rank of its own for every node, by its links and then by its place: [B, n_tx + n_rx]."""
    n_nodes = sum(link.shape[-2:])
    degree = torch.cat([link.sum(-1), link.sum(-2)], dim=-1)
    return degree * n_nodes + torch.arange(n_nodes - 1, -1, -1, device=link.device)


def _highest_rank(link: Tensor, rank: Tensor) -> Tensor:
    """The highest rank in the part of the network that a node belongs to: [B, n_tx + n_rx]."""
    n_nodes = list(link.shape[-2:])
    for _ in range(sum(n_nodes)):
        at_tx, at_rx = rank.split(n_nodes, dim=-1)
        from_rx = torch.where(link, at_rx[..., None, :], 0).amax(-1)
        from_tx = torch.where(link, at_tx[..., :, None], 0).amax(-2)
        higher = torch.maximum(rank, torch.cat([from_rx, from_tx], dim=-1))
        if torch.equal(higher, rank):
            break
        rank = higher
    return rank
