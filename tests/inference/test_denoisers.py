"""The denoiser against derivatives of its log-partition function and against numerical integration."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from unfolded_ogamp.inference.message_passing import BernoulliGaussian


def example(seed: int = 0, shared_activity: bool = False) -> tuple[torch.Tensor, torch.Tensor, BernoulliGaussian]:
    generator = torch.Generator().manual_seed(seed)
    estimate = torch.view_as_complex(torch.randn(2, 3, 5, 2, dtype=torch.float64, generator=generator))
    variance = 0.05 + torch.rand(2, 3, 5, dtype=torch.float64, generator=generator)
    prior = BernoulliGaussian(
        log_odds=torch.full((2, 1, 1), -1.0, dtype=torch.float64),
        mean=torch.tensor([0.7 + 0.2j, 0, 0], dtype=torch.complex128).reshape(1, 3, 1),
        variance=torch.tensor([0.3, 0.1, 0.2], dtype=torch.float64).reshape(1, 3, 1),
        shared_activity=shared_activity,
    )
    return estimate, variance, prior


def test_mean_is_the_gradient_of_the_log_partition_function() -> None:
    """Tweedie: E[x] = r + v * 2 d log Z / d conj(r); with real and imaginary parts as coordinates, r + v / 2 grad."""
    for shared in (True, False):
        estimate, variance, prior = example(shared_activity=shared)
        real, imag = estimate.real.clone().requires_grad_(), estimate.imag.clone().requires_grad_()
        value = torch.complex(real, imag)
        ratio = prior.log_likelihood_ratio(value, variance)
        ratio = ratio.sum(1, keepdim=True) if shared else ratio
        gaussian = -(value.abs().square() / variance).sum()
        log_z = gaussian + torch.nn.functional.softplus(prior.log_odds + ratio).sum()
        d_real, d_imag = torch.autograd.grad(log_z, (real, imag))
        mean = estimate + variance / 2 * torch.complex(d_real, d_imag)
        torch.testing.assert_close(prior.denoise(estimate, variance).mean, mean, rtol=1e-9, atol=1e-9)


def test_variance_agrees_with_integration_over_the_plane() -> None:
    estimate, variance, prior = example(1)
    axis = torch.linspace(-5, 5, 801, dtype=torch.float64)
    plane = torch.complex(*torch.meshgrid(axis, axis, indexing="ij"))
    cell = float(axis[1] - axis[0]) ** 2
    posterior = prior.denoise(estimate, variance)
    for b, q, n in ((0, 0, 0), (1, 1, 3), (0, 2, 4)):
        r, v = estimate[b, q, n], variance[b, q, n]
        mu, var = prior.mean[0, q, 0], prior.variance[0, q, 0]
        eta = float(prior.log_odds[b, 0, 0].sigmoid())
        likelihood = torch.exp(-(plane - r).abs().square() / v) / (math.pi * v)
        slab = eta * torch.exp(-(plane - mu).abs().square() / var) / (math.pi * var) * likelihood * cell
        spike = (1 - eta) * torch.exp(-r.abs().square() / v) / (math.pi * v)
        total = slab.sum() + spike
        mean = (plane * slab).sum() / total
        second = (plane.abs().square() * slab).sum() / total
        torch.testing.assert_close(posterior.mean[b, q, n], mean, rtol=1e-6, atol=1e-8)
        torch.testing.assert_close(posterior.variance[b, q, n], second - mean.abs().square(), rtol=1e-6, atol=1e-8)
        torch.testing.assert_close(posterior.log_odds[b, q, n].sigmoid(), slab.sum() / total, rtol=1e-6, atol=1e-8)


def test_shared_activity_multiplies_the_evidence() -> None:
    estimate, variance, prior = example(2)
    alone, together = (
        replace(prior, shared_activity=shared).denoise(estimate, variance).log_odds - prior.log_odds
        for shared in (False, True)
    )
    torch.testing.assert_close(together, alone.sum(1, keepdim=True).expand_as(alone))
