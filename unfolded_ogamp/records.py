"""Immutable records of tensors: the data format of the package."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Self, TypeVar

import torch
from torch import Tensor

RecordType = TypeVar("RecordType", bound="Record")


class Record:
    """Base of the frozen dataclasses whose fields are tensors, nested records or None.

    The first dimension of every tensor of a record is the scenes of a batch, so that one function indexes, converts or
    concatenates all tensors.
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

    def __getitem__(self, index: slice | Tensor) -> Self:
        """The scenes of a slice of the batch, or those in an integer tensor."""
        return self.map(lambda tensor: tensor[index])


def choose(mask: Tensor, chosen: RecordType, otherwise: RecordType) -> RecordType:
    """For each scene, `chosen` where `mask` [B] holds, else `otherwise`; both are records of the same kind."""
    assert is_dataclass(chosen)
    values = {}
    for field in fields(chosen):
        new, old = getattr(chosen, field.name), getattr(otherwise, field.name)
        if isinstance(new, Record):
            values[field.name] = choose(mask, new, old)
        elif new is None:
            values[field.name] = None
        else:
            values[field.name] = torch.where(mask.reshape(-1, *[1] * (new.ndim - 1)), new, old)
    return type(chosen)(**values)


def place(part: RecordType, scenes: Tensor, whole: RecordType) -> RecordType:
    """`whole` with the scenes at the indices `scenes` replaced by those of `part`, in this order."""
    batch = first_tensor(whole).shape[0]
    index = torch.zeros(batch, dtype=torch.long, device=scenes.device)
    index[scenes] = torch.arange(len(scenes), device=scenes.device)
    mask = torch.zeros(batch, dtype=torch.bool, device=scenes.device)
    mask[scenes] = True
    return choose(mask, part[index], whole)


def first_tensor(record: Record) -> Tensor:
    """Any tensor of a record."""
    assert is_dataclass(record)
    for field in fields(record):
        value = getattr(record, field.name)
        if isinstance(value, Tensor):
            return value
        if isinstance(value, Record):
            return first_tensor(value)
    raise ValueError("expected a record that holds a tensor, got none")


def sizes(record: Record) -> list[torch.Size]:
    """Sizes of all tensors of a record, without the batch dimension."""
    found: list[torch.Size] = []

    def visit(tensor: Tensor) -> Tensor:
        found.append(tensor.shape[1:])
        return tensor

    record.map(visit)
    return found


def concatenate(records: Sequence[RecordType]) -> RecordType:
    """One batch of all scenes of records of the same kind and sizes, in order."""
    first = records[0]
    assert is_dataclass(first)
    values = {}
    for field in fields(first):
        parts = [getattr(record, field.name) for record in records]
        if isinstance(parts[0], Record):
            values[field.name] = concatenate(parts)
        else:
            values[field.name] = None if parts[0] is None else torch.cat(parts)
    return type(first)(**values)
