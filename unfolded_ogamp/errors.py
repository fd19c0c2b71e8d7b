"""The one kind of failure that is the user's to mend."""

from __future__ import annotations


class InputError(ValueError):
    """The input cannot be used; the message is one line: what was expected, what was found.

    Every command ends such a failure with this line on stderr and exit status 2.
    """
