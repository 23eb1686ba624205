"""How one cell is put on paper: its outline, its wires, its boxes and circles."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.patches import Circle, FancyBboxPatch, PathPatch, Polygon

from companion.draw import lettering
from companion.draw.graph import Node
from companion.draw.layout import Layout, Point
from companion.draw.style import COLOURS, PAPER, TEXT
from companion.draw.wiring import HEAD, Line, crossings, path, position, switched, towards

BOX = (0.58, 0.54)  # width and height of a layer's box, in inches as everything here
PILL = (0.58, 0.3)  # of a function without weights
RADIUS = 0.155  # of a circle
PORT = 0.115  # of the circle with a + where a wire is added to a layer's sum
LETTER, OUTER, TITLE = 17, 17, 15  # sizes of letters, of labels outside and of the name, in points
SIZES = {"σ": 15}  # of the functions, else SMALL
SMALL = 13


class Drawing:
    """One cell on its axis."""

    def __init__(self, axis: Axes, nodes: list[Node], layout: Layout, title: str) -> None:
        self.axis, self.nodes, self.layout, self.title = axis, nodes, layout, title
        self.ink = COLOURS[layout.family]
        self.node = {node.key: node for node in nodes}

    def draw(self) -> None:
        left, bottom, right, top = self.layout.frame
        self.axis.add_patch(
            FancyBboxPatch(
                (left, bottom),
                right - left,
                top - bottom,
                boxstyle="round,pad=0,rounding_size=0.22",
                facecolor=to_rgba(self.ink, 0.07),
                edgecolor=self.ink,
                linewidth=1.6,
                gid="frame",
            )
        )
        self.axis.text(
            left + 0.04, top + 0.11, self.title, size=TITLE, weight="bold", color=self.ink
        )
        self._wires()
        for node in self.nodes:
            place = self.layout.places[node.key]
            {
                "layer": self._layer,
                "function": self._function,
                "circle": self._circle,
                "source": self._terminal,
                "sink": self._terminal,
            }[node.kind](node, place)

    # Wires.

    def _wires(self) -> None:
        wires = self.layout.wires
        lines = [self._line(wire) for wire in wires]
        lines = switched(
            lines,
            [not isinstance(wire[0], str) for wire in wires],
            [not isinstance(wire[-1], str) for wire in wires],
        )
        carried = [self._carried(wire[0], wire[-1]) for wire in wires]
        inputs = self._inputs(lines)
        for k, (wire, line) in enumerate(zip(wires, lines, strict=True)):
            over = [other for m, other in enumerate(lines) if self._is_over(m, k, carried, lines)]
            gaps = [point for other in over for point in crossings(line, other)]
            colour = COLOURS["accent"] if carried[k] else COLOURS["data"] if inputs[k] else TEXT
            if isinstance(wire[-1], str):
                self._head(line, colour)
                line = [*line[:-1], towards(line[-1], line[-2], HEAD)]
            self.axis.add_patch(
                PathPatch(
                    path(line, gaps),
                    facecolor="none",
                    edgecolor=colour,
                    linewidth=2.8 if carried[k] else 1.7,
                    capstyle="butt",
                    joinstyle="round",
                    zorder=3 if carried[k] else 2,
                    gid="wire",
                )
            )

    def _line(self, wire: tuple[Any, ...]) -> Line:
        """The stops as points; at a node, the wire ends on its outline."""
        line = [self.layout.places[stop] if isinstance(stop, str) else stop for stop in wire]
        for end, next_ in ((0, 1), (-1, -2)):
            if isinstance(wire[end], str):
                reach = self._reach(self.node[wire[end]], line[end], line[next_])
                line[end] = towards(line[end], line[next_], reach)
        return line

    def _reach(self, node: Node, place: Point, other: Point) -> float:
        """How far the outline of a node is from its centre, in the direction of the other point."""
        if node.kind in ("source", "sink"):
            return 0.02
        if node.kind == "circle":
            return RADIUS
        width, height = BOX if node.kind == "layer" else PILL
        upright = place[0] == other[0]
        port = 2 * PORT if node.added and not upright else 0
        return (height if upright else width) / 2 + port

    def _carried(self, start: Any, end: Any) -> bool:
        """Whether a state passes here to the next step, through circles only."""

        def backwards(node: Node) -> set[tuple[str, str]]:
            steps = {(into.key, node.key) for into in node.inputs}
            return steps.union(*(backwards(i) for i in node.inputs if i.kind == "circle"))

        def forwards(key: str, steps: set[tuple[str, str]]) -> set[tuple[str, str]]:
            ways = {step for step in steps if step[0] == key}
            return ways.union(*(forwards(step[1], steps) for step in ways))

        for sink in self.nodes:
            if sink.kind == "sink" and sink.key.startswith("next "):
                steps = backwards(sink)
                if (start, end) in forwards(sink.key.removeprefix("next "), steps):
                    return True
        return False

    def _inputs(self, lines: list[Line]) -> list[bool]:
        """Which of the wires carry an input and nothing else."""
        wires = self.layout.wires
        found = [
            isinstance(w[0], str) and self.node[w[0]].kind == "source" and w[0].startswith("x")
            for w in wires
        ]
        for _ in wires:
            for k, wire in enumerate(wires):
                if not isinstance(wire[0], str):
                    found[k] = any(
                        ok and position(wire[0], line) is not None
                        for ok, line in zip(found, lines, strict=True)
                    )
        return found

    def _is_over(self, m: int, k: int, carried: list[bool], lines: list[Line]) -> bool:
        """Whether wire m passes over wire k: the carried state does, else the level one."""
        if m == k or carried[k]:
            return False
        return carried[m] or any(
            a[1] == b[1] and crossings(lines[k], [a, b])
            for a, b in zip(lines[m], lines[m][1:], strict=False)
        )

    def _head(self, line: Line, colour: str) -> None:
        tip, back = line[-1], towards(line[-1], line[-2], HEAD * 1.15)
        dx, dy = (tip[1] - back[1]) * 0.43, (back[0] - tip[0]) * 0.43
        corners = [tip, (back[0] + dx, back[1] + dy), (back[0] - dx, back[1] - dy)]
        self.axis.add_patch(
            Polygon(corners, closed=True, color=colour, linewidth=0, zorder=4, gid="head")
        )

    # Nodes.

    def _layer(self, node: Node, place: Point) -> None:
        x, y = place
        is_gate = node.sign == "σ"
        self._box(place, BOX, 0.09, self.ink if is_gate else PAPER, self.ink, "layer")
        colour = PAPER if is_gate else TEXT
        letter = lettering.letter(node.name)
        if letter and node.sign:
            self._text((x, y + 0.05), letter, LETTER, colour, by="baseline")
            self._text((x, y - 0.18), node.sign, SIZES.get(node.sign, SMALL), colour, by="baseline")
        else:
            self._text(place, letter or node.sign, LETTER if letter else SMALL + 2, colour)
        if node.added:
            self._ring((x - BOX[0] / 2 - PORT, y), PORT, "+", "port")

    def _function(self, node: Node, place: Point) -> None:
        is_gate = node.sign == "σ"
        fill, edge = (self.ink, self.ink) if is_gate else (PAPER, TEXT)
        self._box(place, PILL, PILL[1] / 2, fill, edge, "function")
        self._text(place, node.sign, SIZES.get(node.sign, SMALL), PAPER if is_gate else TEXT)

    def _circle(self, node: Node, place: Point) -> None:
        self._ring(place, RADIUS, node.sign, "circle")

    def _terminal(self, node: Node, place: Point) -> None:
        label = lettering.label(node.name)
        (x, y), (_, height) = place, self.layout.size
        _, bottom, _, top = self.layout.frame
        if y in (0, height):
            gap = (bottom if y == 0 else height + top) / 2
            self._text((x + 0.1, gap), label, OUTER, TEXT, by="left")
        else:
            side = 0.29 if x == 0 else -0.25
            self._text((x + side, y + 0.15), label, OUTER, TEXT, by="baseline")

    def _box(
        self, place: Point, size: Point, rounding: float, fill: str, edge: str, kind: str
    ) -> None:
        (x, y), (width, height) = place, size
        self.axis.add_patch(
            FancyBboxPatch(
                (x - width / 2, y - height / 2),
                width,
                height,
                boxstyle=f"round,pad=0,rounding_size={rounding}",
                facecolor=fill,
                edgecolor=edge,
                linewidth=1.6,
                zorder=5,
                gid=kind,
            )
        )

    def _ring(self, place: Point, radius: float, sign: str, kind: str) -> None:
        self.axis.add_patch(
            Circle(
                place, radius, facecolor=PAPER, edgecolor=TEXT, linewidth=1.6, zorder=5, gid=kind
            )
        )
        size = SMALL if len(sign) > 1 else 19 if radius == RADIUS else 15
        self._text(place, sign, size, TEXT)

    def _text(self, place: Point, text: str, size: float, colour: str, by: str = "ink") -> None:
        """A text whose ink is centred at the place; by="baseline" centres it across only, and
        by="left" up and down only.
        """
        ink = lettering.ink(text, size)
        x = 0 if by == "left" else (ink.x0 + ink.x1) / 2
        y = 0 if by == "baseline" else (ink.y0 + ink.y1) / 2
        self.axis.text(place[0] - x, place[1] - y, text, size=size, color=colour, zorder=6)
