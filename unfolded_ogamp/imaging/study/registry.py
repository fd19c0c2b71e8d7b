"""All figures by name."""

from __future__ import annotations

from unfolded_ogamp.imaging.study import coarse, errata, figure_5, figure_6, figure_7, figure_8, figure_9, success_map
from unfolded_ogamp.imaging.study.tables import plain_table
from unfolded_ogamp.system import StudyFigure

FIGURES: dict[str, StudyFigure] = {
    "5": StudyFigure(figure_5.SIZES, figure_5.measure, figure_5.table, figure_5.draw),
    "6": StudyFigure(figure_6.SIZES, figure_6.measure, figure_6.table, figure_6.draw),
    "7": StudyFigure(figure_7.SIZES, figure_7.measure, figure_7.table, figure_7.draw),
    "8": StudyFigure(figure_8.SIZES, figure_8.measure, figure_8.table, figure_8.draw),
    "9": StudyFigure(figure_9.SIZES, figure_9.measure, figure_9.table, figure_9.draw),
    "coarse": StudyFigure(coarse.SIZES, coarse.measure, plain_table, coarse.draw),
    "success_map": StudyFigure(success_map.SIZES, success_map.measure, plain_table, success_map.draw),
    "errata": StudyFigure(errata.SIZES, errata.measure, errata.table),
}
