"""The noise variance from the CSI itself, before any fit.

Two sources of evidence, neither of which needs the node phases. Over the subcarriers of a link, echoes from the region
have delays within known limits, so that the channel is smooth, and the noise is not. Over the links of a subcarrier,
an echo is a matrix of rank one, and the smallest singular values of the matrix of all links are those of the noise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unfolded_ogamp.imaging.evidence.rank import singular_values
from unfolded_ogamp.imaging.evidence.subcarriers import coherent, delay_spread, middle_advance
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.records import Record, choose

LARGEST_ERROR = 0.5  # relative standard error above which the noise variance counts as unknown
LARGEST_RANK = 0.25  # share of the smaller number of nodes; weak echoes beyond it would pass for noise
MARGIN = 3.0  # standard deviations of the sphericity of noise
GAP = 8.0  # least power of the weakest echo over the largest squared singular value of noise
STEPS = 60  # of the fit of signal and noise power


@dataclass(frozen=True)
class NoiseEstimate(Record):
    """Noise variance [B] in problem units and its standard error [B]; inf if the CSI does not show it."""

    variance: Tensor
    std: Tensor

    @property
    def known(self) -> Tensor:
        """Scenes in which the standard error is small enough for a test of residuals, bool [B]."""
        return self.std < LARGEST_ERROR * self.variance


def with_noise_variance(problem: Problem) -> Problem:
    """The problem with the estimated noise variance and its standard error in scenes where it is not given.

    The noise variance remains zero, unknown, in scenes that do not show it.
    """
    missing = problem.noise_variance <= 0
    if not missing.any():
        return problem
    found = estimate_noise(problem)
    shown = missing & found.known
    return replace(
        problem,
        noise_variance=torch.where(shown, found.variance, problem.noise_variance),
        noise_std=torch.where(shown, found.std, problem.noise_std),
    )


def estimate_noise(problem: Problem) -> NoiseEstimate:
    """Noise variance from the subcarriers, and from singular values where subcarriers do not show it."""
    averaged = coherent(problem)
    repeats = problem.csi.shape[-1] // averaged.csi.shape[-1]
    of_links = from_singular_values(averaged).map(lambda value: value * repeats)
    smooth = from_subcarriers(problem)
    return choose(smooth.known, smooth, of_links)


def from_subcarriers(problem: Problem) -> NoiseEstimate:
    """Noise variance from the roughness of the channel over the subcarriers of every link.

    Without the delay over the middle of the region, delays lie within plus and minus the spread of the region. If they
    are uniform there, the channel has the covariance p sinc(2 (f - f') spread). In the basis of its eigenvectors the
    powers of the components are p lambda_i + noise, and both unknowns follow by maximum likelihood. As the distribution
    of the delays is not known, the part of the signal in the components that show the noise counts as error.
    """
    n_frequencies = problem.csi.shape[-1]
    unknown = torch.full_like(problem.grid.pixel, torch.inf)
    if n_frequencies == 1:
        return NoiseEstimate(unknown, unknown)
    frequency = problem.array.frequency
    apart = frequency[:, :, None] - frequency[:, None]
    share, basis = torch.linalg.eigh(torch.sinc(2 * apart * delay_spread(problem)[:, None, None]))
    share = share.clamp(min=0)
    smooth = problem.csi * middle_advance(problem, frequency - frequency.mean(1, keepdim=True))
    components = torch.einsum("bkc,bijk->bijc", basis.to(smooth), smooth)
    n_links = problem.link.sum((1, 2, 3))[:, None]
    power = (components.abs().square() * problem.link).sum((1, 2)) / n_links
    signal, noise = _signal_and_noise(power, share)
    level = signal[:, None] * share + noise[:, None]
    # Fisher information of the noise variance, and the leakage of the signal into the components that determine it
    weight = level.reciprocal().square()
    information = (n_links * weight).sum(1)
    # at most all of the power is signal: if components have similar shares, none of them shows the noise
    most = (power.sum(1) / share.sum(1))[:, None] * share
    careful = (most + noise[:, None]).reciprocal().square()
    leakage = (careful * most).sum(1) / careful.sum(1)
    std = (information.reciprocal() + leakage.square()).sqrt()
    shown = noise > 0
    return NoiseEstimate(torch.where(shown, noise, torch.inf), torch.where(shown, std, torch.inf))


def _signal_and_noise(power: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """Powers p and n [B] that maximise the likelihood of component powers `power` ~ p share + n, [B, C] each."""
    tiny = torch.finfo(power.dtype).tiny
    signal, noise = power.sum(1) / share.sum(1), power.amin(1).clamp(min=tiny)
    for _ in range(STEPS):  # expectation maximisation: the powers stay positive, and the likelihood never falls
        level = signal[:, None] * share + noise[:, None]
        excess = (power - level) / level.square()
        signal = signal + signal.square() * (share * excess).sum(1) / (share > 1e-12).sum(1)
        noise = (noise + noise.square() * excess.mean(1)).clamp(min=tiny)
    return signal.clamp(min=0), noise


def from_singular_values(problem: Problem) -> NoiseEstimate:
    """Noise variance from the singular values of the links' matrix, if there are fewer echoes than nodes.

    Beyond rank r the matrix of the links is noise in n_tx - r and n_rx - r dimensions. The rank is the smallest r for
    which the other singular values are as equal as those of noise (sphericity): the logarithm of their mean square
    exceeds the mean of their logarithms by no more than in a complex Wishart matrix. The echoes must exceed the noise
    clearly. Scenes with missing links or with a line of sight have no estimate.
    """
    n_tx, n_rx = problem.link.shape[1:3]
    smaller, larger = sorted((n_tx, n_rx))
    values = singular_values(problem.csi.movedim(-1, 1)).square()  # [B, K, n]
    whole = (problem.link > 0).all(3).all(2).all(1) & ~problem.has_los
    result = NoiseEstimate(*torch.full_like(problem.grid.pixel, torch.inf).expand(2, -1).clone())
    for rank in range(int(LARGEST_RANK * smaller), 0, -1):
        rest = values[..., rank:]
        size, degrees = smaller - rank, torch.arange(larger - smaller + 1, larger - rank + 1).to(values)
        variance = rest.sum(2) / (size * (larger - rank))
        spread = (variance.log() - rest.log().mean(2)).mean(1)
        expected = -torch.digamma(degrees).mean()
        deviation = torch.polygamma(1, degrees).sum().sqrt() / size / values.shape[1] ** 0.5
        equal = whole & (spread - expected < MARGIN * deviation)
        found = variance.mean(1)
        # very many echoes are as random as noise, but then there is no gap between the two
        edge = found * (n_tx**0.5 + n_rx**0.5) ** 2
        equal = equal & (values[..., rank - 1].amin(1) > GAP * edge)
        std = found / (size * (larger - rank) * values.shape[1]) ** 0.5
        result = choose(equal, NoiseEstimate(found, std), result)
    return result
