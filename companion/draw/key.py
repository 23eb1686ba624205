"""What the shapes in a cell's picture mean, for the pictures that have room to say it."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch, PathPatch

from companion.draw.layout import Point
from companion.draw.lettering import ink
from companion.draw.style import COLOURS, MUTED, PAPER, TEXT
from companion.draw.wiring import Line, path

KEY = (1.85, 2.0)  # its width and height, in inches
STEP = 0.36
SIZE = 13


def key(figure: Figure, origin: Point) -> None:
    """Put the key with its lower left corner at the origin."""
    width, height = figure.get_size_inches()
    axis = figure.add_axes((origin[0] / width, origin[1] / height, KEY[0] / width, KEY[1] / height))
    axis.set(xlim=(0, KEY[0]), ylim=(0, KEY[1]), aspect="equal")
    axis.axis("off")
    rows = ["gate, 0 to 1", "tanh layer", "pointwise", "merge", "copy", "state line"]
    for k, text in enumerate(rows):
        y = KEY[1] - STEP * (k + 0.4)
        _sample(axis, k, y)
        box = ink("tanh layer", SIZE)
        axis.text(0.55, y - (box.y0 + box.y1) / 2, text, size=SIZE, color=TEXT)


def _sample(axis: Axes, k: int, y: float) -> None:
    if k < 2:
        axis.add_patch(
            FancyBboxPatch(
                (0.05, y - 0.12),
                0.3,
                0.24,
                boxstyle="round,pad=0,rounding_size=0.06",
                facecolor=PAPER if k else MUTED,
                edgecolor=MUTED,
                linewidth=1.6,
            )
        )
    elif k == 2:
        axis.add_patch(Circle((0.2, y), 0.12, facecolor=PAPER, edgecolor=TEXT, linewidth=1.6))
    elif k == 3:
        _line(axis, [(0.0, y + 0.06), (0.4, y + 0.06)])
        _line(axis, [(0.12, y - 0.14), (0.12, y + 0.06), (0.24, y + 0.06)])
    elif k == 4:
        _line(axis, [(0.0, y - 0.06), (0.4, y - 0.06)])
        _line(axis, [(0.12, y - 0.06), (0.24, y - 0.06), (0.24, y + 0.14)])
    else:
        axis.plot([0, 0.4], [y, y], color=COLOURS["accent"], linewidth=2.8)


def _line(axis: Axes, line: Line) -> None:
    axis.add_patch(PathPatch(path(line, []), facecolor="none", edgecolor=TEXT, linewidth=1.7))
