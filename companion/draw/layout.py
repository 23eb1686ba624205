"""Where things stand in the pictures of the four cells: places given by hand, in inches.

A place is keyed by what the trace computes there: the local name, or the formula if it has none.
A wire is a list of stops: nodes and points (x, y). One whose first stop is a point forks there from
the wire that passes, one whose last stop is a point joins that wire. Nothing here says what a wire
carries or what a box is called: labels come from the trace, and what the wires carry is read off
the finished picture and compared with the trace.
"""

from __future__ import annotations

from dataclasses import dataclass

Point = tuple[float, float]
Stop = str | Point
Wires = tuple[tuple[Stop, ...], ...]


@dataclass(frozen=True)
class Layout:
    """The places of one cell's picture.

    family: whose colour it takes. size: of the picture. frame: left, bottom, right, top of the
    cell's outline. places: of every node, by key. wires: each a list of stops.
    """

    family: str
    size: Point
    frame: tuple[float, float, float, float]
    places: dict[str, Point]
    wires: Wires


def _rnn() -> Layout:
    line, box, up = 1.2, 1.65, 2.3
    places = {
        "x": (0.95, 0.0),
        "h": (0.0, line),
        "h'": (box, line),
        "next h": (3.3, line),
        "out h": (up, 2.4),
    }
    wires: Wires = (
        ("h", "h'"),
        ("x", (0.95, line)),
        ("h'", "next h"),
        ((up, line), "out h"),
    )
    return Layout("rnn", (3.3, 2.4), (0.6, 0.5, 2.7, 1.9), places, wires)


def _lstm() -> Layout:
    line, squash, middle, gates, bus = 3.2, 2.72, 2.2, 1.52, 0.92
    x, f, i, g, o, out, up = 0.9, 1.35, 2.08, 2.81, 3.54, 4.05, 4.5
    places = {
        "x": (x, 0.0),
        "h": (0.0, bus),
        "c": (0.0, line),
        "f": (f, gates),
        "i": (i, gates),
        "g": (g, gates),
        "o": (o, gates),
        "f * c": (f, line),
        "i * g": (g, middle),
        "c'": (g, line),
        "tanh(c')": (out, squash),
        "h'": (out, middle),
        "next h": (5.4, bus),
        "out h": (up, 4.1),
        "next c": (5.4, line),
    }
    wires: Wires = (
        ("c", "f * c"),
        ("f * c", "c'"),
        ("c'", "next c"),
        ("h", (o, bus), "o"),
        ("x", (x, bus)),
        ((f, bus), "f"),
        ((i, bus), "i"),
        ((g, bus), "g"),
        ("f", "f * c"),
        ("i", (i, middle), "i * g"),
        ("g", "i * g"),
        ("i * g", "c'"),
        ((out, line), "tanh(c')"),
        ("tanh(c')", "h'"),
        ("o", (o, middle), "h'"),
        ("h'", (out, bus), "next h"),
        ((up, bus), "out h"),
    )
    return Layout("lstm", (5.4, 4.1), (0.6, 0.45, 4.8, 3.6), places, wires)


def _gru() -> Layout:
    line, one, write, reset, gates, bus, rail = 3.42, 2.93, 2.5, 2.17, 1.52, 0.95, 0.67
    h, x, r, z, down, n, up = 0.92, 1.2, 1.72, 2.55, 3.08, 3.75, 4.4
    places = {
        "x": (x, 0.0),
        "h": (0.0, line),
        "z": (z, gates),
        "r": (r, gates),
        "r * h": (r, reset),
        "n": (n, gates),
        "1 - z": (z, one),
        "(1 - z) * h": (z, line),
        "z * n": (n, write),
        "h'": (n, line),
        "next h": (5.4, line),
        "out h": (up, 4.3),
    }
    wires: Wires = (
        *update(h, z, n, up, bus, write, line),
        ("x", (x, bus)),
        ((r, bus), "r"),
        ("r", "r * h"),
        ((h, reset), "r * h"),
        ("r * h", (down, reset), (down, bus), (n, bus), "n"),
        ((x, rail), (3.42, rail), (3.42, bus)),
    )
    return Layout("gru", (5.4, 4.3), (0.6, 0.4, 4.8, 3.8), places, wires)


def update(h: float, z: float, n: float, up: float, bus: float, write: float, line: float) -> Wires:
    """The wires of (1 - z) * h + z * n, and of what z reads: h, from the state line down."""
    return (
        ("h", "(1 - z) * h"),
        ("(1 - z) * h", "h'"),
        ("h'", "next h"),
        ((up, line), "out h"),
        ((h, line), (h, bus), (z, bus), "z"),
        ("z", "1 - z"),
        ("1 - z", "(1 - z) * h"),
        ((z, write), "z * n"),
        ("n", "z * n"),
        ("z * n", "h'"),
    )


def _gru_reset_after() -> Layout:
    line, one, write, reset, gates, bus, rail = 3.42, 2.93, 2.5, 2.17, 1.52, 0.95, 0.67
    h, x, u, r, z, down, n, up = 0.85, 1.1, 1.4, 2.02, 2.72, 3.2, 4.0, 4.52
    places = {
        "x": (x, 0.0),
        "h": (0.0, line),
        "z": (z, gates),
        "r": (r, gates),
        "Un": (u, reset),
        "r * (Un @ h + bUn)": (r, reset),
        "n": (n, gates),
        "1 - z": (z, one),
        "(1 - z) * h": (z, line),
        "z * n": (n, write),
        "h'": (n, line),
        "next h": (5.4, line),
        "out h": (up, 4.3),
    }
    wires: Wires = (
        *update(h, z, n, up, bus, write, line),
        ("x", (x, bus)),
        ((r, bus), "r"),
        ("r", "r * (Un @ h + bUn)"),
        ((h, reset), "Un"),
        ("Un", "r * (Un @ h + bUn)"),
        ("r * (Un @ h + bUn)", (down, reset), (down, gates), "n"),
        ((x, rail), (n, rail), "n"),
    )
    return Layout("gru", (5.4, 4.3), (0.6, 0.4, 4.8, 3.8), places, wires)


CELLS = (_rnn(), _lstm(), _gru(), _gru_reset_after())
