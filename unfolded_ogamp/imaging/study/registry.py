"""All figures by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from unfolded_ogamp.imaging.network.unfolded import UnfoldedOGAMP
from unfolded_ogamp.imaging.study import coarse, errata, figure_5, figure_6, figure_7, figure_8, figure_9, success_map
from unfolded_ogamp.imaging.study.sweep import OnProgress, Row, Size
from unfolded_ogamp.imaging.study.tables import plain_table


@dataclass(frozen=True)
class Recipe:
    """How a figure is made.

    Attributes:
        sizes: how much is measured, by the name of the size.
        measure: rows from a size, a seed, the unfolded network and a callback on progress.
        draw: the figure of these rows; None where a table is all.
        table: the rows in Markdown.
    """

    sizes: Mapping[str, Size]
    measure: Callable[[Size, int, UnfoldedOGAMP, OnProgress | None], list[Row]]
    draw: Callable[[Sequence[Row]], Figure] | None
    table: Callable[[Sequence[Row]], str] = plain_table


FIGURES: dict[str, Recipe] = {
    "5": Recipe(figure_5.SIZES, figure_5.measure, figure_5.draw, figure_5.table),
    "6": Recipe(figure_6.SIZES, figure_6.measure, figure_6.draw, figure_6.table),
    "7": Recipe(figure_7.SIZES, figure_7.measure, figure_7.draw, figure_7.table),
    "8": Recipe(figure_8.SIZES, figure_8.measure, figure_8.draw, figure_8.table),
    "9": Recipe(figure_9.SIZES, figure_9.measure, figure_9.draw, figure_9.table),
    "coarse": Recipe(coarse.SIZES, coarse.measure, coarse.draw),
    "success_map": Recipe(success_map.SIZES, success_map.measure, success_map.draw),
    "errata": Recipe(errata.SIZES, errata.measure, None, errata.table),
}
