"""What a finished picture says: its boxes, circles and wires, read back off the paper.

A chip's layout is compared with its circuit by extracting the circuit from the layout. The same is
done here: the shapes, texts and lines that are on the axis, wherever they came from, are
read as a reader does. A text belongs to the shape that it stands in, else to the end of a wire
beside it; an arrowhead marks where a wire goes into something; a wire that begins on another one
is a copy of what has come that far, and one that ends on another one joins it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch, PathPatch, Polygon
from matplotlib.text import Text

from companion.draw.graph import Node, statements
from companion.draw.layout import Point
from companion.draw.lettering import ink, name_of_label, name_of_letter
from companion.draw.wiring import HEAD, NEAR, Line, distance, position


def check(axis: Axes, expected: list[Node], name: str) -> None:
    """Raise ValueError when the picture does not say what is expected, and only that."""
    try:
        said = statements(read(axis))
    except ValueError as error:
        raise ValueError(f"the picture of {name}: {error}") from error
    wanted = statements(expected)
    faults = [
        f"{what}: {'; '.join(sorted(lines.elements()))}"
        for what, lines in (("it lacks", wanted - said), ("it says falsely", said - wanted))
        if lines
    ]
    if faults:
        raise ValueError(f"the picture of {name} is not its trace; {'; '.join(faults)}")


def read(axis: Axes) -> list[Node]:
    """The nodes of the picture on an axis, with what goes into each."""
    return _Reading(axis).nodes


def pictures(figure: Figure) -> list[Axes]:
    """The axes of a figure that have a cell's picture."""
    return [axis for axis in figure.axes if any(p.get_gid() == "frame" for p in axis.patches)]


@dataclass(eq=False)
class _Shape:
    """A box or circle on the paper. radius is 0 for a box."""

    node: Node
    centre: Point
    half: Point
    radius: float = 0.0

    def holds(self, point: Point) -> bool:
        if self.radius:
            return distance(self.centre, point) < self.radius
        return all(abs(point[k] - self.centre[k]) < self.half[k] for k in (0, 1))

    def touches(self, point: Point) -> bool:
        """Whether the point lies on the outline."""
        if self.radius:
            return abs(distance(self.centre, point) - self.radius) < NEAR
        beyond = [abs(point[k] - self.centre[k]) - self.half[k] for k in (0, 1)]
        return abs(max(beyond)) < NEAR


@dataclass(eq=False)
class _Wire:
    """A line on the paper, up to the tip of its arrowhead if it has one."""

    line: Line
    has_head: bool
    start: Node | None = None
    parent: _Wire | None = None
    joined: list[tuple[float, _Wire]] = field(default_factory=list)

    def carries(self, upto: float | None = None, after: tuple[_Wire, ...] = ()) -> list[Node]:
        """The nodes whose values it carries at its end, or that far along it."""
        if self in after:
            raise ValueError("wires that are only fed by each other")
        found, after = [self.start] if self.start else [], (*after, self)
        if self.parent:
            found += self.parent.carries(position(self.line[0], self.parent.line), after)
        for where, wire in self.joined:
            if upto is None or where < upto:
                found += wire.carries(after=after)
        return found


