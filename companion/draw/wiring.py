"""Wires on paper: round corners, forks and joins like railway switches, gaps where two cross."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from matplotlib.path import Path

from companion.draw.layout import Point

ROUND = 0.12  # the radius of a corner, in inches as everything here
GAP = 0.075  # how far on each side a wire stops before the one that it passes under
HEAD = 0.11  # the length of an arrowhead
NEAR = 1e-6

Line = list[Point]


def towards(start: Point, end: Point, length: float) -> Point:
    """The point that far from start on the way to end."""
    whole = distance(start, end)
    return (
        start[0] + (end[0] - start[0]) * length / whole,
        start[1] + (end[1] - start[1]) * length / whole,
    )


def distance(a: Point, b: Point) -> float:
    """The distance between two points."""
    return float(((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2) ** 0.5)


def position(point: Point, line: Sequence[Point]) -> float | None:
    """How far along the line the point lies, None if it is not on it."""
    gone = 0.0
    for a, b in pairwise(line):
        if abs(distance(a, point) + distance(point, b) - distance(a, b)) < NEAR:
            return gone + distance(a, point)
        gone += distance(a, b)
    return None


def along(line: Sequence[Point], length: float) -> Point:
    """The point that far along the line."""
    for a, b in pairwise(line):
        if length <= distance(a, b) + NEAR:
            return towards(a, b, length)
        length -= distance(a, b)
    raise ValueError("the line is shorter than that")


def switched(lines: Sequence[Line], forks: Sequence[bool], joins: Sequence[bool]) -> list[Line]:
    """The lines with a corner wherever one forks from another (starts there) or joins it.

    A fork leaves the other line a little before the point, a join meets it a little after.
    """
    found = []
    for line, fork, join in zip(lines, forks, joins, strict=True):
        others = [other for other in lines if other is not line]
        new = list(line)
        if fork:
            new = [_beside(new[0], others, -ROUND), *new]
        if join:
            new = [*new, _beside(new[-1], others, ROUND)]
        found.append(new)
    return found


def _beside(point: Point, lines: Sequence[Line], by: float) -> Point:
    for line in lines:
        where = position(point, line)
        if where is not None and point not in (line[0], line[-1]):
            return along(line, where + by)
    raise ValueError(f"no wire passes the point {point}, where another one begins or ends")


def crossings(under: Line, over: Line) -> list[Point]:
    """Where two lines of horizontal and vertical pieces cross without touching."""
    found = []
    for a, b in pairwise(under):
        for c, d in pairwise(over):
            if (a[0] == b[0]) == (c[0] == d[0]):
                continue
            point = (a[0], c[1]) if a[0] == b[0] else (c[0], a[1])
            inside = all(
                min(p[k], q[k]) + NEAR < point[k] < max(p[k], q[k]) - NEAR
                for p, q, k in ((a, b, 0 if a[1] == b[1] else 1), (c, d, 0 if c[1] == d[1] else 1))
            )
            if inside:
                found.append(point)
    return found


def path(line: Line, gaps: Sequence[Point]) -> Path:
    """The line with round corners, and a gap about each of the points."""
    points, codes = [line[0]], [Path.MOVETO]
    before = line[0]
    for k in range(1, len(line)):
        corner, last = line[k], k == len(line) - 1
        end = corner if last else towards(corner, line[k - 1], ROUND)
        here = [gap for gap in gaps if position(gap, [before, end]) is not None]
        for gap in sorted(here, key=lambda gap: distance(before, gap)):
            points += [towards(gap, before, GAP), towards(gap, end, GAP)]
            codes += [Path.LINETO, Path.MOVETO]
        # A fork or a join begins or ends right where its curve does.
        if distance(points[-1], end) > NEAR:
            points.append(end)
            codes.append(Path.LINETO)
        if not last:
            before = towards(corner, line[k + 1], ROUND)
            points += [corner, before]
            codes += [Path.CURVE3, Path.CURVE3]
    return Path(points, codes)
