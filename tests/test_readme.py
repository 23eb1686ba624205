"""The README's figure is the one of the first page."""

from tools.readme import FIGURE, stored


def test_the_readmes_figure_is_the_books():
    assert FIGURE.read_text(encoding="utf-8") == stored()
