"""What each part of a network is worth: the same weights with one part changed, on the same scenes."""

from __future__ import annotations

from dataclasses import replace

from unfolded_ogamp.imaging.network.settings import NetworkSettings
from unfolded_ogamp.imaging.network.unfolded import UnfoldedOGAMP


def variants(network: UnfoldedOGAMP) -> dict[str, UnfoldedOGAMP]:
    """The network, the analytic one of the same layers, and the network with each part off or cut in turn."""
    settings = network.settings
    changed = {
        "all": settings,
        "no detection pass": replace(settings, detection_passes=0),
        "no competition": replace(settings, width=0),
        "no pruning": replace(settings, prunings=0),
        "one detection pass": replace(settings, detection_passes=1),
        "fewest joint layers": replace(settings, joint_layers=1, final_layers=1),
        "no restarts": replace(settings, starts=1),
        "no fallback": replace(settings, fallback=False),
        "neither restarts nor fallback": replace(settings, starts=1, fallback=False),
        "one block": of_blocks(settings, 1),
        "a quarter of the blocks": of_blocks(settings, max(1, settings.blocks // 4)),
        "half of the blocks": of_blocks(settings, max(1, settings.blocks // 2)),
        "no first exit": replace(settings, first_exit=settings.blocks),
    }
    found = {name: with_settings(network, each) for name, each in changed.items()}
    return {"all, analytic": UnfoldedOGAMP(settings).eval().requires_grad_(False), **found}


def of_blocks(settings: NetworkSettings, count: int) -> NetworkSettings:
    """The settings with `count` blocks, the first exit not after the last one."""
    return replace(settings, blocks=count, first_exit=min(settings.first_exit, count))


def with_settings(network: UnfoldedOGAMP, settings: NetworkSettings) -> UnfoldedOGAMP:
    """A network of other settings with the weights of all layers that the two have in common."""
    other = UnfoldedOGAMP(settings)
    weights = network.state_dict()
    other.load_state_dict({name: weights[name] for name in other.state_dict()})
    return other.eval().requires_grad_(False)
