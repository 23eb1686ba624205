"""The JAX extra: the same cells, unmodified, under jit, grad, vmap and lax.scan."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from cells_under_test import drawn, name, one, parts

from companion import (
    gru,
    gru_reset_after,
    init,
    lstm,
    lstm_host,
    min_lstm,
    relu,
    relu_rnn,
    rnn,
    scan,
    sigmoid,
    softplus,
    step,
    tanh,
    zero_state,
)
from companion.symbolic import bptt

CELLS = (rnn, relu_rnn, lstm, gru, gru_reset_after, lstm_host, min_lstm)  # two inputs; softplus
cells = pytest.mark.parametrize("cell", CELLS, ids=name)


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):  # for these tests only: elsewhere JAX is as it comes
        yield


def to_jax(tree):
    return jax.tree.map(jnp.asarray, tree)


def run(cell, xs, state, p):
    """A cell over time with JAX's own loop; xs and state as for `scan`, single vectors."""

    def turn(now, x):
        new = parts(cell(*parts(x), *now, p))
        return new, new[0]

    last, outputs = jax.lax.scan(turn, parts(state), xs)
    return outputs, one(last)


def weighed(outputs, last, d_outputs, d_state):
    """A loss whose gradients with respect to the outputs and the last state are those given."""
    shares = zip(parts(last), parts(d_state), strict=True)
    return (outputs * d_outputs).sum() + sum((a * b).sum() for a, b in shares)


def task(cell, seed, batch_size=None):
    rng = np.random.default_rng(seed)
    p, xs, state = drawn(cell, rng, 12, 3, 4, batch_size)
    d_outputs = rng.standard_normal((*parts(xs)[0].shape[:-1], 4))
    return p, xs, state, d_outputs, one(tuple(rng.standard_normal(s.shape) for s in parts(state)))


