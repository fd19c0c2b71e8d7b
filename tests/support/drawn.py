"""Parts of drawn figures: panels by title, marks by label, and whether all is on the page."""

import itertools

from matplotlib.backends.backend_agg import FigureCanvasAgg


def titled(figure, text):
    """The panel with this title."""
    (axes,) = (axes for axes in figure.axes if axes.get_title() == text)
    return axes


def subtitle(axes):
    (text,) = axes.texts
    return text.get_text()


def marks(axes, label=None):
    return [collection for collection in axes.collections if label is None or collection.get_label() == label]


def legend_of(figure):
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def assert_nothing_is_cut_off(figure):
    """Every panel, legend and title lies on the page completely."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    page = figure.bbox.padded(1.0)
    titles = [text for text in (figure._suptitle, figure._supxlabel) if text is not None]
    for artist in (*figure.axes, *figure.legends, *titles):
        box = artist.get_tightbbox(canvas.get_renderer())
        assert page.x0 <= box.x0 <= box.x1 <= page.x1, artist
        assert page.y0 <= box.y0 <= box.y1 <= page.y1, artist


def assert_panels_are_apart(figure):
    renderer = figure.canvas.get_renderer()
    boxes = [axes.get_tightbbox(renderer).padded(-1.0) for axes in figure.axes]
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)
