"""ONNX's layout is ONNX's: its reference evaluator gives the same outputs, and others differ.

The evaluator runs all that is tested here: three directions, peepholes, both resets, in float32
and float64. Each model is one node and passes ONNX's checker.
"""

import numpy as np
import onnx
import pytest
from cells_under_test import one, parts
from onnx import helper
from onnx.reference import ReferenceEvaluator
from test_convert import neighbours_exchanged, wrong_orders

import companion as co
from companion import convert
from companion.convert import gates

NODES = {
    co.rnn: ("RNN", {}),
    co.lstm: ("LSTM", {}),
    co.peephole_lstm: ("LSTM", {}),
    co.gru: ("GRU", {"linear_before_reset": 0}),
    co.gru_reset_after: ("GRU", {"linear_before_reset": 1}),
}
TOLERANCES = {"float32": 1e-6, "float64": 1e-12}
DIRECTIONS = ("forward", "reverse", "bidirectional")
INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")  # of an LSTM


def theirs(cell, weights, xs, state, direction="forward", **attributes):
    """Outputs (T, N, B, H) and last states (N, B, H) of the reference evaluator."""
    operator, more = NODES[cell]
    initial_c = {"initial_c": state[1]} if len(state) > 1 else {}
    given = {"X": xs, **weights, "initial_h": state[0], **initial_c}
    names = [name if name in given else "" for name in INPUTS]
    while not names[-1]:
        names.pop()
    outputs = ["Y", "Y_h", "Y_c"][: 1 + len(state)]
    options = {"hidden_size": weights["R"].shape[-1], "direction": direction, **more, **attributes}
    kind = helper.np_dtype_to_tensor_dtype(xs.dtype)
    graph = helper.make_graph(
        [helper.make_node(operator, names, outputs, **options)],
        "one_node",
        [helper.make_tensor_value_info(name, kind, a.shape) for name, a in given.items()],
        [
            helper.make_tensor_value_info(name, kind, [None] * (4 if name == "Y" else 3))
            for name in outputs
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)])
    onnx.checker.check_model(model, full_check=True)
    return ReferenceEvaluator(model).run(None, given)


def ours(cell, ps, xs, state, turned):
    """The same by scans, one for each direction; turned says which run from the end."""
    outputs, last = [], []
    for k, (p, back) in enumerate(zip(ps, turned, strict=True)):
        step = -1 if back else 1
        out, end = co.scan(cell, xs[::step], one(tuple(part[k] for part in state)), p)
        outputs.append(out[::step])
        last.append(parts(end))
    return np.stack(outputs, axis=1), *map(np.stack, zip(*last, strict=True))


def drawn(cell, rng, N=1, dtype="float64"):
    xs = rng.standard_normal((6, 2, 3)).astype(dtype)
    return xs, tuple(rng.uniform(-1, 1, (N, 2, 4)).astype(dtype) for _ in co.trace(cell).states)


def drawn_weights(cell, rng, N=1, dtype="float64", without=()):
    """All that the operator can be given, also what our own weights leave zero."""
    G, D, H = len(gates.ORDERS["ONNX"][cell]), 3, 4
    shapes = {"W": (N, G * H, D), "R": (N, G * H, H), "B": (N, 2 * G * H), "P": (N, 3 * H)}
    if cell is not co.peephole_lstm:
        del shapes["P"]
    return {
        name: rng.uniform(-0.7, 0.7, shape).astype(dtype)
        for name, shape in shapes.items()
        if name not in without
    }


def off(one_run, other_run):
    return max(float(np.abs(a - b).max()) for a, b in zip(one_run, other_run, strict=True))


def sets_of(ps, direction):
    return ps if direction == "bidirectional" else (ps,)


