"""Keras' layout is Keras': the same weights give the same outputs, and no others do.

Keras runs on torch here, where its ``matmul`` computes in float32 whatever a layer's dtype is. The
loops that it keeps for LSTM and for GRU with ``reset_after`` do without it: so these two are
compared in float64 too, and everything, through the general loop as well, in float32.
"""

import os
import warnings
from functools import partial

import numpy as np
import pytest
from cells_under_test import one, parts
from test_convert import wrong_orders

import companion as co
from companion import convert
from companion.convert import gates

# Read when Keras is imported. No file of settings is read, and none is written.
os.environ |= {"KERAS_BACKEND": "torch", "KERAS_TORCH_DEVICE": "cpu", "KERAS_HOME": os.devnull}
import keras

layers = keras.layers
SPECIAL = {co.lstm: layers.LSTM, co.gru_reset_after: partial(layers.GRU, reset_after=True)}
GENERAL = {
    co.rnn: layers.SimpleRNN,
    co.relu_rnn: partial(layers.SimpleRNN, activation="relu"),
    co.lstm: partial(layers.LSTM, use_cudnn=False),
    co.gru: partial(layers.GRU, reset_after=False),
    co.gru_reset_after: partial(layers.GRU, reset_after=True, use_cudnn=False),
}
CASES = [
    pytest.param(cell, make, dtype, tolerance, id=f"{cell.__name__}-{loop}-{dtype}")
    for loop, makes, dtype, tolerance in (
        ("general", GENERAL, "float32", 1e-6),
        ("special", SPECIAL, "float32", 1e-6),
        ("special", SPECIAL, "float64", 1e-12),
    )
    for cell, make in makes.items()
]


def layer_of(make, rng, dtype="float32", **options):
    """A layer of Keras whose weights are all drawn, the biases too."""
    layer = make(4, return_sequences=True, return_state=True, dtype=dtype, **options)
    layer.build((None, None, 3))
    layer.set_weights([rng.uniform(-0.5, 0.5, tuple(w.shape)) for w in layer.weights])
    return layer


def weights_of(layer):
    with warnings.catch_warnings():  # Keras' own call of NumPy is of an old kind
        warnings.filterwarnings("ignore", message="__array__ implementation doesn't accept")
        return layer.get_weights()


def drawn(cell, rng, dtype="float32", states=None):
    count = states or len(co.trace(cell).states)
    xs = rng.standard_normal((6, 2, 3)).astype(dtype)
    return xs, tuple(rng.uniform(-1, 1, (2, 4)).astype(dtype) for _ in range(count))


def theirs(layer, xs, state):
    """Outputs (T, B, ·) and last states of a layer of Keras, which puts the batch first."""
    results = layer(xs.swapaxes(0, 1), initial_state=list(state))
    outputs, *last = (result.detach().numpy() for result in results)
    return outputs.swapaxes(0, 1), *last


def ours(cell, p, xs, state):
    outputs, last = co.scan(cell, xs, one(state), p)
    return outputs, *parts(last)


def off(one_run, other_run):
    return max(float(np.abs(a - b).max()) for a, b in zip(one_run, other_run, strict=True))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("cell", "make", "dtype", "tolerance"), CASES)
def test_kerass_weights_give_kerass_outputs(cell, make, dtype, tolerance, bias):
    rng = np.random.default_rng(0)
    for _ in range(3):
        layer = layer_of(make, rng, dtype, use_bias=bias)
        xs, state = drawn(cell, rng, dtype)
        p = convert.from_keras(cell, weights_of(layer))
        assert all(array.dtype == dtype for array in p)
        expected = theirs(layer, xs, state)
        assert {array.dtype for array in expected} == {np.dtype(dtype)}
        assert off(ours(cell, p, xs, state), expected) < tolerance


