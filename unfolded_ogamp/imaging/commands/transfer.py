"""Transfer: train a network on every scenario with the same recipe, and test each on every scenario."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from unfolded_ogamp.commands.evaluate import EvaluationSettings, compare_estimators, drawn
from unfolded_ogamp.commands.running import make_folder, progress_bar, set_threads, show
from unfolded_ogamp.errors import InputError
from unfolded_ogamp.evaluation.compare import Row, Summary, summarise
from unfolded_ogamp.evaluation.report import write_results
from unfolded_ogamp.export import export_network
from unfolded_ogamp.files import written_at_once
from unfolded_ogamp.imaging.figures.transfer import transfer_figure
from unfolded_ogamp.imaging.network.loss import LossSettings
from unfolded_ogamp.imaging.network.settings import NetworkSettings
from unfolded_ogamp.imaging.scenes.mixture import Mixture
from unfolded_ogamp.imaging.scenes.scenario import Scenario
from unfolded_ogamp.imaging.score import COLUMNS, SCORING
from unfolded_ogamp.pretrained import ExportDetails, PretrainedError, load_details, load_pretrained
from unfolded_ogamp.provenance import hashes, provenance
from unfolded_ogamp.settings import Settings, at_least
from unfolded_ogamp.system import Network, System, system
from unfolded_ogamp.training.datamodule import DataSettings, SceneDataModule
from unfolded_ogamp.training.module import OptimiserSettings, UnfoldedModule
from unfolded_ogamp.training.run import RunSettings, fit_quietly

UNTRAINED, MIXTURE = "untrained", "mixture"


@dataclass(frozen=True)
class Recipe(Settings):
    """The settings that all networks share; `run.output` is their folder."""

    network: NetworkSettings
    loss: LossSettings
    optimiser: OptimiserSettings
    data: DataSettings
    run: RunSettings

    @property
    def steps(self) -> int:
        """Training steps of one network."""
        return self.run.epochs * self.data.batches_per_epoch

    def module(self) -> UnfoldedModule:
        """The module to train, with the same initial weights every time."""
        return UnfoldedModule(system("imaging"), self.network, self.loss, self.optimiser, self.data.seed)

    def plain(self) -> dict[str, Any]:
        """Plain values without the folder, which does not affect the network."""
        values = asdict(self)
        del values["run"]["output"]
        return values


@dataclass(frozen=True, kw_only=True)
class Options(EvaluationSettings):
    """See `conf/transfer.yaml`."""

    scenarios: Sequence[str]
    mixture: str
    threads: Annotated[int, at_least(1)] | None
    recipe: Recipe


def run(system: System, options: Options, console: Console) -> None:
    """Train the missing networks, and test all."""
    set_threads(options.threads)
    scenarios = [system.scenario(name, "scenarios") for name in options.scenarios]
    run_transfer(scenarios, system.source(options.mixture), options.recipe, options.evaluation, console)


def run_transfer(
    scenarios: Sequence[Scenario], mixture: Mixture, recipe: Recipe, settings: EvaluationSettings, console: Console
) -> list[Row]:
    """Train a network on every scenario and one on a mixture, and test them, and the untrained one, on all scenarios.

    Shows the matrix, and writes results.json, transfer.png and the networks to `recipe.run.output`.

    Raises:
        InputError: if a scenario comes twice, or is named as one of the other two networks.
    """
    names = [UNTRAINED, *(scenario.name for scenario in scenarios), MIXTURE]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"scenarios: expected names of their own, found {name} twice")
    output = Path(recipe.run.output)
    make_folder(output)
    sources = {scenario.name: scenario for scenario in scenarios} | {MIXTURE: mixture}
    networks = {UNTRAINED: recipe.module().network.eval().requires_grad_(False)}
    networks |= trained_networks(sources, recipe, console)
    rows = compare_estimators(networks, drawn(scenarios, settings), SCORING, settings, console)
    summaries = summarise(rows)
    console.print(transfer_table(summaries))
    write_results(rows, output / "results.json", asdict(settings) | {"recipe": recipe.plain()}, hashes(networks))
    with written_at_once(output / "transfer.png") as path:
        transfer_figure(summaries).savefig(path, format="png", dpi=80)
    for name in ("results.json", "transfer.png"):
        show(console, output / name)
    return rows


def trained_networks(sources: Mapping[str, Scenario | Mixture], recipe: Recipe, console: Console) -> dict[str, Network]:
    """A network for every source; a network in the folder with the same recipe and source is reused."""
    folders = {name: Path(recipe.run.output) / name for name in sources}
    origins = {name: _origin(source, recipe) for name, source in sources.items()}
    missing = [name for name in sources if not _is_there(folders[name], origins[name])]
    with progress_bar(console) as progress:
        task = progress.add_task("", total=recipe.steps * len(missing))
        for name in missing:
            progress.update(task, description=f"training on {name}")
            data = SceneDataModule(sources[name], sources[name], recipe.data)
            start = time.monotonic()
            network = fit_quietly(recipe.module(), data, recipe.run, lambda: progress.advance(task))
            seconds = time.monotonic() - start
            details = ExportDetails(origins[name], recipe.data.seed, provenance(), seconds, measured={})
            export_network(network, folders[name], details)
            console.print(f"{name}: {recipe.steps} steps in {seconds:.0f} s", markup=False, highlight=False)
    return {name: load_pretrained(folder) for name, folder in folders.items()}


def transfer_table(summaries: Sequence[Summary]) -> Table:
    """A line per network, a column per scenario: success, its interval, and the median of position over bound."""
    rows, columns = (list(dict.fromkeys(getattr(s, key) for s in summaries)) for key in ("estimator", "scenario"))
    cells = {(summary.estimator, summary.scenario): _cell(summary) for summary in summaries}
    title = f"success [95 % interval] in %, median position over bound; {summaries[0].n_scenes} scenes each"
    table = Table("trained on", title=escape(title), box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(row, *(escape(cells[row, column]) for column in columns))
    return table


def _cell(summary: Summary) -> str:
    success, position = (summary.statistics[name] for name in ("success", "position_efficiency"))
    low, high = (f"{100 * bound:.0f}" for bound in (success.low, success.high))
    return f"{100 * success.mean:.0f}\n[{low}, {high}]\n{COLUMNS['position_efficiency'].number(position.median)}"


def _origin(source: Scenario | Mixture, recipe: Recipe) -> dict[str, Any]:
    """Source and recipe as read back from a JSON file."""
    return dict(json.loads(json.dumps({"source": asdict(source), **recipe.plain()})))


def _is_there(folder: Path, origin: Mapping[str, Any]) -> bool:
    try:
        return load_details(folder).trained_on == origin
    except PretrainedError:
        return False
