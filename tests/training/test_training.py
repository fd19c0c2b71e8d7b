"""Losses, the training run and the way from a checkpoint to an exported network."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from problems import modelled, pose_scene

from unfolded_ogamp.bounds.imaging import joint_bound
from unfolded_ogamp.export import export_network
from unfolded_ogamp.imaging.model import Model
from unfolded_ogamp.imaging.network.loss import (
    LossSettings,
    block_errors,
    competition_loss,
    log_error,
    refinement_loss,
    saturated,
    total_loss,
)
from unfolded_ogamp.imaging.network.settings import NetworkSettings
from unfolded_ogamp.imaging.network.unfolded import UnfoldedOGAMP
from unfolded_ogamp.imaging.ogamp.alternating import AlternatingEstimator
from unfolded_ogamp.imaging.ogamp.presets import PRESETS
from unfolded_ogamp.imaging.ogamp.screening import ScreenedState
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.scenes.mixture import Component, Mixture
from unfolded_ogamp.imaging.scenes.sampler import draw
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.physics import Csi, Scene
from unfolded_ogamp.pretrained import load_pretrained
from unfolded_ogamp.system import system
from unfolded_ogamp.training.checkpoint import CheckpointError, load_checkpoint
from unfolded_ogamp.training.datamodule import DataSettings, SceneDataModule
from unfolded_ogamp.training.module import OptimiserSettings, UnfoldedModule
from unfolded_ogamp.training.run import RunSettings, fit, fit_quietly

TINY = Scenario(name="tiny", n_tx=8, n_rx=8, pixels=(7, 7), sparsity=0.06)


def final_state(scene: Scene, csi: Csi, blocks: int) -> ScreenedState:
    network = UnfoldedOGAMP(NetworkSettings(blocks=blocks, first_exit=1)).double()
    posed = network.pose(csi, scene.array, scene.grid)
    *_, last = network.states(posed.problem, posed.search_grid, posed.phases)
    return last


def test_phase_loss_is_the_logarithm_of_the_rms_error_and_gauge_free() -> None:
    scene, csi = draw(TINY, 2, torch.Generator().manual_seed(0))
    settings = LossSettings(phase_floor=1e-3)
    state = final_state(scene, csi, 1)
    phases = replace(state.phases, tx=scene.tx_phase[..., :1] + 0.3, rx=scene.rx_phase[..., :1] - 1.1)
    exact = replace(state, phases=phases)
    assert block_errors(exact, scene, settings).phase.abs().max() < 1e-6
    tilt = torch.zeros_like(phases.tx)
    tilt[:, 0], tilt[:, 1] = 0.04, -0.04  # a link error of 0.04 on a quarter of the links
    expected = 0.5 * math.log1p(0.25 * 0.04**2 / 1e-6)
    wrong = block_errors(replace(exact, phases=replace(phases, tx=phases.tx + tilt)), scene, settings).phase
    torch.testing.assert_close(wrong, torch.full_like(wrong, expected), rtol=1e-3, atol=0)


def test_image_losses_see_false_missed_and_misplaced_scatterers() -> None:
    """A correct state has a lower loss than one with a scatterer too many, too few, or 5 mm off."""
    scene, csi = draw(TINY, 1, torch.Generator().manual_seed(1))
    settings = LossSettings(position_floor=1e-3, false_alarm=1.0)
    state = final_state(scene, csi, 1)
    centre = scene.grid.centre[:, : state.position.shape[1]]
    state = replace(state, candidates=replace(state.candidates, centre=centre))
    distance = (scene.position[:, :, None] - centre[:, None]).norm(dim=-1)
    home = distance.argmin(-1)[0]
    shape = state.imaging.messages.posterior.log_odds.shape

    def with_image(log_odds: torch.Tensor, shift: float) -> ScreenedState:
        offset = torch.zeros_like(state.imaging.offset)
        offset[0, home] = scene.position[0] - centre[0, home] + torch.tensor([shift, 0.0])
        active = torch.zeros(shape, dtype=torch.complex128)
        active[:, 0] = 1.0
        posterior = replace(state.imaging.messages.posterior, log_odds=log_odds.expand(shape), active_mean=active)
        messages = replace(state.imaging.messages, posterior=posterior)
        return replace(state, imaging=replace(state.imaging, messages=messages, offset=offset))

    right = torch.full(shape[-1:], -20.0, dtype=torch.float64)
    right[home] = 20.0
    missed, false = right.clone(), right.clone()
    missed[home[0]] = -20.0
    false[distance.amin(1).argmax()] = 20.0  # the candidate that is furthest from all scatterers
    best = block_errors(with_image(right, 0.0), scene, settings)
    assert best.position < 1e-4
    assert best.detection < 1e-6
    for log_odds in (missed, false):
        assert block_errors(with_image(log_odds, 0.0), scene, settings).detection > 0.3
    off = block_errors(with_image(right, 5e-3), scene, settings).position
    wavelength = float(scene.array.wavelength)
    torch.testing.assert_close(off, log_error(torch.full((1,), 25e-6).double(), 1e-3 * wavelength), rtol=1e-3, atol=0)


def at_truth(scene: Scene, csi: Csi) -> tuple[Problem, Model]:
    *_, problem, truth = pose_scene(scene, csi, expected_count=1.0)
    return problem, modelled(truth, problem)


def test_errors_at_the_end_are_in_units_of_the_bound() -> None:
    """An error of one bound in one of n scatterers costs log(2) / 2 / n, and exact phases cost nothing."""
    scene, csi = draw(TINY, 3, torch.Generator().manual_seed(4))
    _, state = at_truth(scene, csi)
    settings = LossSettings()
    assert float(refinement_loss(state, scene, settings).max()) < 1e-6
    rms = torch.stack([joint_bound(scene, index).position_std[0].norm() for index in range(3)])
    shift = torch.zeros_like(scene.position)
    shift[:, 0, 0] = rms
    off = replace(state, sources=replace(state.sources, position=scene.position + shift))
    n_scatterers = scene.position.shape[1]
    expected = torch.full((3,), 0.5 * math.log(2) / n_scatterers).double()
    torch.testing.assert_close(refinement_loss(off, scene, settings), expected, rtol=1e-3, atol=0)


def test_the_nearest_source_of_a_scatterer_is_right_and_all_others_are_wrong() -> None:
    scene, csi = draw(TINY, 1, torch.Generator().manual_seed(5))
    _, state = at_truth(scene, csi)
    beside = scene.position[:, :1] + 0.05 * scene.array.wavelength[:, None, None]
    sources = replace(
        state.sources,
        position=torch.cat([scene.position, beside], 1),
        used=torch.cat([state.sources.used, state.sources.used[:, :1]], 1),
    )
    twice = replace(state, sources=sources)
    right = torch.full((1, scene.position.shape[1] + 1), 9.0).double()
    right[:, -1] = -9.0
    settings = LossSettings()
    assert float(competition_loss(right, twice, scene, settings)) == pytest.approx(math.log1p(math.exp(-9)))
    n_sources = right.shape[1]
    expected = (9 * n_sources + n_sources * math.log1p(math.exp(-9))) / n_sources
    assert float(competition_loss(-right, twice, scene, settings)) == pytest.approx(expected)


def test_the_loss_of_failed_scenes_saturates() -> None:
    loss = torch.tensor([0.01, 3.0, 3000.0], requires_grad=True)
    saturated(loss, LossSettings(saturation=3.0)).sum().backward()
    torch.testing.assert_close(loss.grad, torch.tensor([1 / 1.00333**2, 0.25, 1 / 1001.0**2]), rtol=1e-3, atol=0)


def test_later_blocks_weigh_more() -> None:
    scene, csi = draw(TINY, 2, torch.Generator().manual_seed(2))
    settings = LossSettings(growth=3.0)
    good, bad = block_errors(final_state(scene, csi, 10), scene, settings), None
    bad = replace(good, phase=good.phase + 1.0)
    difference = total_loss([good, bad], settings) - total_loss([bad, good], settings)
    torch.testing.assert_close(difference, torch.full_like(difference, (3.0 - 1.0) / (3.0 + 1.0)))


def modules(workers: int = 0) -> tuple[UnfoldedModule, SceneDataModule]:
    mixture = Mixture([Component(TINY, ranges={"nodes": (6, 8), "snr_db": (15.0, 25.0)})])
    data = SceneDataModule(mixture, TINY, DataSettings(7, 2, 3, 1, workers))
    return module(), data


def module() -> UnfoldedModule:
    settings = NetworkSettings(blocks=2), LossSettings(), OptimiserSettings(warm_up=1)
    return UnfoldedModule(system("imaging"), *settings, seed=0)


def train(folder: Path, epochs: int, resume: Path | None = None, workers: int = 0) -> Path:
    module, data = modules(workers=workers)
    classic = AlternatingEstimator(replace(PRESETS["og_amp"](), blocks=2))
    settings = RunSettings(str(folder), epochs, accelerator="cpu", resume=None if resume is None else str(resume))
    return fit(module, data, classic, settings)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("run"), epochs=2)


@pytest.mark.filterwarnings("ignore:The dirpath has changed")  # the run continues in another folder
def test_interrupted_and_resumed_training_gives_the_bits_of_an_uninterrupted_one(
    checkpoint: Path, tmp_path: Path
) -> None:
    resumed = train(tmp_path, epochs=2, resume=checkpoint.parent / "epoch_000.ckpt", workers=2)
    whole, parts = (torch.load(path, weights_only=True)["state_dict"] for path in (checkpoint, resumed))
    assert whole.keys() == parts.keys()
    for name, tensor in whole.items():
        assert torch.equal(tensor, parts[name]), name
    assert any(tensor != 0 for tensor in whole.values())


def test_a_run_refuses_the_folder_of_another_run(checkpoint: Path) -> None:
    before = sorted(checkpoint.parent.iterdir())
    with pytest.raises(FileExistsError, match="found those of a run in"):
        train(checkpoint.parents[1], epochs=1)
    assert sorted(checkpoint.parent.iterdir()) == before


def test_a_quiet_run_gives_the_same_bits_and_leaves_no_files(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    done: list[int] = []
    settings = RunSettings(str(tmp_path / "run"), epochs=2, accelerator="cpu")
    network = fit_quietly(*modules(), settings, lambda: done.append(1))
    assert len(done) == 2 * 3
    for name, tensor in load_checkpoint(checkpoint)[0].state_dict().items():
        assert torch.equal(network.state_dict()[name], tensor), name
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr().out == ""


def test_checkpoint_and_exported_folder_give_the_same_estimate_bit_for_bit(checkpoint: Path, tmp_path: Path) -> None:
    network, details = load_checkpoint(checkpoint)
    assert details.seed == 7
    assert details.training_time > 0
    export_network(network, tmp_path / "net", details)
    scene, csi = draw(TINY, 2, torch.Generator().manual_seed(3))
    scene, csi = scene.to(torch.float32), csi.to(torch.float32)
    one = network(csi, scene.array, scene.grid)
    other = load_pretrained(tmp_path / "net")(csi, scene.array, scene.grid)
    assert torch.equal(one.prediction, other.prediction)
    assert torch.equal(one.tx_phase, other.tx_phase)
    untrained = UnfoldedOGAMP(network.settings)(csi, scene.array, scene.grid)
    assert not torch.equal(one.prediction, untrained.prediction)


def test_a_file_that_is_no_checkpoint_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="expected a checkpoint file, found none"):
        load_checkpoint(tmp_path / "nothing.ckpt")
    (tmp_path / "text.ckpt").write_text("not a checkpoint")
    with pytest.raises(CheckpointError, match=r"expected a checkpoint of scripts/train.py") as caught:
        load_checkpoint(tmp_path / "text.ckpt")
    assert "\n" not in str(caught.value)


def test_a_gradient_that_is_not_finite_changes_nothing() -> None:
    trained = module()
    optimiser = torch.optim.Adam(trained.parameters())
    for parameter in trained.parameters():
        parameter.grad = torch.full_like(parameter, torch.nan)
    trained.on_before_optimizer_step(optimiser)
    optimiser.step()
    for (name, parameter), other in zip(trained.named_parameters(), module().parameters(), strict=True):
        assert torch.equal(parameter, other), name