TURNED = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("cell", NODES)
def test_onnxs_weights_give_onnxs_outputs(cell, direction, dtype):
    rng = np.random.default_rng(0)
    turned = TURNED[direction]
    for without in ((), ("B", "P"), ("B",)):
        weights = drawn_weights(cell, rng, len(turned), dtype, without)
        xs, state = drawn(cell, rng, len(turned), dtype)
        ps = sets_of(convert.from_onnx(cell, weights, direction=direction), direction)
        expected = theirs(cell, weights, xs, state, direction)
        assert {array.dtype for array in (*expected, *ps[0])} == {np.dtype(dtype)}
        assert off(ours(cell, ps, xs, state, turned), expected) < TOLERANCES[dtype]
        # The negative control: the other direction, or the two directions exchanged.
        wrong = turned[::-1] if len(turned) == 2 else (not turned[0],)
        assert off(ours(cell, ps, xs, state, wrong), expected) > 1e-3


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("cell", NODES)
def test_our_weights_give_our_outputs(cell, direction, dtype):
    rng = np.random.default_rng(1)
    turned = TURNED[direction]
    ps = tuple(co.init(cell, 3, 4, rng, dtype=dtype) for _ in turned)
    weights = convert.to_onnx(cell, ps if len(ps) == 2 else ps[0], direction=direction)
    xs, state = drawn(cell, rng, len(turned), dtype)
    expected = theirs(cell, weights, xs, state, direction)
    assert off(ours(cell, ps, xs, state, turned), expected) < TOLERANCES[dtype]


def with_table(cell):
    """How far the outputs are off with the table of gates as it is at the moment."""
    rng = np.random.default_rng(2)
    weights = drawn_weights(cell, rng)
    xs, state = drawn(cell, rng)
    p = convert.from_onnx(cell, weights)
    return off(ours(cell, (p,), xs, state, (False,)), theirs(cell, weights, xs, state))


@pytest.mark.parametrize(("cell", "order"), wrong_orders("ONNX"))
def test_gates_in_another_order_are_seen(cell, order, monkeypatch):
    assert with_table(cell) < 1e-12
    monkeypatch.setitem(gates.ORDERS["ONNX"], cell, order)
    assert with_table(cell) > 1e-3


@pytest.mark.parametrize("order", neighbours_exchanged(gates.PEEPHOLES))
def test_peepholes_in_another_order_are_seen(order, monkeypatch):
    monkeypatch.setattr(gates, "PEEPHOLES", order)
    assert with_table(co.peephole_lstm) > 1e-3


@pytest.mark.parametrize("cell", [co.gru, co.gru_reset_after])
@pytest.mark.parametrize("negated", [(), ("r",), ("z", "r")])
def test_another_sign_is_seen(cell, negated, monkeypatch):
    monkeypatch.setattr(gates, "NEGATED", negated)
    assert with_table(cell) > 1e-3


@pytest.mark.parametrize(("cell", "before"), [(co.gru, 0), (co.gru_reset_after, 1)])
def test_the_other_reset_is_seen(cell, before):
    rng = np.random.default_rng(3)
    p = co.init(cell, 3, 4, rng)
    weights = convert.to_onnx(cell, p)
    xs, state = drawn(cell, rng)
    result = ours(cell, (p,), xs, state, (False,))
    assert off(result, theirs(cell, weights, xs, state, linear_before_reset=before)) < 1e-12
    assert off(result, theirs(cell, weights, xs, state, linear_before_reset=1 - before)) > 1e-3


def test_the_relu_network_has_the_plain_ones_layout():
    """The evaluator knows no Relu, so its weights are compared with those of the tanh network."""
    p = co.init(co.relu_rnn, 3, 4, np.random.default_rng(4))
    weights, plain = (convert.to_onnx(cell, p) for cell in (co.relu_rnn, co.rnn))
    assert weights.keys() == plain.keys()
    assert all(np.array_equal(weights[name], plain[name]) for name in plain)


def test_a_missing_peephole_is_seen():
    rng = np.random.default_rng(4)
    p = co.init(co.peephole_lstm, 3, 4, rng)
    weights = convert.to_onnx(co.peephole_lstm, p)
    xs, state = drawn(co.lstm, rng)
    result = ours(co.peephole_lstm, (p,), xs, state, (False,))
    del weights["P"]
    assert off(result, theirs(co.lstm, weights, xs, state)) > 1e-3
