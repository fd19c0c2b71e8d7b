"""Origin of a result: versions, platform, commit, and hashes of the weights of networks."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors.torch
import torch

import unfolded_ogamp


def provenance() -> dict[str, str | None]:
    """Versions, platform (without the host name) and commit that results are computed with."""
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "unfolded_ogamp": unfolded_ogamp.__version__,
        "platform": f"{platform.system()} {platform.machine()}",
        "commit": _commit(),
    }


def serialised(network: torch.nn.Module) -> bytes:
    """The weights of a network as a file of safetensors holds them."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    return safetensors.torch.save(weights)


def sha256(content: bytes) -> str:
    """Hash of a file's content, as the command `sha256sum` prints it."""
    return hashlib.sha256(content).hexdigest()


def hashes(estimators: Mapping[str, object]) -> dict[str, str]:
    """Hash of the weights of every estimator that has some, by its name: that of `model.safetensors` in its export."""
    networks = {name: one for name, one in estimators.items() if isinstance(one, torch.nn.Module)}
    return {name: sha256(serialised(network)) for name, network in networks.items()}


def _commit() -> str | None:
    """Commit of the checkout that holds this file, "-dirty" added if it was changed since; None outside a checkout."""
    here = Path(__file__).resolve()
    # A file that git does not know may lie in somebody else's checkout, in a virtual environment for example.
    if _git(here.parent, "ls-files", "--error-unmatch", here.name) is None:
        return None
    return _git(here.parent, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
