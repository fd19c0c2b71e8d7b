"""Files that others may read at any moment, and files of others that may hold anything."""

from __future__ import annotations

import os
import secrets
import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from unfolded_ogamp.errors import InputError
from unfolded_ogamp.memory import GIGABYTE, MemoryLimitError, require_memory

COPIES = 10  # times the size of a file's arrays that estimating from them takes at least


def shipped(name: str) -> Path:
    """A folder that ships with the package: in it where a wheel put it, beside it in a clone."""
    package = Path(__file__).resolve().parent
    return package / name if (package / name).is_dir() else package.parent / name


@contextmanager
def written_at_once(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to, which takes its place at the end: readers find the old file or the new one.

    If the body raises, `path` stays as it was and nothing is left beside it.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_npz(path: str | Path, keys: Collection[str]) -> dict[str, np.ndarray]:
    """The arrays of an .npz file that are named in `keys` and present; others are not looked at.

    What they expand to is summed before any of them is read.

    Raises:
        ValueError: if there is no such file, it cannot be read or there is no memory for it, in one line.
    """
    arrays: dict[str, np.ndarray] = {}
    key = ""
    try:
        with zipfile.ZipFile(path) as members:
            n_bytes = sum(
                entry.file_size for entry in members.infolist() if entry.filename.removesuffix(".npy") in keys
            )
        require_memory(COPIES * n_bytes, f"arrays of {n_bytes / GIGABYTE:.3g} GB, and what is computed from them,")
        with np.load(path, allow_pickle=False) as archive:
            for key in archive.files:
                if key in keys:
                    arrays[key] = np.asarray(archive[key])
    except FileNotFoundError:
        raise ValueError("expected a file, found none") from None
    except MemoryLimitError:
        raise
    except Exception as error:  # whatever a damaged archive makes NumPy and zipfile raise
        where = f"{key}: expected an array of numbers" if key else "expected an .npz file"
        raise ValueError(f"{where}, found what cannot be read ({' '.join(str(error).split())})") from error
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
