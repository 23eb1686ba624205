"""One look for every figure of the book: the colours, their dark twins, and the plot style.

The colours were chosen by measuring, not by eye. Each of them has a contrast of at least 3:1
against its paper, light and dark; any two stay apart under the three kinds of colour blindness;
and the three cells differ by at least 19 steps of lightness, so that a grey print keeps them
apart too (on the dark paper by 13). tests/test_draw_style.py measures it again.
"""

from __future__ import annotations

import sys

PAPER = "#ffffff"
TEXT = "#24242b"
MUTED = "#5c5c66"
GRID = "#dcdce2"

COLOURS = {
    "rnn": "#c77a14",
    "lstm": "#1f53c0",
    "gru": "#4a0d59",
    "data": "#80808e",
    "baseline": "#1f9460",
    "accent": "#a81422",
}
"""The colour of each thing that is drawn: one meaning in every figure."""

LINES = {"rnn": "--", "lstm": "-", "gru": ":", "data": "-", "baseline": "-.", "accent": "-"}
"""The line style that goes with each colour, for those who see or print no colours."""

INK = {
    PAPER: "#121212",
    TEXT: "#e4e4e8",
    MUTED: "#a3a3ad",
    GRID: "#35353b",
    COLOURS["rnn"]: "#c9742c",
    COLOURS["lstm"]: "#7ab0f5",
    COLOURS["gru"]: "#f5d9f4",
    COLOURS["data"]: "#9b9ba8",
    COLOURS["baseline"]: "#46cf88",
    COLOURS["accent"]: "#dd4a5c",
}
"""Every colour that a figure may use, and what it becomes on the dark paper."""


def use_style() -> None:
    """Set matplotlib to the book's style. A notebook calls it once, in its first code cell.

    Anything set before, also by a reader's own matplotlib settings, is reset, and every figure
    comes out the same, byte for byte, each time. In a notebook, a figure is stored twice: as SVG
    for the site and as PNG for print. Both carry their own white paper, so that they can be read
    in a viewer with a dark theme; the site gives the SVG's paper and inks their dark twins.
    """
    import matplotlib
    from cycler import cycler

    matplotlib.rcdefaults()
    matplotlib.rcParams.update(
        {
            # Wide and low; 13 points are 10 pixels high where a telephone scales the figure down.
            "figure.figsize": (6.4, 3.2),
            "figure.dpi": 120,
            "figure.constrained_layout.use": True,
            "figure.facecolor": PAPER,
            "font.size": 13,
            "axes.titlesize": 13,
            "xtick.labelsize": 12,
            "ytick.labelsize": 12,
            "legend.fontsize": 12,
            "text.color": TEXT,
            "axes.labelcolor": TEXT,
            "xtick.labelcolor": TEXT,
            "ytick.labelcolor": TEXT,
            "axes.edgecolor": MUTED,
            "xtick.color": MUTED,
            "ytick.color": MUTED,
            "patch.edgecolor": PAPER,
            "hatch.color": TEXT,
            "axes.facecolor": "none",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": GRID,
            "lines.linewidth": 2,
            "lines.dotted_pattern": (1, 1.2),
            "axes.prop_cycle": cycler(color=COLOURS.values()),
            "legend.facecolor": PAPER,
            "legend.edgecolor": "none",
            "legend.handlelength": 2.5,
            # The same numbers give the same file: ids from content, text as outlines, no point
            # of a line left out.
            "svg.hashsalt": "companion",
            "svg.fonttype": "path",
            "path.simplify": False,
        }
    )
    ipython = sys.modules.get("IPython")
    if ipython is not None and ipython.get_ipython() is not None:
        from matplotlib_inline.config import InlineBackend

        backend = InlineBackend.instance()
        # The layout already fits the figure: trimming it would change its size, and so its text.
        kwargs = {"bbox_inches": None, "metadata": {"Date": None, "Creator": None}}
        backend.set_trait("print_figure_kwargs", kwargs)
        backend.figure_formats = {"svg", "png"}
