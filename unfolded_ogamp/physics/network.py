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