def close(ours, theirs, within):
    ours, theirs = jax.tree.leaves(ours), jax.tree.leaves(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == np.float64
        np.testing.assert_allclose(np.asarray(a), b, rtol=0, atol=within)


# The functions.

SLOPES = {
    sigmoid: lambda a: sigmoid(a) * sigmoid(-a),
    tanh: lambda a: 1 - np.tanh(a) ** 2,
    softplus: sigmoid,
    relu: lambda a: np.heaviside(a, 0),
}
functions = pytest.mark.parametrize("function", SLOPES, ids=lambda f: f.__name__)


@functions
def test_functions_are_numpys_with_their_slopes(function):
    a = np.array([-700.0, -40, -8.3, -1, -1e-9, 0, 1e-9, 0.4, 1, 8.3, 40, 700])
    for transform in (lambda f: f, jax.jit, jax.vmap):
        np.testing.assert_allclose(transform(function)(jnp.asarray(a)), function(a), rtol=1e-14)
    slopes = jax.jit(jax.vmap(jax.grad(function)))(a)
    np.testing.assert_allclose(slopes, SLOPES[function](a), rtol=1e-14, atol=1e-15)
    for kind in (np.float32, np.float64):
        assert function(jnp.asarray(a, kind)).dtype == kind
    with pytest.raises(TypeError, match="a is a list; expected a NumPy array, a torch tensor, a J"):
        function([jnp.asarray(a)])


def test_relu_at_zero_is_not_the_maximum():
    """The negative control: JAX's maximum shares the slope at 0 between its arguments."""
    assert jax.grad(relu)(0.0) == 0
    assert jax.grad(lambda a: jnp.maximum(a, 0.0))(0.0) == 0.5


def test_companion_alone_brings_no_jax():
    code = "import sys, companion; assert not {'jax', 'jaxlib', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# The cells.


@pytest.mark.parametrize("cell", [rnn, lstm, gru, gru_reset_after])
def test_a_batch_is_a_vmap(cell):
    """B = H = 4, where a slip of rows and columns raises nothing."""
    p, xs, state, *_ = task(cell, 1, batch_size=4)
    members = jax.vmap(run, in_axes=(None, 1, 0, None), out_axes=(1, 0))
    ours = jax.jit(members, static_argnums=0)(cell, *to_jax((xs, state, p)))
    close(ours, scan(cell, xs, state, p), 1e-12)
    transposed = members(cell, *to_jax((xs, jax.tree.map(np.transpose, state), p)))
    assert np.abs(transposed[0] - ours[0]).max() > 1e-3


def by_torch(cell, xs, state, p, d_outputs, d_state):
    leaves = jax.tree.map(lambda a: torch.tensor(a, requires_grad=True), (p, xs, state))
    weights, series, first = leaves
    outputs, last = scan(cell, series, first, weights)
    seeds = jax.tree.map(torch.tensor, (d_outputs, d_state))
    weighed(outputs, last, *seeds).backward()
    return jax.tree.map(lambda a: 0 * a.detach() if a.grad is None else a.grad, leaves)


@cells
def test_numbers_are_numpys_and_gradients_torchs(cell):
    """By all weights, inputs and the first state, through jit, grad and lax.scan at once."""
    p, xs, state, d_outputs, d_state = task(cell, 2)

    def loss(p, xs, state):
        outputs, last = run(cell, xs, state, p)
        return weighed(outputs, last, *to_jax((d_outputs, d_state))), (outputs, last)

    slopes = jax.jit(jax.grad(loss, argnums=(0, 1, 2), has_aux=True))
    found, numbers = slopes(*to_jax((p, xs, state)))
    close(numbers, scan(cell, xs, state, p), 1e-12)
    assert type(found[0]) is type(p)
    close(found, by_torch(cell, xs, state, p, d_outputs, d_state), 1e-10)
    close(found, tuple(bptt(cell, xs, state, p, d_outputs, d_state)), 1e-10)
    # The negative control: one weight that is a little off is seen, in both.
    moved, (outputs, _) = slopes(*to_jax((p._replace(**{p._fields[0]: p[0] + 1e-5}), xs, state)))
    assert np.abs(outputs - numbers[0]).max() > 1e-9
    assert max(np.abs(a - b).max() for a, b in zip(moved[0], found[0], strict=True)) > 1e-9


@pytest.mark.parametrize("cell", [rnn, lstm])
def test_a_gradient_that_is_cut_differs(cell):
    """The negative control: when no gradient passes from step to step, it is another."""
    p, xs, state, d_outputs, d_state = task(cell, 3)

    def cut(x, *rest):
        *now, p = rest
        return cell(x, *map(jax.lax.stop_gradient, now), p)

    def loss(p, cell):
        return weighed(*run(cell, *to_jax((xs, state)), p), *to_jax((d_outputs, d_state)))

    slopes = jax.jit(jax.grad(loss), static_argnums=1)
    whole, short = (slopes(to_jax(p), equation) for equation in (cell, cut))
    assert np.abs(whole[1] - short[1]).max() > 1e-3  # that of the first U


def test_a_parameter_set_is_a_tree():
    p = to_jax(init(gru, 3, 4, np.random.default_rng(0)))
    leaves, structure = jax.tree.flatten(p)
    assert [leaf.shape for leaf in leaves] == [value.shape for value in p]
    assert type(jax.tree.unflatten(structure, leaves)) is type(p)
    assert str(jax.tree_util.tree_flatten_with_path(p)[0][1][0][0]) == ".Uz"
    xs, state = jnp.ones((5, 3)), jnp.zeros(4)

    @jax.jit
    def descend(p):
        loss, slopes = jax.value_and_grad(lambda p: (run(gru, xs, state, p)[0] ** 2).mean())(p)
        return loss, jax.tree.map(lambda a, slope: a - 0.5 * slope, p, slopes)

    losses = []
    for _ in range(20):  # gradient descent, on the tree as a whole
        loss, p = descend(p)
        losses.append(float(loss))
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0] / 2


