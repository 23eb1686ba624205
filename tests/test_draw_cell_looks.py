"""How the pictures of the cells look, as far as a test can see it, and what they say in words."""

import io
from collections.abc import Iterator
from itertools import combinations, pairwise
from typing import Any

import matplotlib.pyplot as plt
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.path import Path
from matplotlib.text import Text

import companion
from companion import gru, gru_reset_after, lstm, rnn
from companion.draw import COLOURS, INK, cell, cells, describe, use_style
from companion.draw.cell import LAYOUTS, layout_of
from companion.draw.graph import graph, statements
from companion.draw.lettering import ink
from companion.draw.reading import pictures, read
from companion.draw.style import PAPER
from companion.draw.wiring import ROUND, crossings, distance
from companion.trace import Cell
from tools.guards import colours

# How often two wires cross in the picture of each cell: as seldom as could be found.
CROSSINGS = {
    "rnn": 0, "lstm": 1, "gru": 1, "gru_reset_after": 1, "coupled_lstm": 1, "linear_lstm": 1,
    "cell_gated_lstm": 3, "reading_lstm": 1, "peephole_lstm": 1, "lstm_host": 2, "mgu": 1,
    "min_gru": 0, "janet": 0,
}  # fmt: skip
CELLS = {name: getattr(companion, name) for name in CROSSINGS if hasattr(companion, name)}
each_cell = pytest.mark.parametrize("equation", CELLS.values(), ids=CELLS)


@pytest.fixture(autouse=True)
def _look() -> Iterator[None]:
    use_style()
    yield
    plt.close("all")


def the_axis(figure: Figure) -> Axes:
    (axis,) = pictures(figure)
    return axis


def patches(axis: Axes, kind: str) -> list[Any]:
    return [patch for patch in axis.patches if patch.get_gid() == kind]


@each_cell
def test_the_picture_says_what_the_trace_says(equation: Cell) -> None:
    assert statements(read(the_axis(cell(equation)))) == statements(graph(equation))


def test_each_cell_has_a_layout_of_its_own() -> None:
    drawn = {id(layout_of(name, graph(equation))) for name, equation in CELLS.items()}
    assert len(drawn) == len(CELLS)
    assert len(LAYOUTS) == len(CROSSINGS)


@each_cell
def test_nothing_touches_what_it_does_not_belong_to(equation: Cell) -> None:
    axis = the_axis(cell(equation))
    shapes = [p for kind in ("layer", "function", "circle", "port") for p in patches(axis, kind)]
    for wire in patches(axis, "wire"):
        line = [tuple(point) for point in wire.get_path().vertices]
        for shape in shapes:
            centre, reach = middle(shape)
            attached = any(distance(end, centre) < reach + 0.16 for end in (line[0], line[-1]))
            assert attached or clear(line, shape, 0.05), (line, centre)
    boxes = [where(text) for text in axis.texts]
    for k, box in enumerate(boxes):
        assert axis.viewLim.x0 <= box.x0 and box.x1 <= axis.viewLim.x1
        assert axis.viewLim.y0 <= box.y0 and box.y1 <= axis.viewLim.y1
        assert not any(box.overlaps(other) for other in boxes[k + 1 :])


@each_cell
def test_where_two_wires_cross_one_has_a_gap_and_they_cross_seldom(equation: Cell) -> None:
    wires = patches(the_axis(cell(equation)), "wire")
    lines = [[tuple(point) for point in wire.get_path().vertices] for wire in wires]
    count = 0
    for k, j in combinations(range(len(wires)), 2):
        for point in crossings(lines[k], lines[j]):
            count += 1
            gaps = [gap for m in (k, j) for gap in broken(wires[m].get_path())]
            assert sum(distance(point, gap) < 1e-6 for gap in gaps) == 1
        assert overlap(lines[k], lines[j]) < ROUND + 1e-6
    assert count == CROSSINGS[equation.__name__]
    assert sum(len(broken(wire.get_path())) for wire in wires) == count


def broken(path: Path) -> list[tuple[float, float]]:
    """The middle of each gap in a path."""
    points, codes = path.vertices, path.codes
    assert codes is not None
    starts = [k for k in range(1, len(codes)) if codes[k] == Path.MOVETO]
    return [tuple((points[k - 1] + points[k]) / 2) for k in starts]


