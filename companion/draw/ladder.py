"""Where things stand in the pictures of the cells' relatives, and of the steps from LSTM to GRU.

As in :mod:`companion.draw.layout`.
"""

from __future__ import annotations

import re

from companion.draw.layout import CELLS, Layout, Wires, update


def _tied(linear: bool) -> Layout:
    """The LSTM with 1 − i in place of f, its output squashed or linear."""
    line, one, squash, middle, gates, bus = 3.2, 2.72, 2.72, 2.2, 1.52, 0.92
    x, i, g, o, out, up = 0.9, 1.55, 2.6, 3.45, 4.05, 4.5
    places = {
        "x": (x, 0.0),
        "h": (0.0, bus),
        "c": (0.0, line),
        "i": (i, gates),
        "g": (g, gates),
        "o": (o, gates),
        "1 - i": (i, one),
        "(1 - i) * c": (i, line),
        "i * g": (g, middle),
        "c'": (g, line),
        "h'": (out, middle),
        "next h": (5.4, bus),
        "out h": (up, 4.1),
        "next c": (5.4, line),
    }
    reading: Wires = (((out, line), "h'"),)
    if not linear:
        places["tanh(c')"] = (out, squash)
        reading = (((out, line), "tanh(c')"), ("tanh(c')", "h'"))
    wires: Wires = (
        *_carousel(i, g, middle),
        *reading,
        ("h", (o, bus), "o"),
        ("x", (x, bus)),
        ((i, bus), "i"),
        ((g, bus), "g"),
        ("o", (o, middle), "h'"),
        ("h'", (out, bus), "next h"),
        ((up, bus), "out h"),
    )
    return Layout("lstm", (5.4, 4.1), (0.6, 0.45, 4.8, 3.6), places, wires)


def _carousel(i: float, g: float, middle: float) -> Wires:
    """The wires of (1 - i) * c + i * g."""
    return (
        ("c", "(1 - i) * c"),
        ("(1 - i) * c", "c'"),
        ("c'", "next c"),
        ("i", "1 - i"),
        ("1 - i", "(1 - i) * c"),
        ((i, middle), "i * g"),
        ("g", "i * g"),
        ("i * g", "c'"),
    )


def _cell_gated() -> Layout:
    line, one, middle, gates, bus, rail, low = 3.5, 3.02, 2.5, 1.85, 1.22, 0.88, 0.58
    c, x, i, g, o, out, up = 0.92, 1.2, 1.75, 2.7, 3.5, 4.08, 4.5
    places = {
        "x": (x, 0.0),
        "h": (0.0, rail),
        "c": (0.0, line),
        "i": (i, gates),
        "g": (g, gates),
        "o": (o, gates),
        "1 - i": (i, one),
        "(1 - i) * c": (i, line),
        "i * g": (g, middle),
        "c'": (g, line),
        "h'": (out, middle),
        "next h": (5.4, rail),
        "out h": (up, 4.4),
        "next c": (5.4, line),
    }
    wires: Wires = (
        *_carousel(i, g, middle),
        ((out, line), "h'"),
        ((c, line), (c, bus), (o, bus), "o"),
        ((i, bus), "i"),
        ("x", (x, bus)),
        ("h", (g, rail), "g"),
        ((x, low), (1.75, low), (1.75, rail)),
        ("o", (o, middle), "h'"),
        ("h'", (out, rail), "next h"),
        ((up, rail), "out h"),
    )
    return Layout("lstm", (5.4, 4.4), (0.6, 0.35, 4.8, 3.9), places, wires)


def _reading() -> Layout:
    """The GRU by other letters."""
    letters = {"z": "i", "r": "o", "n": "g", "h": "c"}
    gru = next(layout for layout in CELLS if "r * h" in layout.places)

    def other(text: str) -> str:
        return re.sub(r"\b[zrnh]\b", lambda found: letters[found[0]], text)

    places = {other(key): place for key, place in gru.places.items()}
    wires = tuple(
        tuple(other(stop) if isinstance(stop, str) else stop for stop in wire) for wire in gru.wires
    )
    return Layout("lstm", gru.size, gru.frame, places, wires)