def test_ten_models_at_once():
    """A vmap over parameter sets: leading axes (E, H, D), as torch.func stacks them."""
    rng = np.random.default_rng(4)
    sets = [init(lstm, 3, 4, rng) for _ in range(10)]
    stacked = jax.tree.map(lambda *values: jnp.stack(values), *sets)
    xs, zero = rng.standard_normal((6, 3)), (np.zeros(4), np.zeros(4))
    outputs, _ = jax.vmap(run, in_axes=(None, None, None, 0))(lstm, *to_jax((xs, zero)), stacked)
    for ours, p in zip(outputs, sets, strict=True):
        close(ours, scan(lstm, xs, zero, p)[0], 1e-12)


# The checked step and scan.


@cells
@pytest.mark.parametrize("batch_size", [None, 3])
def test_step_and_scan_take_jax_arrays(cell, batch_size):
    p, xs, state, *_ = task(cell, 5, batch_size)
    ours = scan(cell, *to_jax((xs, state, p)))
    assert isinstance(ours[0], jax.Array)
    close(ours, scan(cell, xs, state, p), 1e-12)
    first = jax.tree.map(lambda series: series[0], xs)
    close(step(cell, *to_jax((first, state, p))), step(cell, first, state, p), 1e-12)
    zero = zero_state(cell, to_jax(p), batch_size)
    assert all(isinstance(part, jax.Array) for part in parts(zero))
    close(zero, zero_state(cell, p, batch_size), 0)


@pytest.mark.parametrize("cell", [rnn, lstm])
def test_scan_can_be_compiled_and_differentiated(cell):
    """Unrolled, with its checks done once, while JAX traces: compiling that is slow, so T = 3."""
    p, xs, state, d_outputs, d_state = task(cell, 6, batch_size=2)
    xs, d_outputs = xs[:3], d_outputs[:3]

    def loss(p, xs, state):
        return weighed(*scan(cell, xs, state, p), d_outputs, d_state)

    found = jax.jit(jax.grad(loss, argnums=(0, 1, 2)))(*to_jax((p, xs, state)))
    close(found, tuple(bptt(cell, xs, state, p, d_outputs, d_state)), 1e-10)
    with pytest.raises(ValueError, match=r"xs has shape \(3, 2, 2\); expected \(T, 3\)"):
        jax.jit(loss)(*to_jax((p, xs[..., :2], state)))


def test_float32_stays_float32():
    p = to_jax(init(lstm, 2, 3, np.random.default_rng(0), dtype=np.float32))
    outputs, state = scan(lstm, jnp.ones((4, 2), np.float32), zero_state(lstm, p), p)
    assert {a.dtype for a in (outputs, *state)} == {np.dtype(np.float32)}
    with jax.enable_x64(False):
        assert to_jax(init(lstm, 2, 3, np.random.default_rng(0))).Wi.dtype == np.float32


def test_a_mixture_is_refused():
    p = to_jax(init(gru, 3, 4, np.random.default_rng(0)))
    x, h = jnp.ones(3), jnp.zeros(4)
    assert step(gru, x, h, p).shape == (4,)
    for bad, message in [
        ((np.ones(3), h, p), "state is jax float64 and x is numpy float64; expected one library"),
        ((x, torch.zeros(4), p), "state is torch torch.float32 and x is jax float64"),
        ((x, h.astype(np.float32), p), "state is jax float32 and x is jax float64"),
        ((jnp.ones(3, int), h, p), "x has dtype int64; expected real floating-point"),
        ((x, h, p._replace(bz=np.zeros(4))), "p.bz is numpy float64 and x is jax float64"),
    ]:
        with pytest.raises(TypeError, match=message):
            step(gru, *bad)
    with pytest.raises(ValueError, match=r"p.bz has shape \(4, 1\); expected \(4,\)"):
        step(gru, x, h, p._replace(bz=jnp.zeros((4, 1))))
