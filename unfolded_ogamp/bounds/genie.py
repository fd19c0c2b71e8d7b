"""The genie: success of a search that always ends in the global optimum, from errors drawn from the joint bound.

It knows nothing of the node phases in advance, as the bound: where they are nearly right, or where a few scatterers are
located by their amplitudes, an estimator may find more. Errors are small in the bound, and false alarms do not count.
"""

from __future__ import annotations

import torch
from torch import Tensor

from unfolded_ogamp.bounds.imaging import Bound

DRAWS = 256  # of the errors of a scene
SEED = 0


def detections(bound: Bound, amplitude: Tensor, gate: float, threshold: float) -> Tensor:
    """Whether the genie finds each scatterer, in draws of the errors of all: bool [draws, S].

    It does if its Wald statistic |x|^2 / (2 var |x|) exceeds the threshold and its position error is within the gate.
    For a single scatterer in known phases, the statistic is the matched-filter power over the noise variance.

    Args:
        bound: joint bound of a scene. Nothing is found if it is infinite.
        amplitude: true |x| of the scatterers [S].
        gate: largest position error [m].
        threshold: least Wald statistic.
    """
    covariance, n_scatterers = bound.image_covariance, len(amplitude)
    if not covariance.isfinite().all():
        return torch.zeros(DRAWS, n_scatterers, dtype=torch.bool)
    value, vector = torch.linalg.eigh(covariance)
    root = vector * value.clamp(min=0).sqrt()
    generator = torch.Generator().manual_seed(SEED)
    error = torch.randn(DRAWS, len(value), dtype=root.dtype, generator=generator) @ root.mT
    position, deviation = error.tensor_split([len(value) - n_scatterers], dim=1)
    length = position.reshape(DRAWS, *bound.position_std.shape).norm(dim=-1)
    variance = covariance.diagonal()[-n_scatterers:]
    return (length <= gate) & ((amplitude + deviation).square() > 2 * threshold * variance)
