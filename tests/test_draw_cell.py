"""The picture of a cell shows exactly its trace; one that is wrong anywhere is refused."""

import dataclasses
import importlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import matplotlib.pyplot as plt
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, PathPatch
from matplotlib.text import Text

from companion import gru, gru_reset_after, lstm, relu_rnn, rnn, sigmoid, tanh, trace
from companion.draw import cell, use_style
from companion.draw.cell import layout_of
from companion.draw.graph import graph, statements
from companion.draw.reading import check, pictures, read
from companion.draw.wiring import path
from companion.trace import Cell

MODULE = importlib.import_module("companion.draw.cell")  # the name is also the function's
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


# What has to be shown is the trace.


def test_the_pictures_say_what_is_written_in_any_textbook() -> None:
    assert statements(graph(rnn)) == Counter(["x", "h", "tanh[h, x]", *["h' = tanh[h, x]"] * 2])
    said = statements(graph(lstm))
    for name, function in (("i", "σ"), ("f", "σ"), ("g", "tanh"), ("o", "σ")):
        assert said[f"{name} = {function}[h, x]"] == 1
    assert said["c' = ((c × f) + (g × i))"] == 1
    assert said["h' = (o × tanh(((c × f) + (g × i))))"] == 2
    before, after = statements(graph(gru)), statements(graph(gru_reset_after))
    assert before["n = tanh[(h × r), x]"] == 1
    assert after["n = tanh[x] + (Un × r)"] == after["Un = linear[h]"] == 1
    assert before["h' = ((1−(z) × h) + (n × z))"] == after["h' = ((1−(z) × h) + (n × z))"] == 2


@each_cell
def test_every_wire_of_the_trace_is_in_the_graph_or_folded_into_a_box(equation: Cell) -> None:
    """Counted without the folding's own code: each operation is a node, or ends in one box."""
    run, nodes = trace(equation), graph(equation)
    kinds = Counter(wire.kind for wire in run)
    shown = Counter(node.sign for node in nodes)
    assert shown["×"] == kinds["mul"]
    assert shown["σ"] == kinds["sigmoid"]
    assert shown["tanh"] == kinds["tanh"]
    assert shown["1−"] == kinds["sub"]
    layers = [node for node in nodes if node.kind == "layer"]
    assert sum(len(node.inputs) for node in layers) == kinds["matvec"]
    biases = [p for p in run.parameters.values() if len(p.shape) == 1]
    terms = sum(len(node.inputs) + len(node.added) - 1 for node in layers) + len(biases)
    assert kinds["add"] == terms + shown["+"]


@each_cell
def test_the_picture_says_what_the_trace_says(equation: Cell) -> None:
    axis = the_axis(cell(equation))
    nodes = read(axis)
    assert statements(nodes) == statements(graph(equation))
    assert len(nodes) == len(graph(equation))


def test_the_relu_rnn_is_the_rnn_with_another_function_in_its_box() -> None:
    axis = the_axis(cell(relu_rnn))
    assert statements(read(axis))["h' = relu[h, x]"] == 2
    assert text(axis, "ReLU RNN")
    with pytest.raises(ValueError, match=r"the picture of relu_rnn is not .*it lacks: .*tanh\["):
        check(axis, graph(rnn), "relu_rnn")


# Saboteurs: each changes one thing in a right picture of the GRU.


def text(axis: Axes, shown: str, number: int = 0) -> Text:
    return [text for text in axis.texts if text.get_text() == shown][number]


def swap_z_and_r(axis: Axes) -> None:
    z, r = text(axis, "$z$"), text(axis, "$r$")
    z.set_text("$r$")
    r.set_text("$z$")


def minus_for_plus(axis: Axes) -> None:
    text(axis, "+").set_text("−")


def plus_for_times(axis: Axes) -> None:
    text(axis, "×").set_text("+")


def no_one_minus(axis: Axes) -> None:
    text(axis, "1−").set_text("−")


def tanh_for_sigma(axis: Axes) -> None:
    text(axis, "σ").set_text("tanh")


def no_label(axis: Axes) -> None:
    text(axis, "$x_{t}$").remove()


def old_for_new(axis: Axes) -> None:
    text(axis, "$h_{t}$").set_text("$h_{t{-}1}$")


def one_more_wire(axis: Axes) -> None:
    start = patches(axis, "wire")[0].get_path().vertices[0]
    layer = patches(axis, "layer")[0]
    tip = (layer.get_x(), layer.get_y())
    axis.add_patch(PathPatch(path([tuple(start), tip], []), gid="wire"))