class _Reading:
    """Reads one axis."""

    def __init__(self, axis: Axes) -> None:
        self.nodes: list[Node] = []
        self.shapes = [shape for patch in axis.patches for shape in self._shape(patch)]
        outside = [text for text in axis.texts if not self._inside(text)]
        self.labels = [text for text in outside if name_of_label(text.get_text())]
        self.wires = self._wires(axis)
        for wire in self.wires:
            self._begin(wire)
        for wire in self.wires:
            self._join(wire)
        for wire in self.wires:
            self._end(wire)
        for shape in self.shapes:
            if shape.node.kind == "port":
                self._box_of(shape).added += shape.node.inputs
        self.nodes += [s.node for s in self.shapes if s.node.kind != "port"]
        if self.labels:
            raise ValueError("a label belongs to no wire")

    # What is there.

    def _shape(self, patch: object) -> list[_Shape]:
        if isinstance(patch, Circle):
            x, y = np.asarray(patch.get_center())
            node = Node(str(patch.get_gid()), "")
            return [_Shape(node, (float(x), float(y)), (0, 0), float(patch.get_radius()))]
        if isinstance(patch, FancyBboxPatch) and patch.get_gid() in ("layer", "function"):
            half = (patch.get_width() / 2, patch.get_height() / 2)
            centre = (patch.get_x() + half[0], patch.get_y() + half[1])
            return [_Shape(Node(str(patch.get_gid()), ""), centre, half)]
        return []

    def _inside(self, text: Text) -> bool:
        """Give the text to the shape that it stands in, if there is one."""
        place = _place(text)
        for shape in self.shapes:
            if shape.holds(place):
                name = name_of_letter(text.get_text())
                if name:
                    shape.node.name += name
                else:
                    shape.node.sign += text.get_text()
                return True
        return False

    def _wires(self, axis: Axes) -> list[_Wire]:
        tips = [
            (float(x), float(y))
            for patch in axis.patches
            if isinstance(patch, Polygon) and patch.get_gid() == "head"
            for x, y in patch.get_xy()[:1]
        ]
        wires = []
        for patch in axis.patches:
            if isinstance(patch, PathPatch) and patch.get_gid() == "wire":
                line = [(float(x), float(y)) for x, y in np.asarray(patch.get_path().vertices)]
                near = [tip for tip in tips if abs(distance(tip, line[-1]) - HEAD) < NEAR]
                tips = [tip for tip in tips if tip not in near]
                wires.append(_Wire([*line, *near], bool(near)))
        if tips:
            raise ValueError(f"an arrowhead without a wire at {tips[0]}")
        return wires

    # What goes where.

    def _touched(self, point: Point) -> _Shape | None:
        return next((shape for shape in self.shapes if shape.touches(point)), None)

    def _passing(self, point: Point, wire: _Wire) -> _Wire | None:
        found = [w for w in self.wires if w is not wire and position(point, w.line) is not None]
        if len(found) > 1:
            raise ValueError(f"more than one wire passes {point}, where one begins or ends")
        return found[0] if found else None

    def _begin(self, wire: _Wire) -> None:
        point = wire.line[0]
        shape, parent = self._touched(point), self._passing(point, wire)
        if shape:
            wire.start = shape.node
        elif parent:
            wire.parent = parent
        else:
            wire.start = self._terminal("source", point)

    def _join(self, wire: _Wire) -> None:
        if not wire.has_head:
            point = wire.line[-1]
            other = self._passing(point, wire)
            if not other:
                raise ValueError(f"a wire ends nowhere, at {point}")
            where = position(point, other.line)
            other.joined.append((where or 0.0, wire))

    def _end(self, wire: _Wire) -> None:
        if not wire.has_head:
            return
        shape, carried = self._touched(wire.line[-1]), wire.carries()
        node = shape.node if shape else self._terminal("sink", wire.line[-1])
        if node.kind != "layer" and len(carried) != 1:
            raise ValueError(f"wires that have merged go into {node.sign or node.name}")
        node.inputs += carried

    def _terminal(self, kind: str, point: Point) -> Node:
        """The beginning or end of a wire at the edge, called by the label that is nearest."""
        if not self.labels:
            raise ValueError(f"a wire begins or ends at {point} without a label")
        nearest = min(self.labels, key=lambda text: distance(point, _place(text)))
        self.labels.remove(nearest)
        node = Node(kind, "", name_of_label(nearest.get_text()) or "")
        self.nodes.append(node)
        return node

    def _box_of(self, port: _Shape) -> Node:
        """The box at whose left side a circle with a + stands."""
        edge = (port.centre[0] + port.radius, port.centre[1])
        for shape in self.shapes:
            if shape.node.kind == "layer" and shape.touches(edge):
                if port.node.sign != "+":
                    raise ValueError(f"a {port.node.sign} where a box adds")
                return shape.node
        raise ValueError(f"a circle at {port.centre} touches no box")


def _place(text: Text) -> Point:
    """The middle of the text's ink."""
    box = ink(text.get_text(), text.get_fontsize())
    x, y = text.get_position()
    return float(x + (box.x0 + box.x1) / 2), float(y + (box.y0 + box.y1) / 2)
