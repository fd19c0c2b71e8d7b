"""What the outcome of a search says: converged, misfit or trapped, and in which words."""

from __future__ import annotations

import warnings
from dataclasses import replace

import pytest
import torch
from problems import modelled, posed

from unfolded_ogamp.imaging.assembly.outcome import MismatchWarning, Outcome, listing_sentences, sentences, warn
from unfolded_ogamp.imaging.model import Model
from unfolded_ogamp.imaging.problem import Problem
from unfolded_ogamp.imaging.scenes.scenario import Scenario

SCENARIO = Scenario(n_tx=9, n_rx=8, pixels=(8, 8), sparsity=0.05, snr_db=30.0)
FLAGS = [(True, False), (False, True), (False, False), (True, True)]  # consistent, agreed


def searched(known: bool = True, louder: float = 1.0) -> tuple[Problem, Model, Outcome]:
    """Four scenes at the truth, whose searches ended as `FLAGS` says; the residual is `louder` times as strong."""
    *_, problem, truth = posed(SCENARIO, 4, seed=1)
    problem = replace(problem, least_count=torch.full((4,), 2))
    if not known:
        problem = replace(problem, noise_variance=torch.zeros(4, dtype=torch.float64))
    model = modelled(truth, problem)
    model = replace(model, cost=louder * model.cost)
    consistent, agreed = (torch.tensor(part) for part in zip(*FLAGS, strict=True))
    support = torch.full_like(model.sources.position[..., 0], 0.25)
    return problem, model, Outcome.of(model, problem, consistent, agreed, torch.tensor([1, 5, 40, 2]), support)


def test_every_scene_is_converged_a_misfit_or_trapped() -> None:
    _, _, outcome = searched()
    assert outcome.converged.tolist() == [True, False, False, True]
    assert outcome.misfit.tolist() == [False, True, False, False]
    assert outcome.trapped.tolist() == [False, False, True, False]
    assert outcome.support[:, 0].tolist() == [1.0, 0.25, 0.25, 1.0]
    assert bool(outcome.noise_known.all())


def test_without_a_noise_variance_starts_that_agree_have_converged() -> None:
    _, _, outcome = searched(known=False)
    assert not outcome.noise_known.any()
    assert outcome.converged.tolist() == [True, True, False, True]
    assert not outcome.misfit.any()


def test_sentences_say_what_does_not_fit() -> None:
    problem, model, outcome = searched(louder=50.0)
    first, second, third, fourth = sentences(model, problem, outcome)
    assert first == fourth == ()
    (line,) = second
    assert line.startswith("points and noise do not explain the CSI")
    ratio = float(model.cost[1] / problem.n_samples[1] / problem.noise_variance[1])
    assert f"{ratio:.3g} times the noise" in line
    (line,) = third
    assert line.startswith("not converged: trapped, or the CSI is outside the model (40 starts, residual ")
    assert "at most 2 scatterers listed, none certain" in line


def test_a_trapped_scene_whose_residual_fits_is_not_called_a_mismatch() -> None:
    problem, model, outcome = searched()
    _, _, (line,), _ = sentences(model, problem, outcome)
    assert "no other start confirms the fit" in line
    assert "outside the model" not in line


def test_an_unknown_noise_variance_is_named() -> None:
    problem, model, outcome = searched(known=False)
    said = sentences(model, problem, outcome)
    assert [len(lines) for lines in said] == [0, 0, 1, 0]
    assert "residual" not in said[2][0].replace("noise variance unknown", "")


@pytest.mark.parametrize(
    ("counts", "texts"),
    [
        ((0, 0, 0), []),
        ((1, 0, 0), ["does not locate 1 scatterer to"]),
        ((2, 1, 0), ["does not locate 2 scatterers to", "1 echo from outside the region"]),
        ((0, 3, 1), ["3 echoes from outside the region", "1 scatterer and their mirror images"]),
    ],
)
def test_sentences_of_the_list_count(counts: tuple[int, int, int], texts: list[str]) -> None:
    said = listing_sentences(*counts)
    assert len(said) == len(texts)
    for line, text in zip(said, texts, strict=True):
        assert text in line


def test_one_warning_quotes_the_first_scene_with_a_sentence() -> None:
    with pytest.warns(MismatchWarning, match=r"^one; two \(and in 1 more of 4 scenes\)$"):
        warn([(), ("one", "two"), (), ("three",)])
    with pytest.warns(MismatchWarning, match=r"^one \(in one of 2 scenes\)$"):
        warn([(), ("one",)])
    with pytest.warns(MismatchWarning, match="^one$"):
        warn([("one",)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn([(), ()])
