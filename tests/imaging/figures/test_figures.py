"""Figures: the marks are the data, nothing is cut off, and pyplot is not imported."""

import itertools
import math
import subprocess
import sys
from dataclasses import replace

import matplotlib
import numpy as np
import pytest
import torch
from hand_made import make_scene, truth_as_estimate, with_positions
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.patches import Ellipse, Rectangle
from matrix_of_rows import OVER_BOUND, SUCCESSES, matrix_of_rows

from unfolded_ogamp.evaluation.compare import summarise
from unfolded_ogamp.evaluation.figures import parameter_figure
from unfolded_ogamp.evaluation.style import COLOURS
from unfolded_ogamp.imaging.figures.comparison import comparison_figure
from unfolded_ogamp.imaging.figures.overview import estimate_figure, headline
from unfolded_ogamp.imaging.figures.transfer import transfer_figure
from unfolded_ogamp.imaging.score import node_phase_error
from unfolded_ogamp.physics import measure


def titled(figure, text):
    """The panel with this title."""
    (axes,) = (axes for axes in figure.axes if axes.get_title() == text)
    return axes


def subtitle(axes):
    (text,) = axes.texts
    return text.get_text()


def marks(axes, label=None):
    return [collection for collection in axes.collections if label is None or collection.get_label() == label]


