"""The picture of one estimate: residuals, phases, strengths and ellipses are the data; the headline sums them up."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from drawn import assert_nothing_is_cut_off, legend_of, marks
from hand_made import make_scene, truth_as_estimate, with_positions
from matplotlib.patches import Circle, Ellipse

from unfolded_ogamp.imaging.figures.overview import estimate_figure, headline
from unfolded_ogamp.imaging.score import node_phase_error
from unfolded_ogamp.physics import measure


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


def test_shifts_of_nodes_and_extents_of_targets_are_drawn_to_scale():
    scene = make_scene(n_tx=6, n_rx=5)
    csi = measure(scene, torch.Generator().manual_seed(0))
    exact = truth_as_estimate(scene)
    plain = estimate_figure(csi, scene.array, scene.grid, exact)
    assert not [label for label in legend_of(plain) if "shift" in label or "extent" in label]
    shift = torch.zeros_like(scene.array.tx)
    shift[0, 2] = torch.tensor([0.03, -0.04])
    scatterers = [replace(one, extent=torch.full_like(one.extent, 0.05)) for one in exact.scatterers]
    nodes = replace(exact.nodes, tx_position=scene.array.tx + shift)
    figure = estimate_figure(csi, scene.array, scene.grid, replace(exact, nodes=nodes, scatterers=scatterers))
    (label,) = [label for label in legend_of(figure) if "shift of a node" in label]
    factor = int(label.split("x ")[1]) if "x " in label else 1
    overview = figure.axes[1]
    ends = np.array([line.get_xydata() for line in overview.lines if len(line.get_xydata()) == 2])
    moved = ends[:, 1] - ends[:, 0]
    np.testing.assert_allclose(moved[2], [0.03 * factor, -0.04 * factor], atol=1e-12)
    np.testing.assert_allclose(ends[2, 0], scene.array.tx[0, 2])
    assert np.count_nonzero(np.abs(moved).sum(1) > 1e-12) == 1
    discs = [patch for patch in figure.axes[0].patches if isinstance(patch, Circle)]
    assert [disc.radius for disc in discs] == [0.05] * 3
    assert_nothing_is_cut_off(figure)


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
    none = exact.scatterers[0][:0]
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
    std = torch.tensor([0.0] * 7 + [0.03, 0.04, 0.05, math.sqrt(11 * 0.035**2 - 0.005)], dtype=torch.float64)
    known = "1 scatterer; node phases known to 0.035 rad; residual 1.25 times the noise"
    assert headline(csi, estimate, std, None) == known
    assert "node phases not determined" in headline(csi, estimate, torch.inf * std.clamp(min=1), None)
    csi.link[0, 2] = False  # a node that is left out does not count
    left_out = torch.where(torch.arange(11) == 2, torch.inf, 0.01)
    assert "node phases known to 0.01 rad" in headline(csi, estimate, left_out, None)
    csi.link[0, 2] = True
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
