"""Scenarios by the names of their files, for scripts that take several."""

from pathlib import Path

import hydra
from omegaconf import OmegaConf

from unfolded_ogamp.commands.failure import CommandError
from unfolded_ogamp.imaging.scenes.scenario import Scenario

FOLDER = Path(__file__).resolve().parents[1] / "conf" / "scenario"


def named_scenario(name: str) -> Scenario:
    known = sorted(path.stem for path in FOLDER.glob("*.yaml"))
    if name not in known:
        raise CommandError(f"scenarios: expected some of {', '.join(known)}, found {name!r}")
    return hydra.utils.instantiate(OmegaConf.load(FOLDER / f"{name}.yaml"))