def legend_of(figure):
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def assert_nothing_is_cut_off(figure):
    """Every panel, legend and title lies on the page completely."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    page = figure.bbox.padded(1.0)
    titles = [text for text in (figure._suptitle, figure._supxlabel) if text is not None]
    for artist in (*figure.axes, *figure.legends, *titles):
        box = artist.get_tightbbox(canvas.get_renderer())
        assert page.x0 <= box.x0 <= box.x1 <= page.x1, artist
        assert page.y0 <= box.y0 <= box.y1 <= page.y1, artist


def assert_panels_are_apart(figure):
    renderer = figure.canvas.get_renderer()
    boxes = [axes.get_tightbbox(renderer).padded(-1.0) for axes in figure.axes]
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)


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


def test_estimate_figure_shows_residuals_phases_and_strengths():
    scene = make_scene(missing=0.3, n_tx=6, n_rx=5)
    csi = measure(scene, torch.Generator().manual_seed(0))
    estimate = truth_as_estimate(scene)
    std = torch.linspace(0.01, 0.2, 11, dtype=torch.float64)
    figure = estimate_figure(csi, scene.array, scene.grid, estimate, std, scene)
    by_label = {axes.get_ylabel(): axes for axes in figure.axes}

    (image,) = by_label["Tx"].images
    shown = image.get_array()
    for i in range(6):
        for j in range(5):
            if not scene.link[0, i, j]:
                assert shown.mask[i, j]
                continue
            left = sum(abs(complex(csi.value[0, i, j, k] - estimate.prediction[0, i, j, k])) ** 2 for k in range(2)) / 2
            assert shown[i, j] == pytest.approx(10 * math.log10(left / float(csi.noise_variance)))
    assert "no link" in by_label["Tx"].get_xlabel()

    truth, estimated = (line.get_ydata() for line in by_label["node phase [rad]"].lines[:2])
    np.testing.assert_allclose(estimated, node_phase_error(scene.tx_phase[0], scene.rx_phase[0], scene.link[0]))
    np.testing.assert_allclose(truth, estimated, atol=1e-12)

    (bars,) = by_label["node phase [rad]"].containers[0].lines[2]
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    np.testing.assert_allclose(ends.mean(1), estimated)
    np.testing.assert_allclose(np.diff(ends)[:, 0], 4 * std)  # two standard deviations up and down

    strength = scene.reflectivity[0].abs().sort(descending=True).values.numpy()
    points = np.array([line.get_xydata()[0] for line in by_label["scatterer number"].lines])
    np.testing.assert_allclose(points[:, 0], 20 * np.log10(strength / strength[0]), atol=1e-12)
    np.testing.assert_array_equal(points[:, 1], [1, 2, 3])
    numbers = {text.get_text(): text.xy for text in figure.axes[0].texts}
    for rank, index in enumerate(scene.reflectivity[0].abs().argsort(descending=True), start=1):
        np.testing.assert_allclose(numbers[str(rank)], scene.position[0, index])
    assert figure.get_suptitle().startswith("3 scatterers, 3 of 3 true ones")


def test_ellipses_hold_a_known_share_and_say_how_much_they_are_enlarged():
    """Axes of sqrt(-2 log 0.05) standard deviations hold 95 % of a normal error in the plane."""
    scene = make_scene()
    csi = measure(scene, torch.Generator().manual_seed(0))
    exact = truth_as_estimate(scene)
    std = torch.tensor([[1e-3, 2e-3], [1e-4, 1e-3], [math.inf, 1e-3]], dtype=torch.float64)
    turn = torch.tensor([[0.8, -0.6], [0.6, 0.8]], dtype=torch.float64)
    covariance = turn @ torch.diag_embed(std.square()) @ turn.T
    covariance[2] = math.inf
    estimate = replace(exact, scatterers=[replace(exact.scatterers[0], covariance=covariance)])
    figure = estimate_figure(csi, scene.array, scene.grid, estimate)
    ellipses = [patch for patch in figure.axes[0].patches if isinstance(patch, Ellipse)]
    assert len(ellipses) == 2  # one is not known at all
    assert "95 % ellipse x 10" in legend_of(figure)
    error = torch.randn(40000, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * std[0] @ turn.T
    for ellipse, position in zip(ellipses, scene.position[0], strict=False):
        np.testing.assert_allclose(ellipse.center, position)
    angle = math.radians(ellipses[0].angle)
    along = error.numpy() @ np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    half = np.array([ellipses[0].width, ellipses[0].height]) / 2 / 10
    assert float(((along / half) ** 2).sum(1).__lt__(1).mean()) == pytest.approx(0.95, abs=0.005)


def test_estimate_figure_without_truth_marks_nothing_as_false():
    scene = make_scene()
    csi = measure(scene, torch.Generator().manual_seed(0))
    estimate = with_positions(truth_as_estimate(scene), [scene.position[0] + 0.3])
    figure = estimate_figure(csi, scene.array, scene.grid, estimate)
    image = figure.axes[0]
    assert not marks(image, "true")
    assert len(image.collections[-2].get_offsets()) == 3
    assert len(image.collections[-1].get_offsets()) == 0
    assert not [label for label in legend_of(figure) if "true" in label or "false" in label]


def test_an_empty_estimate_is_drawn():
    scene = make_scene()
    csi = measure(scene, torch.Generator().manual_seed(0))
    exact = truth_as_estimate(scene)
    none = exact.scatterers[0]
    none = type(none)(none.position[:0], none.covariance[:0], none.reflectivity[:0], none.probability[:0])
    std = torch.full((11,), torch.inf, dtype=torch.float64)
    figure = estimate_figure(csi, scene.array, scene.grid, replace(exact, scatterers=[none]), std, scene)
    title = figure.get_suptitle().replace("\n", " ")
    assert title.startswith("0 scatterers, 0 of 3 true ones")
    assert "node phases not determined" in title
    by_label = {axes.get_ylabel(): axes for axes in figure.axes}
    assert len(by_label["scatterer number"].lines) == 0
    assert len(by_label["node phase [rad]"].containers) == 0
    assert_nothing_is_cut_off(figure)


def test_headline_summarises_the_estimate():
    scene = make_scene(n_scatterers=1)
    csi = measure(scene, torch.Generator().manual_seed(0))
    estimate = replace(truth_as_estimate(scene), residual=1.25 * scene.noise_variance)
    assert headline(csi, estimate, None, None) == "1 scatterer; residual 1.25 times the noise"
    std = torch.tensor([0.03, 0.04, 0.05, 0.0], dtype=torch.float64)  # the headline has their root mean square
    known = "1 scatterer; node phases known to 0.035 rad; residual 1.25 times the noise"
    assert headline(csi, estimate, std, None) == known
    assert "node phases not determined" in headline(csi, estimate, torch.inf * std.clamp(min=1), None)
    found = torch.tensor([True])
    assert headline(csi, estimate, None, (2, found)).startswith(
        "1 scatterer, 1 of 2 true ones within a tenth of a wavelength;"
    )
    power = csi.value.abs().square().mean()
    unknown = replace(csi, noise_variance=None)
    quiet = replace(estimate, residual=0.01 * power[None])
    assert headline(unknown, quiet, None, None) == "1 scatterer; residual 20.0 dB below the CSI"
    link = csi.link.clone()
    link[0, :3] = False
    stopped = replace(estimate, finite=torch.tensor([False]))
    ending = "; 50 % of the links missing; stopped early at a non-finite state"
    assert headline(replace(csi, link=link), stopped, None, None).endswith(ending)


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
