"""Mixtures of scenarios over sizes and conditions: networks are trained on them, and estimators are tested on them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

import torch

from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.physics import Csi, Scene
from unfolded_ogamp.settings import Check, Settings, positive, require

COUNT_RANGES = ("nodes", "side", "n_tx", "n_rx", "n_subcarriers", "scatterers")
VALUE_RANGES = (
    "sparsity",
    "snr_db",
    "phase_std",
    "pixel",
    "missing_links",
    "blocked_share",
    "reflectivity_spread",
    "subcarrier_spacing",
)
LOGARITHMIC = ("subcarrier_spacing",)  # drawn log-uniformly

not_empty = Check("hold at least one component", lambda components: len(components) > 0)


@dataclass(frozen=True)
class Component(Settings):
    """One component of a mixture: a scenario with some fields drawn for every batch.

    Attributes:
        scenario: values of the other fields.
        weight: relative frequency of the component.
        ranges: (lowest, highest) value of the fields that are drawn uniformly. Counts, both limits inclusive: "nodes"
            is n_tx = n_rx, "side" the number of pixels along every axis, "scatterers" the number of scatterers; "n_tx",
            "n_rx" and "n_subcarriers" are fields of a Scenario, as "sparsity", "snr_db", "phase_std", "pixel",
            "missing_links", "blocked_share", "reflectivity_spread" and, log-uniform, "subcarrier_spacing" are.
    """

    scenario: Scenario
    weight: Annotated[float, positive] = 1.0
    ranges: Mapping[str, Sequence[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        allowed = COUNT_RANGES + VALUE_RANGES
        for name in self.ranges:
            require(name in allowed, f"ranges must name some of {', '.join(allowed)}, got {name!r}")
        # in the order of `allowed`: the order in a file must not change the draws
        ranges = {name: tuple(self.ranges[name]) for name in allowed if name in self.ranges}
        object.__setattr__(self, "ranges", ranges)
        for name, limits in ranges.items():
            in_order = len(limits) == 2 and limits[0] <= limits[1]
            require(in_order, f"range of {name} must be (lowest, highest), got {limits}")
            whole = name not in COUNT_RANGES or all(type(limit) is int for limit in limits)
            require(whole, f"range of {name} must be two integers, got {limits}")
        for corner in itertools.product(*ranges.values()):
            self._with(dict(zip(ranges, corner, strict=True)))  # the Scenario checks the values

    def draw_scenario(self, generator: torch.Generator) -> Scenario:
        """Draw a value from every range."""
        values: dict[str, float] = {}
        for name, (low, high) in self.ranges.items():
            if name in COUNT_RANGES:
                values[name] = int(torch.randint(int(low), int(high) + 1, (), generator=generator))
            else:
                share = float(torch.rand((), dtype=torch.float64, generator=generator))
                ratio = math.log(high / low) if name in LOGARITHMIC else None
                values[name] = low + (high - low) * share if ratio is None else low * math.exp(ratio * share)
        return self._with(values)

    def _with(self, values: dict[str, float]) -> Scenario:
        fields: dict[str, Any] = {
            name: value for name, value in values.items() if name not in ("nodes", "side", "scatterers")
        }
        if "nodes" in values:
            fields["n_tx"] = fields["n_rx"] = values["nodes"]
        if "side" in values:
            fields["pixels"] = (values["side"],) * self.scenario.dimension
        scenario = replace(self.scenario, **fields)
        if "scatterers" not in values:
            return scenario
        return replace(scenario, sparsity=values["scatterers"] / math.prod(scenario.pixels))


@dataclass(frozen=True)
class Mixture(Settings):
    """A weighted mixture; one component is drawn per batch, so that all scenes of a batch have the same size.

    Attributes:
        components: what is mixed.
        name: name in results.
    """

    components: Annotated[Sequence[Component], not_empty]
    name: str = "mixture"

    def draw(self, batch: int, generator: torch.Generator) -> tuple[Scene, Csi]:
        """Draw a scenario, then `batch` of its scenes with one noisy measurement each, in float64."""
        return self.draw_scenario(generator).draw(batch, generator)

    def draw_scenario(self, generator: torch.Generator) -> Scenario:
        """Draw the scenario of the next batch."""
        weights = torch.tensor([component.weight for component in self.components], dtype=torch.float64)
        index = int(torch.multinomial(weights, 1, generator=generator))
        return self.components[index].draw_scenario(generator)
