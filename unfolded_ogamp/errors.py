"""The exception for invalid input from the user."""

from __future__ import annotations


class InputError(ValueError):
    """The input cannot be used; the message is one line: what was expected, what was found.

    Every command then prints this line on stderr and exits with status 2.
    """
