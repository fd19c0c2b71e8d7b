"""One figure of the paper: measured with progress, then written as numbers, table and picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rich.console import Console

from unfolded_ogamp.commands.running import make_folder, progress_bar
from unfolded_ogamp.files import written_at_once
from unfolded_ogamp.imaging.network.unfolded import UnfoldedOGAMP
from unfolded_ogamp.imaging.study.registry import FIGURES, Recipe
from unfolded_ogamp.imaging.study.sweep import Row, Size
from unfolded_ogamp.settings import Settings, at_least, require


@dataclass(frozen=True)
class ReproductionSettings(Settings):
    """Which figure, how much is measured for it, and the seed of its scenes.

    Raises:
        SettingsError: if there is no such figure or size.
    """

    figure: str
    size: str
    seed: Annotated[int, at_least(0)]

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.figure in FIGURES, f"figure must be one of {', '.join(FIGURES)}, got {self.figure!r}")
        sizes = self.recipe.sizes
        require(self.size in sizes, f"size must be one of {', '.join(sizes)}, got {self.size!r}")

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
