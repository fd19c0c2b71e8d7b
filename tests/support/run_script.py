"""Scripts run in this process, as a user runs them."""

from __future__ import annotations

import runpy
import sys
from typing import Any

import pytest
import torch
from places import SCRIPTS

from unfolded_ogamp.commands.main import options
from unfolded_ogamp.system import DEFAULT, system

# Arguments of commands that have options without a default.
NEEDED = {
    "check_csi": ["input=FILE"],
    "estimate": ["input=FILE"],
    "export": ["checkpoint=FILE", "output=FOLDER"],
    "own_data": ["folder=FOLDER"],
    "reproduce": ["figure=6"],
}


def run_script(name: str, *arguments: str) -> int:
    """Exit status of a script; pytest captures its output."""
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [name, *arguments])
        try:
            runpy.run_path(str(SCRIPTS / f"{name}.py"), run_name="__main__")
        except SystemExit as end:
            return int(end.code or 0)
        finally:
            torch.set_num_threads(threads)
    return 0


def options_of(name: str, *arguments: str) -> Any:
    """Options of a command with these arguments."""
    return options(name, system(DEFAULT), arguments)[1]
