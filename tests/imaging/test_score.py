"""Metrics against closed forms: known shifts, empty sets, traps for greedy matching, gauges."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from hand_made import make_scene, truth_as_estimate, with_positions

from unfolded_ogamp.bounds.imaging import joint_bound
from unfolded_ogamp.evaluation.point_sets import chamfer_distance, gospa_distance, match, pairwise_distance
from unfolded_ogamp.imaging.score import node_phase_error, phase_error, roi_diagonal, scene_metrics

GATE = 0.0299792458  # lambda_c / 10 at 1 GHz
CUT_OFF = 5 * GATE


def points(*coordinates: tuple[float, float]) -> torch.Tensor:
    return torch.tensor(coordinates, dtype=torch.float64).reshape(-1, 2)


def scene_at(position: torch.Tensor):
    scene = make_scene(n_scatterers=len(position))
    return replace(scene, position=position[None])


def metrics_of(scene, estimate, index=0):
    return scene_metrics(scene, estimate, index, joint_bound(scene, index))


def test_truth_as_estimate_is_perfect():
    scene = make_scene(batch=2, missing=0.2, los=True)
    for index in range(2):
        metrics = metrics_of(scene, truth_as_estimate(scene), index)
        assert (metrics.n_true, metrics.n_estimated, metrics.missed, metrics.false) == (3, 3, 0, 0)
        assert metrics.success
        assert metrics.position_rmse == metrics.chamfer == metrics.chamfer_squared == metrics.gospa == 0.0
        assert metrics.phase_rmse < 1e-12
        assert metrics.channel_nmse_db < -250


def test_known_shift():
    """Every scatterer moved by 5 mm: all distances are 5 mm, chamfer twice that, in either metric."""
    scene = scene_at(points((-0.5, 0.1), (0.3, 0.4), (0.2, -0.6)))
    estimate = with_positions(truth_as_estimate(scene), [scene.position[0] + points((0.003, -0.004))])
    bound = joint_bound(scene, 0)
    metrics = scene_metrics(scene, estimate, 0, bound)
    assert metrics.success
    assert metrics.position_rmse == pytest.approx(0.005)
    assert metrics.position_efficiency == pytest.approx(0.005 / bound.position_rms)
    assert metrics.chamfer == pytest.approx(0.010)
    assert metrics.chamfer_squared == pytest.approx(2 * 0.005**2)
    assert metrics.gospa == pytest.approx(math.sqrt(3) * 0.005)


def test_missed_and_false_scatterers_by_hand():
    """One pair 2 cm apart, one truth missed, two invented: GOSPA charges half a cut-off squared for each of three."""
    scene = scene_at(points((0.0, 0.0), (0.6, 0.0)))
    estimate = with_positions(truth_as_estimate(scene), [points((0.02, 0.0), (-0.6, 0.0), (0.0, 0.6))])
    bound = joint_bound(scene, 0)
    metrics = scene_metrics(scene, estimate, 0, bound)
    assert (metrics.missed, metrics.false, metrics.success) == (1, 2, False)
    assert metrics.position_rmse == pytest.approx(0.02)
    assert metrics.position_efficiency == pytest.approx(0.02 / float(bound.position_std[0].norm()))
    assert metrics.gospa == pytest.approx(math.sqrt(0.02**2 + 3 * CUT_OFF**2 / 2))
    directed = (0.02 + 0.58) / 2 + (0.02 + 0.6 + 0.6) / 3
    assert metrics.chamfer == pytest.approx(directed)
    assert metrics.chamfer_squared == pytest.approx((0.02**2 + 0.58**2) / 2 + (0.02**2 + 2 * 0.6**2) / 3)


def test_gate_is_a_tenth_of_the_wavelength():
    for shift, matched in ((0.999 * GATE, 1), (1.001 * GATE, 0)):
        scene = scene_at(points((0.0, 0.0)))
        metrics = metrics_of(scene, with_positions(truth_as_estimate(scene), [points((shift, 0.0))]))
        assert metrics.n_true - metrics.missed == metrics.n_estimated - metrics.false == matched
    assert math.isnan(metrics.position_rmse)
    assert math.isnan(metrics.position_efficiency)


def test_empty_sets_cost_the_diagonal_of_the_region():
    scene = scene_at(points((0.0, 0.0), (0.5, 0.5)))
    diagonal = math.sqrt(2) * 2.0
    assert roi_diagonal(scene.grid) == pytest.approx(diagonal)
    metrics = metrics_of(scene, with_positions(truth_as_estimate(scene), [points()]))
    assert (metrics.missed, metrics.false) == (2, 0)
    assert metrics.chamfer == pytest.approx(diagonal)
    assert metrics.chamfer_squared == pytest.approx(diagonal**2)
    assert metrics.gospa == pytest.approx(CUT_OFF)
    empty = make_scene(n_scatterers=0, los=True)
    metrics = metrics_of(empty, truth_as_estimate(empty))
    assert metrics.success
    assert metrics.chamfer == metrics.chamfer_squared == metrics.gospa == 0.0


def test_matching_is_optimal_where_greedy_is_not():
    """The closest pair (second truth, first estimate) would leave the others 4 cm apart, beyond the gate."""
    distance = pairwise_distance(points((0.0, 0.0), (0.02, 0.0)), points((0.015, 0.0), (0.04, 0.0)), 9.0)
    true, estimated = match(distance, GATE)
    assert dict(zip(true.tolist(), estimated.tolist(), strict=True)) == {0: 0, 1: 1}


def test_a_pair_within_the_gate_outweighs_any_distance_beyond_it():
    """The least summed distance pairs (0, 0) and (1, 1), of which only one is in the gate; two pairs fit in it."""
    distance = torch.tensor([[0.001, 0.029], [0.029, 0.031]], dtype=torch.float64)
    true, estimated = match(distance, 0.03)
    assert sorted(zip(true.tolist(), estimated.tolist(), strict=True)) == [(0, 1), (1, 0)]


def test_matching_against_all_assignments():
    generator = torch.Generator().manual_seed(0)
    for n_true, n_estimated in ((3, 5), (4, 4), (5, 2)):
        for _ in range(20):
            distance = torch.rand(n_true, n_estimated, generator=generator, dtype=torch.float64)
            true, estimated = match(distance, 0.3)
            rows, columns = (range(n) for n in (n_true, n_estimated))
            size = min(n_true, n_estimated)
            best = min(
                (-len(pairs), sum(pairs))
                for chosen in itertools.combinations(rows, size)
                for order in itertools.permutations(columns, size)
                for pairs in [
                    [float(distance[a, b]) for a, b in zip(chosen, order, strict=True) if distance[a, b] <= 0.3]
                ]
            )
            assert (-len(true), float(distance[true, estimated].sum())) == pytest.approx(best)


def test_order_of_the_scatterers_does_not_matter():
    scene = make_scene(n_scatterers=5)
    noise = torch.randn(5, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64) * 0.02
    position = torch.cat([scene.position[0] + noise, points((0.9, 0.9))])
    order = torch.tensor([4, 2, 5, 0, 1, 3])
    one, other = (metrics_of(scene, with_positions(truth_as_estimate(scene), [p])) for p in (position, position[order]))
    assert one.missed > 0
    assert one.__dict__ == pytest.approx(other.__dict__)


def test_not_finite_counts_as_the_diagonal_away():
    scene = scene_at(points((0.0, 0.0)))
    position = points((0.01, 0.0), (math.nan, 0.0), (math.inf, 0.0))
    metrics = metrics_of(scene, with_positions(truth_as_estimate(scene), [position]))
    assert (metrics.missed, metrics.false) == (0, 2)
    assert metrics.chamfer == pytest.approx(0.01 + (0.01 + 2 * roi_diagonal(scene.grid)) / 3)


def test_gospa_is_a_metric_with_unpaired_points_on_either_side():
    one, other = points((0.0, 0.0), (1.0, 0.0)), points((0.0, 0.1))
    distance = pairwise_distance(one, other, 9.0)
    expected = math.sqrt(0.1**2 + 0.15**2 / 2)
    assert gospa_distance(distance, 0.15) == pytest.approx(expected)
    assert gospa_distance(distance.T, 0.15) == pytest.approx(expected)
    # A pair beyond the cut-off costs as much as one missed and one false.
    assert gospa_distance(distance[1:], 0.15) == pytest.approx(0.15)


def test_chamfer_against_loops():
    generator = torch.Generator().manual_seed(1)
    one, other = (torch.rand(n, 3, generator=generator, dtype=torch.float64) for n in (4, 7))
    there = sum(min(math.dist(a, b) for b in other.tolist()) for a in one.tolist()) / 4
    back = sum(min(math.dist(a, b) for a in one.tolist()) for b in other.tolist()) / 7
    assert chamfer_distance(pairwise_distance(one, other, 9.0), 9.0) == pytest.approx(there + back)


def test_phase_metrics_are_independent_of_the_gauge():
    scene = make_scene(missing=0.2)
    truth = truth_as_estimate(scene)
    moved = replace(truth, tx_phase=truth.tx_phase + 2.5 + 7.0, rx_phase=truth.rx_phase + 7.0)
    assert metrics_of(scene, moved).phase_rmse < 1e-12


def test_phase_error_of_one_node_by_hand():
    """One of 6 Tx off by e: on full links, 1/6 of them off by 5/6 of e and the others by 1/6, to first order in e."""
    scene = make_scene()
    truth = truth_as_estimate(scene)
    tx_phase = truth.tx_phase.clone()
    tx_phase[:, 2] += 1e-4
    moved = replace(truth, tx_phase=tx_phase)
    error = phase_error(scene, moved, 0)
    torch.testing.assert_close(error[2], torch.full((5, 2), 5e-4 / 6, dtype=torch.float64), rtol=1e-6, atol=0)
    bound = joint_bound(scene, 0)
    metrics = scene_metrics(scene, moved, 0, bound)
    assert metrics.phase_rmse == pytest.approx(1e-4 * math.sqrt(5) / 6, rel=1e-6)
    assert metrics.phase_efficiency == pytest.approx(metrics.phase_rmse / bound.phase_rms)


def test_channel_error_counts_links_that_exist_alone():
    scene = make_scene(missing=0.3)
    truth = truth_as_estimate(scene)
    assert not scene.link.all()
    wrong = torch.where(scene.link[..., None], 1.1 * truth.prediction, torch.ones_like(truth.prediction))
    assert metrics_of(scene, replace(truth, prediction=wrong)).channel_nmse_db == pytest.approx(-20.0)


def test_residual_is_counted_in_variances_of_the_noise():
    scene = make_scene()
    truth = truth_as_estimate(scene)
    assert metrics_of(scene, replace(truth, residual=3 * scene.noise_variance)).residual == pytest.approx(3.0)
    silent = replace(scene, noise_variance=torch.zeros_like(scene.noise_variance))
    assert math.isnan(metrics_of(silent, truth).residual)


def test_no_finite_bound_gives_no_efficiency():
    scene = make_scene(n_tx=2, n_rx=2, n_scatterers=6)
    estimate = with_positions(truth_as_estimate(scene), [scene.position[0] + 0.001])
    metrics = metrics_of(scene, replace(estimate, tx_phase=estimate.tx_phase * 1.1))
    assert metrics.position_rmse > 0
    assert metrics.phase_rmse > 0
    assert math.isnan(metrics.position_efficiency)
    assert math.isnan(metrics.phase_efficiency)


def test_estimates_in_single_precision_with_gradients_are_measured_in_double():
    scene = make_scene()
    truth = truth_as_estimate(scene)
    prediction = truth.prediction.to(torch.complex64).requires_grad_()
    position = scene.position[0].float().requires_grad_()
    estimate = replace(with_positions(truth, [position]), prediction=prediction, tx_phase=truth.tx_phase.float())
    metrics = metrics_of(scene, estimate)
    assert metrics.success
    assert 0 < metrics.position_rmse < 1e-7
    assert -160 < metrics.channel_nmse_db < -130


def test_node_errors_less_their_gauge_are_the_link_errors():
    """Weighted by their links, the node errors leave no mean on the links: e_tx - e_rx is the link error itself."""
    scene = make_scene(missing=0.3)
    generator = torch.Generator().manual_seed(4)
    tx, rx = (1e-4 * torch.randn(n, 1, generator=generator, dtype=torch.float64).expand(n, 2) for n in (6, 5))
    truth = truth_as_estimate(scene)
    moved = replace(truth, tx_phase=truth.tx_phase + tx + 2.0, rx_phase=truth.rx_phase + rx - 3.0)
    node = node_phase_error(tx + 2.0, rx - 3.0, scene.link[0])
    difference = (node[:6, None] - node[None, 6:])[..., None] * scene.link[0, ..., None]
    torch.testing.assert_close(phase_error(scene, moved, 0), difference.expand(-1, -1, 2), rtol=0, atol=1e-9)


def test_node_without_links_has_no_phase():
    link = torch.ones(3, 2, dtype=torch.bool)
    link[1] = False
    node = node_phase_error(torch.zeros(3, 1), torch.zeros(2, 1), link)
    assert node.isnan().tolist() == [False, True, False, False, False]
