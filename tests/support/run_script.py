"""Scripts run in this process, as a user runs them."""

from __future__ import annotations

import runpy
import sys

import pytest
import torch
from places import SCRIPTS


def run_script(name: str, *arguments: str) -> int:
    """Exit status of a script; what it writes is left to pytest to catch."""
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [name, *arguments])
        patch.syspath_prepend(SCRIPTS)
        try:
            runpy.run_path(str(SCRIPTS / f"{name}.py"), run_name="__main__")
        except SystemExit as end:
            return int(end.code or 0)
        finally:
            torch.set_num_threads(threads)
    return 0
