"""The arrival of the line of sight in the delay profile of a link, equation (19) of the paper.

A clock offset can be any part of a symbol, so delays are circular. The earliest arrival is the earliest significant tap
within a span before the strongest one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from unfolded_ogamp.settings import Settings, at_least, not_negative, within


@dataclass(frozen=True)
class GateSettings(Settings):
    """Settings of the gate around the earliest significant tap.

    Attributes:
        share: least power of a significant tap, relative to the strongest tap of its link. It lies above the side lobes
            of the tapered profile (-31 dB), and below a line of sight weaker than all scattered paths together.
        false_alarm: probability that noise alone makes one tap of the span significant.
        span: how long before the strongest tap the line of sight may arrive, [s].
        width: taps that pass, from the earliest significant one on. The taper spreads a path over two taps on either
            side, so that its first significant tap is one tap early.
    """

    share: Annotated[float, within("(0, 1)")] = 0.1
    false_alarm: Annotated[float, within("(0, 1)")] = 1e-3
    span: Annotated[float, not_negative] = 0.5e-6
    width: Annotated[int, at_least(1)] = 2


def earliest_arrival(csi: Tensor, spacing: Tensor, settings: GateSettings) -> Tensor:
    """FFT(T{IFFT(y)}) of (19): the CSI of the earliest arrival alone, which is the line of sight if there is one.

    Args:
        csi: on uniformly spaced subcarriers, complex [B, n_tx, n_rx, K].
        spacing: subcarrier spacing [B], [Hz].
        settings: settings of the gate T.
    """
    response = torch.fft.ifft(csi, dim=-1)
    first = earliest_tap(power_delay_profile(csi), spacing, settings)
    n_taps = csi.shape[-1]
    since = torch.remainder(torch.arange(n_taps, device=csi.device) - first[..., None], n_taps)
    return torch.fft.fft(response * (since < settings.width), dim=-1)


def power_delay_profile(csi: Tensor) -> Tensor:
    """|IFFT(y)|^2 of CSI [..., K], tapered over the band so that side lobes of a path hide no earlier one."""
    n_taps = csi.shape[-1]
    taper = torch.hann_window(n_taps + 2, periodic=False, dtype=csi.real.dtype, device=csi.device)[1:-1]
    response = torch.fft.ifft(csi * (taper / taper.mean()), dim=-1)
    return response.real.square() + response.imag.square()


def earliest_tap(profile: Tensor, spacing: Tensor, settings: GateSettings) -> Tensor:
    """Earliest significant tap before the strongest one: profile [B, n_tx, n_rx, K] -> index [B, n_tx, n_rx].

    The median tap gives the noise power: few taps hold a path, and the power of noise in a tap has an exponential
    distribution, whose median is log 2 times its mean.
    """
    n_taps = profile.shape[-1]
    strongest, place = profile.max(-1, keepdim=True)
    taps = (settings.span * spacing * n_taps).ceil().clamp(max=n_taps - 1)[:, None, None, None]
    noise = profile.median(-1, keepdim=True).values / math.log(2)
    least = torch.maximum(settings.share * strongest, noise * torch.log(taps.clamp(min=1) / settings.false_alarm))
    before = torch.remainder(place - torch.arange(n_taps, device=profile.device), n_taps)
    significant = (profile >= least) & (before <= taps) | (before == 0)
    return torch.where(significant, before, -1).argmax(-1)