def one_more_circle(axis: Axes) -> None:
    axis.add_patch(Circle((3, 3), 0.1, gid="circle"))


def one_more_label(axis: Axes) -> None:
    axis.text(3, 3, "$h_{t}$")


def z_does_not_read_x(axis: Axes) -> None:
    """The wire of x joins the others only behind the fork to the first gate."""
    joining = [
        wire
        for wire in patches(axis, "wire")
        if abs(wire.get_path().vertices[0][1]) < 0.1  # it comes from below
    ]
    joining[0].get_path().vertices[-1][0] += 1


SABOTEURS: dict[str, Callable[[Axes], None]] = {
    function.__name__: function
    for function in (
        swap_z_and_r, minus_for_plus, plus_for_times, no_one_minus, tanh_for_sigma, no_label,
        old_for_new, one_more_wire, one_more_circle, one_more_label, z_does_not_read_x,
    )
}  # fmt: skip


@pytest.mark.parametrize("sabotage", SABOTEURS.values(), ids=SABOTEURS)
def test_a_saboteur_is_caught(sabotage: Callable[[Axes], None]) -> None:
    axis = the_axis(cell(gru))
    check(axis, graph(gru), "gru")
    sabotage(axis)
    with pytest.raises(ValueError, match="the picture of gru"):
        check(axis, graph(gru), "gru")


@each_cell
def test_no_wire_and_no_arrowhead_may_be_missing(equation: Cell) -> None:
    kinds = ("wire", "head")
    count = {kind: len(patches(the_axis(cell(equation)), kind)) for kind in kinds}
    assert count["wire"] >= count["head"] >= 3
    axis = the_axis(cell(equation))
    for kind in kinds:
        for patch in patches(axis, kind):
            patch.set_gid("hidden")
            with pytest.raises(ValueError, match="the picture of"):
                check(axis, graph(equation), equation.__name__)
            patch.set_gid(kind)
    check(axis, graph(equation), equation.__name__)


@each_cell
def test_a_layout_that_lacks_a_wire_or_has_one_too_many_is_refused(
    equation: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = layout_of(equation.__name__, graph(equation))
    for wires in (
        *(right.wires[:k] + right.wires[k + 1 :] for k in range(len(right.wires))),
        *((*right.wires, wire) for wire in right.wires),
    ):
        wrong = dataclasses.replace(right, wires=wires)
        monkeypatch.setattr(MODULE, "LAYOUTS", (wrong,))
        with pytest.raises(ValueError, match=r"the picture of|no wire passes"):
            cell(equation)
        plt.close("all")


def test_an_equation_with_swapped_gates_is_not_drawn_as_a_gru() -> None:
    def swapped(x: Any, h: Any, p: Any) -> Any:
        z = sigmoid(p.Wz @ x + p.Uz @ h + p.bz)
        r = sigmoid(p.Wr @ x + p.Ur @ h + p.br)
        n = tanh(p.Wn @ x + p.Un @ (z * h) + p.bn)
        return (1 - r) * h + r * n

    with pytest.raises(ValueError, match=r"cell swapped: no place for .*'1 - r'"):
        cell(swapped)


def test_the_same_boxes_with_other_wires_are_not_drawn_as_a_gru() -> None:
    def blind(x: Any, h: Any, p: Any) -> Any:
        z = sigmoid(p.Wz @ x + p.bz)
        r = sigmoid(p.Wr @ x + p.Ur @ h + p.br)
        n = tanh(p.Wn @ x + p.Un @ (r * h) + p.bn)
        return (1 - z) * h + z * n

    with pytest.raises(ValueError, match=r"it lacks: z = σ\[x\]; it says falsely: z = σ\[h, x\]"):
        cell(blind)


def test_weights_of_another_letter_cannot_hide_in_a_box() -> None:
    def slip(x: Any, h: Any, p: Any) -> Any:
        z = sigmoid(p.Wr @ x + p.Uz @ h + p.bz)
        return z * h

    with pytest.raises(ValueError, match="hides Wr in a box that is called z"):
        graph(slip)


def test_what_has_no_sign_is_refused() -> None:
    with pytest.raises(ValueError, match="has no sign in a picture"):
        graph(lambda x, h, p: tanh(p.W @ x + p.U @ h) - h)
