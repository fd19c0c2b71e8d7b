"""One figure of the paper: measured with progress, then written as numbers, table and picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from unfolded_ogamp.commands.failure import CommandError
from unfolded_ogamp.commands.running import make_folder, progress_bar
from unfolded_ogamp.files import written_at_once
from unfolded_ogamp.imaging.network.unfolded import UnfoldedOGAMP
from unfolded_ogamp.imaging.study.registry import FIGURES, Recipe
from unfolded_ogamp.imaging.study.sweep import Row, Size


@dataclass(frozen=True)
class ReproductionSettings:
    """Which figure, how much is measured for it, and the seed of its scenes.

    Raises:
        CommandError: if there is no such figure or size, or the seed is no whole number of at least 0.
    """

    figure: str
    size: str
    seed: int

    def __post_init__(self) -> None:
        _expect_one_of("figure", self.figure, list(FIGURES))
        _expect_one_of("size", self.size, list(self.recipe.sizes))
        if type(self.seed) is not int or self.seed < 0:
            raise CommandError(f"seed: expected a whole number of at least 0, found {self.seed!r}")

    @property
    def recipe(self) -> Recipe:
        return FIGURES[self.figure]

    @property
    def amount(self) -> Size:
        """How much is measured."""
        return self.recipe.sizes[self.size]

    @property
    def stem(self) -> str:
        """Name of the files, such as figure_6."""
        return f"figure_{self.figure}" if self.figure.isdigit() else self.figure


def run_reproduction(
    settings: ReproductionSettings, network: UnfoldedOGAMP, output: Path, console: Console
) -> list[Row]:
    """Measure one figure and write `output`/figure_6.csv, figure_6.md and figure_6.png, or what it is called."""
    make_folder(output)
    recipe = settings.recipe
    with progress_bar(console) as progress:
        task = progress.add_task(settings.stem)
        rows = recipe.measure(
            settings.amount,
            settings.seed,
            network,
            lambda done, total: progress.update(task, completed=done, total=total),
        )
    contents = {"csv": as_csv(rows).encode(), "md": recipe.table(rows).encode()}
    if recipe.draw is not None:
        picture = io.BytesIO()
        recipe.draw(rows).savefig(picture, format="png", dpi=70)
        contents["png"] = picture.getvalue()
    for suffix, content in contents.items():
        path = output / f"{settings.stem}.{suffix}"
        with written_at_once(path) as temporary:
            temporary.write_bytes(content)
        console.print(str(path), markup=False, soft_wrap=True)
    return rows


def as_csv(rows: Sequence[Row]) -> str:
    """A line per row; a field that a row does not have is empty."""
    header = list(dict.fromkeys(key for row in rows for key in row))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, header, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _expect_one_of(key: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise CommandError(f"{key}: expected one of {', '.join(known)}, found {value!r}")
