"""Learned, physics-based estimators for distributed radio sensing."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unfolded_ogamp.pretrained import load_pretrained

__version__ = "0.1.0"

__all__ = ["__version__", "load_pretrained"]


def __getattr__(name: str) -> Any:
    """`load_pretrained`, which imports torch: a command must be able to end in one line before that has happened.

    Raises:
        AttributeError: if there is no such name.
    """
    if name == "load_pretrained":
        from unfolded_ogamp.pretrained import load_pretrained

        return load_pretrained
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
