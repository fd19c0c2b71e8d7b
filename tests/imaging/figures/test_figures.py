"""Figures: the marks are the data, nothing is cut off, and pyplot is not imported."""

import math
import subprocess
import sys
from dataclasses import replace

import matplotlib
import numpy as np
import pytest
import torch
from drawn import assert_nothing_is_cut_off, assert_panels_are_apart, marks, subtitle, titled
from hand_made import make_scene, truth_as_estimate, with_positions
from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle
from matrix_of_rows import OVER_BOUND, SUCCESSES, matrix_of_rows

from unfolded_ogamp.evaluation.compare import summarise
from unfolded_ogamp.evaluation.figures import parameter_figure
from unfolded_ogamp.evaluation.style import COLOURS
from unfolded_ogamp.imaging.figures.comparison import comparison_figure
from unfolded_ogamp.imaging.figures.overview import estimate_figure
from unfolded_ogamp.imaging.figures.transfer import transfer_figure
from unfolded_ogamp.imaging.score import node_phase_error
from unfolded_ogamp.physics import measure


def test_comparison_shows_positions_matches_and_phase_errors():
    scene = make_scene(batch=2, missing=0.2, n_scatterers=3)
    truth = truth_as_estimate(scene)
    far = torch.tensor([[0.95, 0.95]], dtype=torch.float64)
    shifted = [torch.cat([position[:2] + 0.005, far]) for position in scene.position]
    tx_phase = truth.tx_phase.clone()
    tx_phase[1, 2] += 0.3
    estimate = replace(with_positions(truth, shifted), tx_phase=tx_phase)
    figure = comparison_figure(scene, {"exact": truth, "moved": estimate}, 1)

    axes = titled(figure, "moved")
    assert subtitle(axes).startswith("2 found, 1 missed, 1 false; ")
    assert subtitle(titled(figure, "exact")).startswith("3 found, 0 missed, 0 false; ")
    (crosses,) = marks(axes, "true")
    np.testing.assert_allclose(crosses.get_offsets(), scene.position[1])
    found, invented = axes.collections[-2:]
    np.testing.assert_allclose(found.get_offsets(), shifted[1][:2])
    np.testing.assert_allclose(invented.get_offsets(), shifted[1][2:])
    assert len(found.get_facecolors()) == 0  # open circles
    np.testing.assert_allclose(invented.get_facecolors()[0], to_rgba(COLOURS[1] + "66"))

    # One Tx is off by 0.3 rad, less its share of the mean over the links.
    link = scene.link[1]
    share = float(link[2].sum() / link.sum())
    before, after = (line.get_ydata() for line in figure.axes[5].lines[:2])
    expected = np.full(6, -0.3 * share)
    expected[2] += 0.3
    np.testing.assert_allclose(after[:6], expected, atol=2e-3)  # the mean is a circular one
    np.testing.assert_allclose(after[6:], 0, atol=1e-12)
    np.testing.assert_allclose(before, node_phase_error(-scene.tx_phase[1], -scene.rx_phase[1], link))


def test_size_of_a_circle_grows_with_the_strength():
    scene = make_scene()
    estimate = truth_as_estimate(scene)
    found = titled(comparison_figure(scene, {"exact": estimate}, 0), "exact").collections[-2]
    order = scene.reflectivity[0].abs().argsort()
    assert np.all(np.diff(found.get_sizes()[order]) > 0)


def test_histogram_counts_every_link_once():
    scene = make_scene(missing=0.3)
    figure = comparison_figure(scene, {"exact": truth_as_estimate(scene)}, 0)
    histogram = figure.axes[2]
    for patch in histogram.patches:
        vertices = patch.get_path().vertices
        edges, heights = np.unique(vertices[:, 0]), vertices[:, 1].max()
        assert 0 < heights <= 1
        assert edges[0] == pytest.approx(1e-4)
    exact = histogram.patches[-1].get_path().vertices
    assert exact[exact[:, 1].argmax(), 0] < 2e-4  # no error at all is drawn at the lower edge
    assert exact[:, 1].max() == pytest.approx(1.0)


@pytest.mark.parametrize("dimension", [2, 3])
def test_heat_map_has_each_pixel_in_its_place(dimension):
    scene = make_scene(dimension=dimension, pixels=5, n_scatterers=1)
    probability = torch.zeros(1, 5**dimension, dtype=torch.float64)
    bright = (5 * 2 + 4) if dimension == 2 else 25 * 3 + 5 * 2 + 4  # x last, y middle; any z
    probability[0, bright] = 0.8
    estimate = replace(truth_as_estimate(scene), pixel_probability=probability)
    axes = titled(comparison_figure(scene, {"one": estimate}, 0), "one")
    (image,) = axes.images
    expected = np.zeros((5, 5))
    expected[2, 4] = 0.8
    np.testing.assert_array_equal(image.get_array(), expected)
    assert image.get_extent() == pytest.approx([-0.5, 0.5, -0.5, 0.5])
    assert image.origin == "lower"
    assert ("seen along z" in axes.get_xlabel()) == (dimension == 3)


