"""Load the network of a Lightning checkpoint, without Lightning."""

from __future__ import annotations

from pathlib import Path

import torch

from unfolded_ogamp.errors import InputError
from unfolded_ogamp.pretrained import ExportDetails
from unfolded_ogamp.settings import settings_from_dict
from unfolded_ogamp.system import Network, system


class CheckpointError(InputError):
    """The file is not a checkpoint of a training run; the message is one line."""


def load_checkpoint(path: str | Path) -> tuple[Network, ExportDetails]:
    """The network of a checkpoint, with its averaged weights, and the details of its training.

    Raises:
        CheckpointError: if the file is missing, or is not a checkpoint of `scripts/train.py`.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        parameters, origin = content["hyper_parameters"], content["callbacks"]["Origin"]
        learning = system(parameters["system"]).the_learning()
        network = learning.network(settings_from_dict(learning.settings, parameters["network"], "network"))
        weights = content["state_dict"].items()
        network.load_state_dict({name.removeprefix("network."): tensor for name, tensor in weights})
        details = ExportDetails(
            trained_on=origin["trained_on"],
            seed=origin["seed"],
            provenance=origin["provenance"],
            training_time=origin["seconds"],
            measured={},
        )
    except FileNotFoundError:
        raise CheckpointError(f"{path}: expected a checkpoint file, found none") from None
    except OSError:
        raise
    except Exception:  # PyTorch and pickle raise many kinds of errors on other or damaged files
        raise CheckpointError(f"{path}: expected a checkpoint of scripts/train.py, found another file") from None
    return network.eval().requires_grad_(False), details
