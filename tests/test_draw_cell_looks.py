"""How the pictures of the cells look, as far as a test can see it, and what they say in words."""

import io
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import matplotlib.pyplot as plt
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.text import Text

from companion import gru, gru_reset_after, lstm, rnn
from companion.draw import INK, cell, cells, describe, use_style
from companion.draw.graph import graph, statements
from companion.draw.lettering import ink
from companion.draw.reading import pictures, read
from companion.draw.wiring import distance
from companion.trace import Cell
from tools.guards import colours

CELLS = {cell.__name__: cell for cell in (rnn, lstm, gru, gru_reset_after)}
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