@pytest.mark.parametrize("dimension", [2, 3])
def test_map_shows_all_nodes_and_the_region_at_their_true_places(dimension):
    scene = make_scene(n_tx=20, n_rx=15, dimension=dimension)
    csi = measure(scene, torch.Generator().manual_seed(0))
    estimate = truth_as_estimate(scene)
    overview = estimate_figure(csi, scene.array, scene.grid, estimate).axes[1]
    for axes in (titled(comparison_figure(scene, {"exact": estimate}, 0), "truth"), overview):
        tx, rx = axes.collections[:2]
        (outline,) = (patch for patch in axes.patches if isinstance(patch, Rectangle))
        np.testing.assert_allclose(tx.get_offsets(), scene.array.tx[0, :, :2])
        np.testing.assert_allclose(rx.get_offsets(), scene.array.rx[0, :, :2])
        np.testing.assert_allclose(outline.get_bbox().get_points(), [[-1, -1], [1, 1]])
        assert axes.get_aspect() == 1
        for nodes in (tx, rx):
            low, high = np.array([axes.get_xlim(), axes.get_ylim()]).T
            assert ((low < nodes.get_offsets()) & (nodes.get_offsets() < high)).all()
    phase = node_phase_error(scene.tx_phase[0], scene.rx_phase[0], scene.link[0])
    colours = np.concatenate([nodes.get_array() for nodes in overview.collections[:2]])
    np.testing.assert_allclose(colours, phase)  # of the map of the estimate


def test_image_shows_the_region_and_the_nodes_in_it():
    scene = make_scene(n_rx=2)
    inside = torch.tensor([[[0.3, -0.4], [2.0, 2.0]]], dtype=torch.float64)
    scene = replace(scene, array=replace(scene.array, rx=inside))
    axes = titled(comparison_figure(scene, {"exact": truth_as_estimate(scene)}, 0), "exact")
    np.testing.assert_allclose([axes.get_xlim(), axes.get_ylim()], [[-1.1, 1.1]] * 2)
    np.testing.assert_allclose(axes.collections[1].get_offsets(), inside[0, :1])


def test_parameters_are_drawn_over_the_layers_beside_their_start():
    learned = {"damping": [0.5, 0.4, 0.6], "step": [1.0, 2.0, 3.0], "a": [0.0] * 3, "b": [1.0] * 3, "c": [2.0] * 3}
    start = {name: [0.5] * 3 for name in learned}
    figure = parameter_figure(learned, start)
    panels = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_title() for axes in panels] == list(learned)
    for axes in panels:
        dashed, solid = axes.lines
        assert dashed.get_linestyle() == "--"
        np.testing.assert_array_equal(dashed.get_ydata(), start[axes.get_title()])
        np.testing.assert_array_equal(solid.get_ydata(), learned[axes.get_title()])
        np.testing.assert_array_equal(solid.get_xdata(), [1, 2, 3])


def test_transfer_has_networks_as_rows_scenarios_as_columns_and_frames_on_their_own():
    figure = transfer_figure(summarise(matrix_of_rows()))
    success, over_bound = figure.axes
    networks = [label.get_text() for label in success.get_yticklabels()]
    for axes, expected in ((success, SUCCESSES), (over_bound, OVER_BOUND)):
        scenarios = [label.get_text() for label in axes.get_xticklabels()]
        written = {}
        for text in axes.texts:
            column, row = text.get_position()
            written[networks[row], scenarios[column]] = math.nan if text.get_text() == "-" else float(text.get_text())
        scale = 25 if axes is success else 1
        assert written == pytest.approx({key: scale * value for key, value in expected.items()}, nan_ok=True)
        frames = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
        own = {(networks[round(y + 0.5)], scenarios[round(x + 0.5)]) for x, y in (frame.get_xy() for frame in frames)}
        assert own == {("a", "a"), ("b", "b")}
        colours = axes.images[0].get_array()
        values = np.array([[expected[network, scenario] for scenario in scenarios] for network in networks])
        order = np.argsort(values[np.isfinite(values)])
        bright = colours.mean(-1)[np.isfinite(values)][order]
        assert (np.diff(bright) * (1 if axes is success else -1) >= 0).all()  # the better, the brighter
    assert_nothing_is_cut_off(figure)


@pytest.mark.parametrize("count", [1, 3])
def test_nothing_is_cut_off(count):
    scene = make_scene(n_tx=30, n_rx=30, n_scatterers=12, missing=0.1)
    csi = measure(scene, torch.Generator().manual_seed(0))
    estimate = truth_as_estimate(scene)
    estimate = replace(estimate, tx_phase=estimate.tx_phase * 1.001)
    names = ["greedy joint", "off-grid AMP, 60 iterations", "network"][:count]
    settings = dict(matplotlib.rcParams)
    comparison = comparison_figure(scene, dict.fromkeys(names, estimate), 0)
    assert_nothing_is_cut_off(comparison)
    assert_panels_are_apart(comparison)
    if count == 1:
        assert_nothing_is_cut_off(estimate_figure(csi, scene.array, scene.grid, estimate, None, scene))
        curves = {f"parameter {number}": [0.1, 0.2] for number in range(6)}
        assert_nothing_is_cut_off(parameter_figure(curves, curves))
    assert dict(matplotlib.rcParams) == settings


def test_library_needs_no_matplotlib_and_no_rich_and_figures_need_no_pyplot():
    code = (
        "import sys, unfolded_ogamp.evaluation; "
        "assert not {'matplotlib', 'rich'} & set(sys.modules); "
        "import unfolded_ogamp.evaluation.figures; "
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
