"""How a command fails on what its user can mend: in one line, with exit status 2."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from unfolded_ogamp.imaging.catalogue import CatalogueError
from unfolded_ogamp.imaging.files.csi import CsiFileError
from unfolded_ogamp.pretrained import PretrainedError
from unfolded_ogamp.settings import SettingsError


class CommandError(ValueError):
    """A request that a command cannot fulfil; the message is one line."""


@contextmanager
def one_line_failure(*others: type[Exception]) -> Iterator[None]:
    """End the program with one line on stderr where its input or output is at fault; errors of ours keep a traceback.

    To be used inside the function that Hydra runs, which would print a traceback itself. `others` are further errors
    that can only come from the input.
    """
    expected: tuple[type[Exception], ...] = (
        CsiFileError,
        PretrainedError,
        CatalogueError,
        CommandError,
        SettingsError,
        OSError,
    )
    try:
        yield
    except (*expected, *others) as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        raise SystemExit(2) from None
