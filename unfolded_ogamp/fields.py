"""The arrays of a user's file, handed out as checked tensors in double precision."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

Axes = tuple[str | int, ...]


class Fields:
    """Arrays by name. An axis name such as "n_tx" takes its size from the first array that has it; the others must fit.

    All methods raise a ValueError of one line: what was expected of which key, and what was found.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.arrays = arrays
        self.sizes: dict[str, int] = {}

    def expect(self, condition: bool, key: str, expected: str, found: object) -> None:
        """Refuse the file unless `condition` holds."""
        if not condition:
            raise ValueError(f"{key}: expected {expected}, found {found}")

    def real(self, key: str, axes: Axes) -> Tensor:
        """A required array of finite real numbers, at least one along every axis."""
        array = self.required(key)
        self.expect(array.dtype.kind in "iuf", key, "real numbers", array.dtype)
        self.fit(key, axes)
        self.expect(array.size > 0, key, "at least one entry along every axis", f"shape {list(array.shape)}")
        return self._finite(key, torch.from_numpy(array.astype(np.float64)), None, "everywhere")

    def optional_real(self, key: str, axes: Axes) -> Tensor | None:
        """An optional array of finite real numbers, possibly empty."""
        if key not in self.arrays:
            return None
        array = self.arrays[key]
        self.expect(array.dtype.kind in "iuf", key, "real numbers", array.dtype)
        self.fit(key, axes)
        return self._finite(key, torch.from_numpy(array.astype(np.float64)), None, "everywhere")

    def optional_positive(self, key: str, axes: Axes) -> Tensor | None:
        """An optional array of positive numbers."""
        values = self.optional_real(key, axes)
        if values is not None and values.numel():
            self.expect(bool((values > 0).all()), key, "positive values", float(values.min()))
        return values

    def choice(self, key: str, names: tuple[str, ...]) -> str | None:
        """An optional word, one of `names`."""
        if key not in self.arrays:
            return None
        word = str(self.arrays[key])
        self.expect(word in names, key, f"one of {', '.join(names)}", repr(word))
        return word

    def optional_complex(self, key: str, axes: Axes, where: Tensor | None, place: str) -> Tensor | None:
        """An optional array of complex numbers, finite where `where` (no last axis) holds and set to zero elsewhere."""
        if key not in self.arrays:
            return None
        array = self.arrays[key]
        self.expect(array.dtype.kind == "c", key, "complex numbers", array.dtype)
        self.fit(key, axes)
        return self._finite(key, torch.from_numpy(array.astype(np.complex128)), where, place)

    def boolean(self, key: str, axes: Axes, default: Tensor) -> Tensor:
        """An optional array of truth values: bool, or numbers that are 0 or 1."""
        if key not in self.arrays:
            return default
        array = self.arrays[key]
        self.expect(array.dtype.kind in "biuf", key, "true or false (or 1 or 0)", array.dtype)
        self.fit(key, axes)
        other = array[(array != 0) & (array != 1)]
        self.expect(other.size == 0, key, "true or false (or 1 or 0)", other[:1])
        return torch.from_numpy(array.astype(bool))

    def positive(self, key: str) -> float | None:
        """An optional positive number."""
        if key not in self.arrays:
            return None
        array = self.arrays[key]
        self.expect(array.dtype.kind in "iuf", key, "a positive number", array.dtype)
        self.expect(array.size == 1, key, "a positive number", f"an array of shape {list(array.shape)}")
        value = float(array.reshape(()))
        self.expect(0 < value < float("inf"), key, "a positive number", value)
        return value

    def required(self, key: str) -> np.ndarray:
        """An array that must be there."""
        present = ", ".join(sorted(self.arrays)) or "none"
        self.expect(key in self.arrays, key, "this key", f"only {present}")
        return self.arrays[key]

    def fit(self, key: str, axes: Axes) -> None:
        """Check the shape of an array; sizes of axes seen for the first time are taken from it."""
        shape = self.arrays[key].shape
        names = ", ".join(str(axis) for axis in axes)
        self.expect(len(shape) == len(axes), key, f"shape [{names}]", list(shape))
        for index, (axis, size) in enumerate(zip(axes, shape, strict=True)):
            wanted = axis if isinstance(axis, int) else self.sizes.setdefault(axis, size)
            expected = f"shape [{names}] with {axis} = {wanted} along axis {index}"
            self.expect(size == wanted, key, expected, f"{size} in {list(shape)}")

    def _finite(self, key: str, values: Tensor, where: Tensor | None, place: str) -> Tensor:
        if where is not None:
            values = torch.where(where[..., None], values, torch.zeros_like(values))
        broken = (~torch.isfinite(values)).nonzero()
        found = "" if not len(broken) else f"{values[tuple(broken[0])].item()} at index {broken[0].tolist()}"
        self.expect(not found, key, f"finite values {place}", found)
        return values
