"""All figures by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from unfolded_ogamp.imaging.network.unfolded import UnfoldedOGAMP
from unfolded_ogamp.imaging.study import coarse, errata, figure_5, figure_9, success_map
from unfolded_ogamp.imaging.study.figures_6_to_8 import FIGURE_6, FIGURE_7, FIGURE_8
from unfolded_ogamp.imaging.study.sweep import OnProgress, Row, Size, plain_table


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
    "6": Recipe(FIGURE_6.sizes, FIGURE_6.measure, FIGURE_6.draw, FIGURE_6.table),
    "7": Recipe(FIGURE_7.sizes, FIGURE_7.measure, FIGURE_7.draw, FIGURE_7.table),
    "8": Recipe(FIGURE_8.sizes, FIGURE_8.measure, FIGURE_8.draw, FIGURE_8.table),
    "9": Recipe(figure_9.SIZES, figure_9.measure, figure_9.draw, figure_9.table),
    "coarse": Recipe(coarse.SIZES, coarse.measure, coarse.draw),
    "success_map": Recipe(success_map.SIZES, success_map.measure, success_map.draw),
    "errata": Recipe(errata.SIZES, errata.measure, None, errata.table),
}
