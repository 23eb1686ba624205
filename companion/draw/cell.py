"""The diagram of a cell, as textbooks draw it: from its trace, and checked against its trace.

A box is a layer: what goes in is multiplied by weights, a bias is added, and the function is taken.
Filled, it is a gate, σ. A circle works component by component. Lines that merge go into a box
together; a line that splits is copied; where two cross, one has a gap. The red line is the way on
which a state passes from step to step without going through any box.

The picture is drawn from hand-given places (:mod:`companion.draw.layout`). When it is finished,
what it says is read off it and compared with the trace (:mod:`companion.draw.reading`).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from companion.draw.drawing import Drawing
from companion.draw.graph import Node, graph
from companion.draw.key import KEY, key
from companion.draw.ladder import RELATIVES
from companion.draw.layout import CELLS, Layout, Point
from companion.draw.reading import check
from companion.draw.words import title
from companion.trace import Cell, name_of

LAYOUTS = (*CELLS, *RELATIVES)
BETWEEN = 0.3  # from one cell to the next, in inches


def cell(cell: Cell) -> Figure:
    """The diagram of one cell.

    Raises ValueError when a node of the cell's trace has no place in companion/draw/layout.py, or
    when the finished picture does not show exactly what the trace says.
    """
    return _stack([cell], with_key=False)


def cells(cells: Sequence[Cell]) -> Figure:
    """The diagrams of several cells, one below the other, with a key where there is room for it.

    Side by side their letters would be too small to read on a telephone.
    """
    return _stack(cells, with_key=True)


def _stack(cells: Sequence[Cell], with_key: bool) -> Figure:
    graphs = [graph(cell) for cell in cells]
    layouts = [layout_of(name_of(cell), nodes) for cell, nodes in zip(cells, graphs, strict=True)]
    width = max(layout.size[0] for layout in layouts)
    height = sum(layout.size[1] for layout in layouts) + BETWEEN * (len(layouts) - 1)
    figure = plt.figure(figsize=(width, height))
    figure.set_layout_engine("none")
    top = height
    for cell, nodes, layout in zip(cells, graphs, layouts, strict=True):
        top -= layout.size[1]
        _draw(figure, nodes, layout, (0, top), name_of(cell))
        if with_key and width - layout.size[0] >= KEY[0]:
            key(figure, (width - KEY[0], top + (layout.size[1] - KEY[1]) / 2))
            with_key = False
        top -= BETWEEN
    return figure


def layout_of(name: str, nodes: list[Node]) -> Layout:
    """The layout that has a place for each of the nodes and no other, and the right wires."""
    keys = {node.key for node in nodes}
    fitting = [layout for layout in LAYOUTS if layout.places.keys() == keys]
    for layout in fitting[1:]:  # the same nodes may be wired otherwise: try which it is
        with suppress(ValueError):
            _draw(Figure(layout.size), nodes, layout, (0, 0), name)
            return layout
    if fitting:
        return fitting[0]
    best = min(LAYOUTS, key=lambda layout: (len(keys - layout.places.keys()), len(layout.places)))
    missing = [node.key for node in nodes if node.key not in best.places]
    if missing:
        raise ValueError(
            f"cell {name}: no place for {', '.join(map(repr, missing))}: "
            "give it one in companion/draw/layout.py"
        )
    more = ", ".join(map(repr, sorted(best.places.keys() - keys)))
    raise ValueError(f"cell {name}: a place for {more}, which its trace does not have")


def _draw(figure: Figure, nodes: list[Node], layout: Layout, origin: Point, name: str) -> None:
    """Draw a cell with its lower left corner at the origin, and check what was drawn."""
    width, height = figure.get_size_inches()
    w, h = layout.size
    axis = figure.add_axes((origin[0] / width, origin[1] / height, w / width, h / height))
    axis.set(xlim=(0, w), ylim=(0, h), aspect="equal")
    axis.axis("off")
    Drawing(axis, nodes, layout, title(name)).draw()
    check(axis, nodes, name)
