"""The fused engine computes what the plain loop does: outputs, states, gradients."""

import importlib

import numpy as np
import pytest
import torch

from companion import gru, gru_reset_after, lstm, rnn, sigmoid, softplus, tanh
from companion.nn import GRU, LSTM, Recurrent
from companion.nn.fused import fused
from companion.symbolic import backward
from companion.variants import min_gru, peephole_lstm, relu_rnn

CELLS = [rnn, lstm, gru, gru_reset_after, peephole_lstm, min_gru]


def both(layer, *given, **named):
    """Outputs, states and gradients by the plain loop and by the fused one."""
    found = []
    for engine in (layer.loop, fused):
        layer.loop = engine
        outputs, state = layer(*given, **named)
        parts = state if isinstance(state, tuple) else (state,)
        layer.zero_grad()
        (outputs.sin().sum() + sum(part.square().sum() for part in parts)).backward()
        found.append([outputs, *parts, *(p.grad for p in layer.parameters())])
    return zip(*found, strict=True)


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.__name__)
@pytest.mark.parametrize("models", [None, 3])
@pytest.mark.parametrize("sizes", [(4, 5), (1, 5), (4, 1), (1, 1)])
def test_it_is_the_plain_loop(cell, models, sizes):
    D, H = sizes
    rng = np.random.default_rng(1)
    layer = Recurrent(cell, D, H, models=models, rng=rng, dtype=torch.float64)
    xs = torch.tensor(rng.standard_normal((6, 2, D)))
    for plain, other in both(layer, xs):
        torch.testing.assert_close(other, plain, rtol=0, atol=1e-12)


def test_each_model_may_have_inputs_of_its_own():
    rng = np.random.default_rng(2)
    layer = Recurrent(gru, 4, 5, models=3, rng=rng, dtype=torch.float64)
    xs = torch.tensor(rng.standard_normal((6, 3, 2, 4)))
    for plain, other in both(layer, xs, lengths=torch.tensor([6, 2])):
        torch.testing.assert_close(other, plain, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", [LSTM, GRU])
def test_layers_directions_and_lengths(kind):
    torch.manual_seed(3)
    layer = kind(4, 5, num_layers=2, bidirectional=True, dtype=torch.float64)
    xs = torch.randn(6, 3, 4, dtype=torch.float64)
    packed = torch.nn.utils.rnn.pack_padded_sequence(xs, [6, 5, 2])
    for given in (xs, xs[:, 0]):
        for plain, other in both(layer, given):
            torch.testing.assert_close(other, plain, rtol=0, atol=1e-12)
    layer.loop = fused
    other, _ = layer(packed)
    layer = type(layer)(4, 5, num_layers=2, bidirectional=True, dtype=torch.float64).eval()
    assert other.data.shape == (13, 10)


def mixed(x, h, p):
    """All that an expression may have: U of a product, a matrix twice, numbers."""
    a = sigmoid(p.Wa @ x + p.Ua @ (0.5 * h * h) + p.ba)
    b = softplus(p.Ua @ h - p.v * h) - 2 * a
    return a * tanh(p.Wa @ x + p.Ub @ (a * b) + p.Ub @ h) + 0.25 * (1 - a) * h + b * b * p.v


def shifted(x, h, c, p):
    """Two states that trade places, one of them without a gradient of its own at the end."""
    return tanh(p.W @ x + p.U @ c), h


@pytest.mark.parametrize("cell", [mixed, shifted, relu_rnn], ids=lambda cell: cell.__name__)
def test_it_reads_the_expressions_of_any_cell(cell):
    layer = Recurrent(cell, 4, 5, models=2, rng=np.random.default_rng(4), dtype=torch.float64)
    xs = torch.tensor(np.random.default_rng(5).standard_normal((6, 3, 4)))
    for plain, other in both(layer, xs):
        torch.testing.assert_close(other, plain, rtol=0, atol=1e-12)


def test_the_gradients_of_inputs_and_first_states_come_back_too():
    layer = Recurrent(
        lstm, 4, 5, learn_state=True, rng=np.random.default_rng(6), dtype=torch.float64
    )
    xs = torch.randn(6, 3, 4, dtype=torch.float64, requires_grad=True)
    given = [torch.randn(1, 3, 5, dtype=torch.float64, requires_grad=True) for _ in "hc"]
    found = []
    for engine in (layer.loop, fused):
        layer.loop = engine
        loss = layer(xs, tuple(given))[0].sin().sum() + layer(xs)[0].cos().sum()
        found.append(torch.autograd.grad(loss, [xs, *given, *layer.parameters()]))
    for plain, other in zip(*found, strict=True):
        torch.testing.assert_close(other, plain, rtol=0, atol=1e-12)


def test_the_gradient_is_the_one_of_finite_differences():
    layer = Recurrent(peephole_lstm, 2, 3, rng=np.random.default_rng(7), dtype=torch.float64)
    layer.loop = fused
    xs = torch.randn(4, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: layer(x)[0], xs)


def test_a_wrong_derivative_is_seen(monkeypatch):
    """The negative control: one line of the backward step is doubled; outputs do not show it."""
    module = importlib.import_module("companion.nn.fused")
    plan = module._Plan(backward(gru))
    name, value = plan.back[0]
    plan.back[0] = (name, lambda values: 2 * value(values))
    monkeypatch.setattr(module, "_plan", lambda cell: plan)
    layer = Recurrent(gru, 2, 3, rng=np.random.default_rng(8), dtype=torch.float64)
    found = list(both(layer, torch.randn(4, 2, 2, dtype=torch.float64)))
    for plain, other in found[:2]:
        torch.testing.assert_close(other, plain, rtol=0, atol=1e-12)
    assert any((other - plain).abs().max() > 1e-3 for plain, other in found[2:])


def test_an_input_that_is_not_read_has_no_gradient():
    def deaf(x, h, p):
        return tanh(p.U @ h + p.b)

    layer = Recurrent(deaf, 2, 3, rng=np.random.default_rng(9), dtype=torch.float64)
    layer.loop = fused
    xs = torch.randn(4, 2, 2, dtype=torch.float64, requires_grad=True)
    layer(xs)[0].sum().backward()
    assert xs.grad is None or not xs.grad.any()
    assert layer.l0.U.grad.any()


def test_a_second_derivative_is_refused():
    layer = Recurrent(gru, 2, 3, dtype=torch.float64)
    layer.loop = fused
    xs = torch.randn(4, 2, 2, dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(layer(xs)[0].exp().sum(), xs, create_graph=True)
    with pytest.raises(RuntimeError, match=r"once_differentiable|not have been used"):
        torch.autograd.grad(first.sum(), xs)


def test_nothing_is_kept_without_gradients():
    layer = Recurrent(gru, 2, 3, dtype=torch.float64)
    xs = torch.randn(4, 2, 2, dtype=torch.float64)
    before = layer(xs)[0].detach()
    layer.loop = fused
    with torch.no_grad():
        torch.testing.assert_close(layer(xs)[0], before, rtol=0, atol=1e-14)