def _peephole(host: bool) -> Layout:
    """The LSTM whose gates see the cell; the host's output gate has an input of its own."""
    up_by = 0.15 if host else 0.0  # for one more line, of what o reads besides the cell
    line, squash, middle, gates, bus, rail = (y + up_by for y in (3.4, 2.92, 2.4, 1.75, 1.17, 0.82))
    low, top = rail - 0.32 if host else rail, 3.8 + up_by
    h, c, x, u, f, i, g, down, o, out, up = (
        0.78, 0.92, 0.98, 1.3, 1.75, 2.43, 3.11, 3.54, 3.97, 4.52, 4.92,
    )  # fmt: skip
    places = {
        "x": (x, 0.0),
        "h": (0.0, rail),
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
        "next h": (5.75, rail),
        "out h": (up, top + 0.5),
        "next c": (5.75, line),
    }
    wires: Wires = (
        ("c", "f * c"),
        ("f * c", "c'"),
        ("c'", "next c"),
        ("x", (x, rail)),
        ((u, rail), (u, bus)),
        ((c, line), (c, bus), (i, bus), "i"),
        ((f, bus), "f"),
        ("f", "f * c"),
        ("i", (i, middle), "i * g"),
        ("g", "i * g"),
        ("i * g", "c'"),
        ((down, line), (down, low)),
        ((out, line), "tanh(c')"),
        ("tanh(c')", "h'"),
        ("o", (o, middle), "h'"),
        ("h'", (out, rail), "next h"),
        ((up, rail), "out h"),
    )
    if host:
        places["xo"] = (3.1, 0.0)
        wires += (
            ("h", (g, rail), "g"),
            ((h, rail), (h, low), (o, low), "o"),
            ("xo", (3.1, low)),
        )
    else:
        wires += (("h", (o, rail), "o"), ((g, rail), "g"))
    frame = (0.6, 0.4 if host else 0.45, 5.15, top)
    return Layout("lstm", (5.75, top + 0.5), frame, places, wires)


def _mgu() -> Layout:
    """The GRU with one gate in both places."""
    line, one, write, reset, gates, bus, rail = 3.42, 2.93, 2.5, 2.17, 1.52, 0.95, 0.67
    h, x, product, z, n, up = 0.92, 1.2, 1.72, 2.55, 3.75, 4.4
    places = {
        "x": (x, 0.0),
        "h": (0.0, line),
        "z": (z, gates),
        "z * h": (product, reset),
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
        ((h, reset), "z * h"),
        ((z, reset), "z * h"),
        ("z * h", (product, rail), (n, rail), "n"),
        ((x, rail), (product, rail)),
    )
    return Layout("gru", (5.4, 4.3), (0.6, 0.4, 4.8, 3.8), places, wires)


def _min_gru() -> Layout:
    line, one, write, gates, rail = 2.95, 2.46, 2.0, 1.35, 0.75
    z, n, up = 1.35, 2.6, 3.25
    places = {
        "x": (z, 0.0),
        "h": (0.0, line),
        "z": (z, gates),
        "n": (n, gates),
        "1 - z": (z, one),
        "(1 - z) * h": (z, line),
        "z * n": (n, write),
        "h'": (n, line),
        "next h": (4.2, line),
        "out h": (up, 3.85),
    }
    wires: Wires = (
        ("h", "(1 - z) * h"),
        ("(1 - z) * h", "h'"),
        ("h'", "next h"),
        ((up, line), "out h"),
        ("x", "z"),
        ((z, rail), (n, rail), "n"),
        ("z", "1 - z"),
        ("1 - z", "(1 - z) * h"),
        ((z, write), "z * n"),
        ("n", "z * n"),
        ("z * n", "h'"),
    )
    return Layout("gru", (4.2, 3.85), (0.6, 0.45, 3.6, 3.35), places, wires)


def _janet() -> Layout:
    line, squash, middle, gates, bus = 3.1, 2.55, 2.13, 1.52, 0.92
    h, x, a, less, sigma, one, g, up = 0.9, 1.12, 1.6, 2.06, 2.68, 3.3, 3.84, 4.45
    places = {
        "x": (x, 0.0),
        "h": (0.0, line),
        "a": (a, gates),
        "f": (a, squash),
        "f * h": (a, line),
        "a - 1": (less, middle),
        "sigmoid(a - 1)": (sigma, middle),
        "i": (one, middle),
        "g": (g, gates),
        "i * g": (g, middle),
        "h'": (g, line),
        "next h": (5.4, line),
        "out h": (up, 4.0),
    }
    wires: Wires = (
        ("h", "f * h"),
        ("f * h", "h'"),
        ("h'", "next h"),
        ((up, line), "out h"),
        ((h, line), (h, bus), (g, bus), "g"),
        ("x", (x, bus)),
        ((a, bus), "a"),
        ("a", "f"),
        ("f", "f * h"),
        ((a, middle), "a - 1"),
        ("a - 1", "sigmoid(a - 1)"),
        ("sigmoid(a - 1)", "i"),
        ("i", "i * g"),
        ("g", "i * g"),
        ("i * g", "h'"),
    )
    return Layout("lstm", (5.4, 4.0), (0.6, 0.45, 4.8, 3.5), places, wires)


RELATIVES = (
    _tied(linear=False),
    _tied(linear=True),
    _cell_gated(),
    _reading(),
    _peephole(host=False),
    _peephole(host=True),
    _mgu(),
    _min_gru(),
    _janet(),
)
