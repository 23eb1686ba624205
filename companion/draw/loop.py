"""The picture of one loop: a cell that feeds its state back to itself, and the same unrolled."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path

from companion.draw.style import COLOURS, PAPER, TEXT

Point = tuple[float, float]

WIDTH, HEIGHT = 1.1, 0.6  # of a cell, in inches as everything here
ROUND = 0.2  # the radius of the loop's corners


def loop() -> Figure:
    """The loop above, and below it the first three steps of the same network unrolled."""
    figure, axis = plt.subplots(figsize=(6.4, 3.9))
    axis.set(xlim=(0, 6.4), ylim=(0, 3.9), aspect="equal")
    axis.axis("off")
    _feedback(axis, (3.2, 2.75))
    axis.text(4.5, 3.2, "$s_t$", va="center")
    axis.text(1.9, 3.2, "$s_{t-1}$", va="center", ha="right")
    _cell(axis, (3.2, 2.75), "t")
    for k, x in enumerate((1.2, 3.2, 5.2)):
        _arrow(axis, (x - 2 + WIDTH / 2 if k else 0, 0.95), (x - WIDTH / 2, 0.95), "accent")
        axis.text(x - 1, 1.13, f"$s_{k}$", ha="center")
        _cell(axis, (x, 0.95), str(k + 1))
    _arrow(axis, (5.2 + WIDTH / 2, 0.95), (6.4, 0.95), "accent")
    axis.text(6.1, 1.13, "$s_3$", ha="center")
    return figure


def _feedback(axis: Axes, centre: Point) -> None:
    """From the cell's right side over its top into its left side."""
    (x, y), a, top = centre, WIDTH / 2, 0.85
    right, left = x + a + 0.6, x - a - 0.6
    corners = [
        (right, y), (right, y + top), (left, y + top), (left, y),
    ]  # fmt: skip
    around = [(x + a, y), *corners, (x - a, y)]
    points, codes = [around[0]], [Path.MOVETO]
    for before, corner, after in zip(around, around[1:], around[2:], strict=False):
        points += [_towards(corner, before), corner, _towards(corner, after)]
        codes += [Path.LINETO, Path.CURVE3, Path.CURVE3]
    path = Path([*points, around[-1]], [*codes, Path.LINETO])
    axis.add_patch(FancyArrowPatch(path=path, **_ARROW, color=COLOURS["accent"]))


def _towards(start: Point, end: Point) -> Point:
    """The point ROUND away from start on the way to end; the way is along an axis."""
    length = abs(end[0] - start[0]) + abs(end[1] - start[1])
    return tuple(s + ROUND * (e - s) / length for s, e in zip(start, end, strict=True))  # type: ignore[return-value]


def _cell(axis: Axes, centre: Point, t: str) -> None:
    x, y = centre
    box = FancyBboxPatch(
        (x - WIDTH / 2, y - HEIGHT / 2),
        WIDTH,
        HEIGHT,
        boxstyle="round,pad=0,rounding_size=0.1",
        facecolor=PAPER,
        edgecolor=TEXT,
        linewidth=1.6,
        zorder=3,
    )
    axis.add_patch(box)
    axis.text(x, y, "cell", ha="center", va="center", zorder=4)
    _arrow(axis, (x, y - HEIGHT / 2 - 0.6), (x, y - HEIGHT / 2), "data")
    axis.text(x + 0.15, y - HEIGHT / 2 - 0.45, f"$x_{t}$", va="center")


_ARROW: dict[str, Any] = {
    "arrowstyle": "-|>",
    "mutation_scale": 16,
    "linewidth": 2,
    "shrinkA": 0,
    "shrinkB": 0,
}


def _arrow(axis: Axes, start: Point, end: Point, colour: str) -> None:
    axis.add_patch(FancyArrowPatch(start, end, **_ARROW, color=COLOURS[colour]))
