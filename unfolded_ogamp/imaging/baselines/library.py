"""The operators of this package as matrix-free `pylops` operators on vectors."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from pylops import LinearOperator, MatrixMult
from torch import Tensor

from unfolded_ogamp.operators.multistatic import MultistaticOperator
from unfolded_ogamp.operators.off_grid import OffGridOperator


class DictionaryOperator(LinearOperator):
    """The dictionary of one scene on its links, with weighted columns.

    Args:
        operator: dictionary with Q coefficients for each of N positions, a batch of one.
        link: 1.0 where there is a link [1, n_tx, n_rx, 1].
        weight: weights of the columns [1, Q, N].
    """

    def __init__(self, operator: MultistaticOperator | OffGridOperator, link: Tensor, weight: Tensor) -> None:
        gains = operator.gains if isinstance(operator, OffGridOperator) else operator
        n_frequencies = gains.tx_factor.shape[1]
        self.operator, self.gains, self.link, self.weight = operator, gains, link, weight
        self.csi_shape = (*link.shape[:3], n_frequencies)
        complex_type = np.complex64 if weight.dtype == torch.float32 else np.complex128
        super().__init__(dtype=complex_type, dims=(weight.numel(),), dimsd=(link.numel() * n_frequencies,))

    def _matvec(self, x: NDArray[np.complexfloating]) -> NDArray[np.complexfloating]:
        coefficients = torch.from_numpy(np.asarray(x, self.dtype)).reshape(self.weight.shape)
        return (self.operator.forward(self.weight * coefficients) * self.link).flatten().numpy()

    def _rmatvec(self, x: NDArray[np.complexfloating]) -> NDArray[np.complexfloating]:
        csi = torch.from_numpy(np.asarray(x, self.dtype)).reshape(self.csi_shape)
        return (self.operator.adjoint(csi * self.link) * self.weight).flatten().numpy()

    def apply_columns(self, cols: list[int]) -> MatrixMult:
        """The columns with the indices `cols` of a dictionary without offsets, as a dense matrix."""
        index = torch.tensor(cols)
        tx, rx = self.gains.tx_factor[0, ..., index], self.gains.rx_factor[0, ..., index]
        columns = tx[:, :, None] * rx[:, None] * self.weight[0, 0, index]
        columns = columns.movedim(0, 2) * self.link[0, ..., None]
        return MatrixMult(columns.flatten(0, 2).numpy(), dtype=self.dtype)
