"""Immutable records of tensors: the form in which data flows through the package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any, Self

import torch
from torch import Tensor


class Record:
    """Base of the frozen dataclasses whose fields are tensors, nested records or None.

    Every tensor of a record has the scenes of a batch as its first dimension, so that one rule indexes, converts and
    concatenates all of them.
    """

    def map(self, function: Callable[[Tensor], Tensor]) -> Self:
        """The same record with `function` applied to every tensor in it."""

        def visit(value: Any) -> Any:
            if isinstance(value, Tensor):
                return function(value)
            return value.map(function) if isinstance(value, Record) else value

        assert is_dataclass(self)
        return type(self)(**{field.name: visit(getattr(self, field.name)) for field in fields(self)})

    def to(self, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> Self:
        """Move to a device and to a real `dtype`; complex tensors take the complex type of the same precision."""

        def convert(tensor: Tensor) -> Tensor:
            if dtype is not None and tensor.is_complex():
                return tensor.to(device=device, dtype=torch.complex64 if dtype == torch.float32 else torch.complex128)
            if dtype is not None and tensor.is_floating_point():
                return tensor.to(device=device, dtype=dtype)
            return tensor.to(device=device)

        return self.map(convert)

    def __getitem__(self, index: slice) -> Self:
        """The scenes of a slice of the batch."""
        return self.map(lambda tensor: tensor[index])