@pytest.mark.parametrize(("cell", "make", "dtype", "tolerance"), CASES)
def test_our_weights_give_our_outputs(cell, make, dtype, tolerance):
    rng = np.random.default_rng(1)
    layer = layer_of(make, rng, dtype)
    xs, state = drawn(cell, rng, dtype)
    p = co.init(cell, 3, 4, rng, dtype=dtype)
    assert off(ours(cell, p, xs, state), theirs(layer, xs, state)) > 1e-3
    layer.set_weights(convert.to_keras(cell, p))
    assert off(ours(cell, p, xs, state), theirs(layer, xs, state)) < tolerance
    again = convert.from_keras(cell, weights_of(layer))
    assert all(map(np.array_equal, p, again))


def test_the_weights_of_both_directions():
    """They are one list, forward before backward, as the module's table says."""
    rng = np.random.default_rng(2)
    inner = layers.GRU(4, return_sequences=True, dtype="float64")
    layer = layers.Bidirectional(inner, dtype="float64")
    layer.build((None, None, 3))
    layer.set_weights([rng.uniform(-0.5, 0.5, tuple(w.shape)) for w in layer.weights])
    weights = weights_of(layer)
    cell = co.gru_reset_after
    forward, backward = (convert.from_keras(cell, half) for half in (weights[:3], weights[3:]))
    xs, (h,) = drawn(cell, rng, "float64")
    expected = layer(xs.swapaxes(0, 1)).detach().numpy().swapaxes(0, 1)

    def run(p, q):
        one_way, _ = co.scan(cell, xs, 0 * h, p)
        other_way, _ = co.scan(cell, xs[::-1], 0 * h, q)
        return np.concatenate([one_way, other_way[::-1]], axis=-1)

    np.testing.assert_allclose(run(forward, backward), expected, rtol=0, atol=1e-12)
    assert np.abs(run(backward, forward) - expected).max() > 1e-3


def with_table(cell):
    """How far the outputs are off with the table of gates as it is at the moment."""
    rng = np.random.default_rng(3)
    layer = layer_of(GENERAL[cell], rng)
    xs, state = drawn(cell, rng)
    p = convert.from_keras(cell, weights_of(layer))
    return off(ours(cell, p, xs, state), theirs(layer, xs, state))


@pytest.mark.parametrize(("cell", "order"), wrong_orders("Keras"))
def test_gates_in_another_order_are_seen(cell, order, monkeypatch):
    assert with_table(cell) < 1e-6
    monkeypatch.setitem(gates.ORDERS["Keras"], cell, order)
    assert with_table(cell) > 1e-3


@pytest.mark.parametrize("cell", [co.gru, co.gru_reset_after])
@pytest.mark.parametrize("negated", [(), ("r",), ("z", "r")])
def test_another_sign_is_seen(cell, negated, monkeypatch):
    monkeypatch.setattr(gates, "NEGATED", negated)
    assert with_table(cell) > 1e-3


@pytest.mark.parametrize(
    ("cell", "other"), [(co.gru, co.gru_reset_after), (co.gru_reset_after, co.gru)]
)
def test_the_other_reset_is_seen(cell, other):
    """Without biases both lists have the same shapes, so only the outputs can tell."""
    rng = np.random.default_rng(4)
    layer = layer_of(GENERAL[cell], rng, use_bias=False)
    xs, state = drawn(cell, rng)
    right, wrong = (convert.from_keras(c, weights_of(layer)) for c in (cell, other))
    assert off(ours(cell, right, xs, state), theirs(layer, xs, state)) < 1e-6
    assert off(ours(other, wrong, xs, state), theirs(layer, xs, state)) > 1e-3


def test_the_two_biases_of_reset_after_are_two():
    rng = np.random.default_rng(5)
    layer = layer_of(GENERAL[co.gru_reset_after], rng)
    xs, state = drawn(co.gru_reset_after, rng)
    p = convert.from_keras(co.gru_reset_after, weights_of(layer))
    wrong = p._replace(bn=p.bn + p.bUn, bUn=0 * p.bUn)
    assert off(ours(co.gru_reset_after, wrong, xs, state), theirs(layer, xs, state)) > 1e-3