def overlap(one: list[tuple[float, float]], other: list[tuple[float, float]]) -> float:
    """The greatest length on which a piece of one line lies on a piece of the other."""
    longest = 0.0
    for a, b in pairwise(one):
        for c, d in pairwise(other):
            for k in (0, 1):
                if len({round(point[k], 6) for point in (a, b, c, d)}) == 1:
                    (low, high), (start, end) = (
                        sorted((p[1 - k], q[1 - k])) for p, q in ((a, b), (c, d))
                    )
                    longest = max(longest, min(high, end) - max(low, start))
    return longest


def middle(shape: Any) -> tuple[tuple[float, float], float]:
    if isinstance(shape, Circle):
        return shape.get_center(), shape.get_radius()
    half = (shape.get_width() / 2, shape.get_height() / 2)
    return (shape.get_x() + half[0], shape.get_y() + half[1]), max(half)


def clear(line: list[tuple[float, float]], shape: Any, margin: float) -> bool:
    """Whether the line stays outside the shape, at least as far as the margin."""
    centre, _ = middle(shape)
    half = [shape.get_radius()] * 2 if isinstance(shape, Circle) else [
        shape.get_width() / 2, shape.get_height() / 2
    ]  # fmt: skip
    for a, b in pairwise(line):
        away = [
            max(min(a[k], b[k]) - centre[k], centre[k] - max(a[k], b[k])) - half[k] for k in (0, 1)
        ]
        if max(away) < margin:
            return False
    return True


def where(text: Text) -> Any:
    weight = "bold" if text.get_weight() == "bold" else "normal"
    return ink(text.get_text(), text.get_fontsize(), weight).translated(*text.get_position())


@each_cell
def test_what_is_filled_is_a_sigma_and_the_red_line_is_where_a_state_passes(equation: Cell) -> None:
    axis = the_axis(cell(equation))
    ink_of_sigma = {text.get_color() for text in axis.texts if text.get_text() == "σ"}
    filled = [p for kind in ("layer", "function") for p in patches(axis, kind) if is_filled(p)]
    assert len(filled) == sum(text.get_text() == "σ" for text in axis.texts)
    assert ink_of_sigma <= {PAPER}
    red = [w for w in patches(axis, "wire") if w.get_edgecolor() == to_rgba(COLOURS["accent"])]
    # In, between × and +, and out; the plain RNN has no such line.
    assert len(red) == (0 if equation is rnn else 3)


def is_filled(patch: Any) -> bool:
    return bool(patch.get_facecolor() != to_rgba(PAPER))


@pytest.mark.parametrize("which", [*CELLS, "three"])
def test_every_text_is_legible_on_a_telephone(which: str) -> None:
    figure = cells((rnn, lstm, gru)) if which == "three" else cell(CELLS[which])
    width = figure.get_size_inches()[0] * 96
    scale = min(1, 360 / width) * 96 / 72  # pixels for a point
    sizes = [text.get_fontsize() * scale for axis in figure.axes for text in axis.texts]
    assert min(sizes) >= 11


def svg(figure: Figure) -> str:
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()


@each_cell
def test_the_file_is_the_same_each_time_and_has_dark_twins(equation: Cell) -> None:
    first = svg(cell(equation))
    assert first == svg(cell(equation))
    assert colours(first) <= INK.keys()


def test_the_three_cells_are_each_checked_and_keyed() -> None:
    figure = cells((rnn, lstm, gru))
    assert [statements(read(axis)) for axis in pictures(figure)] == [
        statements(graph(equation)) for equation in (rnn, lstm, gru)
    ]
    assert len(figure.axes) == 4
    assert colours(svg(figure)) <= INK.keys()


# In words.


def test_the_alt_text_is_the_equation_in_words() -> None:
    assert describe(gru) == (
        "Diagram of the GRU cell. The input x comes from below, the state h from the left. "
        "The gate z is the sigmoid of Wz times x plus Uz times the old h plus bz. "
        "The gate r is the sigmoid of Wr times x plus Ur times the old h plus br. "
        "The value n is the tanh of Wn times x plus Un times (r times the old h) plus bn. "
        "The new h is (1 minus z) times the old h plus z times n. "
        "It leaves to the right, as a state of the next step, and upwards, as the output."
    )
    said = describe(lstm)
    assert "The new c is f times the old c plus i times g. " in said
    assert "The new h is o times the tanh of the new c. " in said
    assert said.endswith("the new c to the right only.")
    assert "r times (Un times the old h plus bUn)" in describe(gru_reset_after)
