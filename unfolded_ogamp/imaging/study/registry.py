"""All figures of the study by name."""

from __future__ import annotations

from unfolded_ogamp.imaging.study import coarse, errata, figure_5, figure_9, success_map
from unfolded_ogamp.imaging.study.figures_6_to_8 import FIGURE_6, FIGURE_7, FIGURE_8
from unfolded_ogamp.imaging.study.sweep import plain_table
from unfolded_ogamp.system import StudyFigure

FIGURES: dict[str, StudyFigure] = {
    "5": StudyFigure(figure_5.SIZES, figure_5.measure, figure_5.table, figure_5.draw),
    "6": StudyFigure(FIGURE_6.sizes, FIGURE_6.measure, FIGURE_6.table, FIGURE_6.draw),
    "7": StudyFigure(FIGURE_7.sizes, FIGURE_7.measure, FIGURE_7.table, FIGURE_7.draw),
    "8": StudyFigure(FIGURE_8.sizes, FIGURE_8.measure, FIGURE_8.table, FIGURE_8.draw),
    "9": StudyFigure(figure_9.SIZES, figure_9.measure, figure_9.table, figure_9.draw),
    "coarse": StudyFigure(coarse.SIZES, coarse.measure, plain_table, coarse.draw),
    "success_map": StudyFigure(success_map.SIZES, success_map.measure, plain_table, success_map.draw),
    "errata": StudyFigure(errata.SIZES, errata.measure, errata.table),
}
