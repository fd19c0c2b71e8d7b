"""What the world does: geometry, propagation, phases and the CSI they produce. Knows no estimator."""

from unfolded_ogamp.physics.csi import Csi, measure, noise_free_csi, noise_variance_at
from unfolded_ogamp.physics.geometry import SPEED_OF_LIGHT, NodeArray, PixelGrid, draw_nodes, regular_grid
from unfolded_ogamp.physics.graph import is_connected, isolated_nodes, main_part, reached_nodes, reference_nodes
from unfolded_ogamp.physics.phases import (
    clock_phase,
    draw_residual_phases,
    draw_time_offsets,
    draw_uniform_phases,
    incidence_matrix,
    link_phase,
    link_phase_error,
    reference_node,
    relative_to_reference,
    wrap,
)
from unfolded_ogamp.physics.scene import Scene
from unfolded_ogamp.physics.waves import (
    amplitude,
    amplitude_rate,
    bistatic_delay,
    distances,
    los_channel,
    nlos_channel,
    path_loss,
    propagation_gain,
    unit_phasor,
)

__all__ = [
    "SPEED_OF_LIGHT",
    "Csi",
    "NodeArray",
    "PixelGrid",
    "Scene",
    "amplitude",
    "amplitude_rate",
    "bistatic_delay",
    "clock_phase",
    "distances",
    "draw_nodes",
    "draw_residual_phases",
    "draw_time_offsets",
    "draw_uniform_phases",
    "incidence_matrix",
    "is_connected",
    "isolated_nodes",
    "link_phase",
    "link_phase_error",
    "los_channel",
    "main_part",
    "measure",
    "nlos_channel",
    "noise_free_csi",
    "noise_variance_at",
    "path_loss",
    "propagation_gain",
    "reached_nodes",
    "reference_node",
    "reference_nodes",
    "regular_grid",
    "relative_to_reference",
    "unit_phasor",
    "wrap",
]
