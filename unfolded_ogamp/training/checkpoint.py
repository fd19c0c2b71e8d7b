"""From a Lightning checkpoint to a network that needs no Lightning."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch

from unfolded_ogamp.imaging.network.settings import NetworkSettings
from unfolded_ogamp.imaging.network.unfolded import UnfoldedOGAMP
from unfolded_ogamp.pretrained import ExportDetails
from unfolded_ogamp.settings import settings_from_dict


class CheckpointError(ValueError):
    """A file that is no checkpoint of a training run; the message is one line."""


def load_checkpoint(path: str | Path) -> tuple[UnfoldedOGAMP, ExportDetails]:
    """The network of a checkpoint, with its averaged weights, and where it comes from.

    Raises:
        CheckpointError: if the file is missing, or no checkpoint that `scripts/train.py` has written.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        network = UnfoldedOGAMP(settings_from_dict(NetworkSettings, content["hyper_parameters"]["network"], "network"))
        weights = content["state_dict"].items()
        network.load_state_dict({name.removeprefix("network."): tensor for name, tensor in weights})
        origin = content["callbacks"]["Origin"]
        details = ExportDetails(
            trained_on=origin["configuration"]["mixture"],
            seed=origin["configuration"]["data"]["seed"],
            commit=origin["commit"],
            training_time=origin["seconds"],
            measured={},
        )
    except FileNotFoundError:
        raise CheckpointError(f"{path}: expected a checkpoint file, found none") from None
    except (KeyError, TypeError, ValueError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(
            f"{path}: expected a checkpoint of scripts/train.py, found another file: {reason}"
        ) from None
    return network.eval().requires_grad_(False), details
