"""Files of arrays: atomic writes, reads within the available memory, and checked tensors."""

from __future__ import annotations

import os
import secrets
import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from unfolded_ogamp.errors import InputError
from unfolded_ogamp.memory import GIGABYTE, MemoryLimitError, require_memory

Axes = tuple[str | int, ...]

COPIES = 10  # least memory of an estimate, as a multiple of the size of the arrays in its file


def shipped(name: str) -> Path:
    """A folder that ships with the package: inside the package in a wheel, beside it in a clone."""
    package = Path(__file__).resolve().parent
    return package / name if (package / name).is_dir() else package.parent / name


@contextmanager
def written_at_once(path: Path) -> Iterator[Path]:
    """A temporary path that replaces `path` at the end: readers find the old file or the new one.

    If the body raises, `path` stays as it was and nothing is left beside it.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_npz(path: str | Path, keys: Collection[str], required: Collection[str] = ()) -> dict[str, np.ndarray]:
    """The arrays of an .npz file that are named in `keys` and present; others are ignored.

    The sum of their expanded sizes is checked before any of them is read.

    Raises:
        ValueError: if there is no such file, it cannot be read, it lacks a key of `required`, or there is no memory for
            it, in one line.
    """
    arrays: dict[str, np.ndarray] = {}
    key = ""
    try:
        with zipfile.ZipFile(path) as members:
            sizes = {entry.filename.removesuffix(".npy"): entry.file_size for entry in members.infolist()}
        n_bytes = sum(size for name, size in sizes.items() if name in keys)
        require_memory(COPIES * n_bytes, f"arrays of {n_bytes / GIGABYTE:.3g} GB and the results from them")
        with np.load(path, allow_pickle=False) as archive:
            for key in archive.files:
                if key in keys:
                    arrays[key] = np.asarray(archive[key])
    except FileNotFoundError:
        raise ValueError("expected a file, found none") from None
    except IsADirectoryError:
        raise ValueError("expected a file, found a folder") from None
    except MemoryLimitError:
        raise
    except Exception as error:  # NumPy and zipfile raise many types for a damaged archive
        if not key and isinstance(error, zipfile.BadZipFile):
            raise ValueError("expected an .npz file, found another kind of file, or a part of one") from error
        where = f"{key}: expected an array of numbers" if key else "expected an .npz file"
        raise ValueError(f"{where}, found unreadable content ({' '.join(str(error).split())})") from error
    for key in required:
        if key not in arrays:
            raise ValueError(f"{key}: expected this key, found only {', '.join(sorted(sizes)) or 'none'}")
    return arrays


def write_npz(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays to `path` at once: a reader finds the old file or the new one, never a part.

    Raises:
        InputError: if an array holds a number that is not finite; nothing is written then.
    """
    for key, array in arrays.items():
        if array.dtype.kind in "fc" and not np.isfinite(array).all():
            found = array[~np.isfinite(array)][0]
            raise InputError(f"{key}: expected finite numbers to be written, found {found}")
    with written_at_once(Path(path)) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


class Fields:
    """Arrays by name. The first array with an axis such as "n_tx" defines the size of this axis; the others must fit.

    All methods raise a ValueError of one line: what was expected of which key, and what was found.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.arrays = arrays
        self.sizes: dict[str, int] = {}

    def expect(self, condition: bool, key: str, expected: str, found: object) -> None:
        """Raise unless `condition` holds."""
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
        """A required array."""
        present = ", ".join(sorted(self.arrays)) or "none"
        self.expect(key in self.arrays, key, "this key", f"only {present}")
        return self.arrays[key]

    def fit(self, key: str, axes: Axes) -> None:
        """Check the shape of an array; it defines the sizes of axes that no array before it has."""
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
