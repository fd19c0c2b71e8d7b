"""Which nodes hear of each other: the graph behind the incidence matrix (7) of the paper."""

from __future__ import annotations

import torch
from torch import Tensor


def is_connected(link: Tensor) -> Tensor:
    """Whether the links [B, n_tx, n_rx] (bool) join all nodes into one network: bool [B].

    Only then are the phases of all nodes determined up to the gauge.
    """
    link = link.bool()
    tx_reached = torch.zeros_like(link[..., :, 0])
    tx_reached[..., 0] = True
    rx_reached = torch.zeros_like(link[..., 0, :])
    for _ in range(sum(link.shape[-2:])):
        rx_next = (link & tx_reached[..., :, None]).any(-2)
        tx_next = tx_reached | (link & rx_next[..., None, :]).any(-1)
        if torch.equal(tx_next, tx_reached) and torch.equal(rx_next, rx_reached):
            break
        tx_reached, rx_reached = tx_next, rx_next
    return tx_reached.all(-1) & rx_reached.all(-1)
