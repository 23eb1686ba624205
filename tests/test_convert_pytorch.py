"""PyTorch's layout is PyTorch's: the same weights give the same outputs, and no others do."""

from functools import partial

import numpy as np
import pytest
import torch
from cells_under_test import one, parts
from hypothesis import given, settings
from hypothesis import strategies as st
from test_convert import wrong_orders

import companion as co
from companion import convert
from companion.convert import gates

MODULES = {
    co.rnn: torch.nn.RNN,
    co.relu_rnn: partial(torch.nn.RNN, nonlinearity="relu"),
    co.lstm: torch.nn.LSTM,
    co.gru_reset_after: torch.nn.GRU,
}
TOLERANCES = {"float32": 1e-6, "float64": 1e-12}
sizes = st.integers(1, 5)
seeds = st.integers(0, 2**32 - 1)


def module_of(cell, seed, input_size=3, hidden_size=4, dtype="float64", **options):
    """PyTorch's own, with its own first weights: every bias of it is drawn, none is zero."""
    torch.manual_seed(seed)
    return MODULES[cell](input_size, hidden_size, dtype=getattr(torch, dtype), **options)


def theirs(module, xs, state):
    """Outputs and last states (N, B, H) of PyTorch, for states (N, B, H) in a tuple."""
    with torch.no_grad():
        outputs, last = module(torch.tensor(xs), one(tuple(map(torch.tensor, state))))
    return outputs.numpy(), tuple(part.numpy() for part in parts(last))


def ours(cell, ps, xs, state, directions=1):
    """The same from scans alone: layer above layer, each reverse one over the turned sequence."""
    last = []
    for k in range(0, len(ps), directions):
        outputs = []
        for way in range(directions):
            step = -1 if way else 1
            start = one(tuple(part[k + way] for part in state))
            out, end = co.scan(cell, xs[::step], start, ps[k + way])
            outputs.append(out[::step])
            last.append(parts(end))
        xs = np.concatenate(outputs, axis=-1)
    return xs, tuple(map(np.stack, zip(*last, strict=True)))


def drawn(cell, seed, length=6, batch_size=2, input_size=3, hidden_size=4, N=1, dtype="float64"):
    rng = np.random.default_rng(seed)
    xs = rng.standard_normal((length, batch_size, input_size)).astype(dtype)
    shape = (N, batch_size, hidden_size)
    return xs, tuple(rng.uniform(-1, 1, shape).astype(dtype) for _ in co.trace(cell).states)


def off(one_run, other_run):
    """The largest difference of outputs and last states."""
    pairs = zip((one_run[0], *one_run[1]), (other_run[0], *other_run[1]), strict=True)
    return max(float(np.abs(a - b).max()) for a, b in pairs)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("cell", MODULES)
@settings(max_examples=15)
@given(length=sizes, batch_size=sizes, D=sizes, H=sizes, bias=st.booleans(), seed=seeds)
def test_pytorchs_weights_give_pytorchs_outputs(cell, dtype, length, batch_size, D, H, bias, seed):
    module = module_of(cell, seed, D, H, dtype, bias=bias)
    xs, state = drawn(cell, seed, length, batch_size, D, H, dtype=dtype)
    p = convert.from_pytorch(cell, module.state_dict())
    assert all(array.dtype == dtype for array in p)
    assert off(ours(cell, [p], xs, state), theirs(module, xs, state)) < TOLERANCES[dtype]


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("cell", MODULES)
def test_our_weights_give_our_outputs(cell, dtype):
    p = co.init(cell, 3, 4, np.random.default_rng(0), dtype=dtype)
    module = module_of(cell, 1, dtype=dtype)
    loaded = {key: torch.tensor(a) for key, a in convert.to_pytorch(cell, p).items()}
    xs, state = drawn(cell, 2, dtype=dtype)
    before = theirs(module, xs, state)
    module.load_state_dict(loaded, strict=True)  # every key, and no other
    assert off(ours(cell, [p], xs, state), theirs(module, xs, state)) < TOLERANCES[dtype]
    assert off(ours(cell, [p], xs, state), before) > 1e-3


@pytest.mark.parametrize("cell", MODULES)
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_layers_and_directions(cell, both, bias):
    directions, layers = 1 + both, 3
    module = module_of(cell, 0, num_layers=layers, bidirectional=both, bias=bias)
    xs, state = drawn(cell, 1, N=layers * directions)
    ps = convert.from_pytorch_layers(cell, module.state_dict())
    assert len(ps) == layers * directions
    expected = theirs(module, xs, state)
    assert off(ours(cell, ps, xs, state, directions), expected) < 1e-12
    # The negative control: two sets of the uppermost layers change places.
    wrong = [*ps[:-2], ps[-1], ps[-2]]
    assert off(ours(cell, wrong, xs, state, directions), expected) > 1e-3
    # And back: PyTorch's biases come as one, and its outputs stay.
    back = convert.to_pytorch_layers(cell, ps, bidirectional=both)
    again = module_of(cell, 2, num_layers=layers, bidirectional=both)
    again.load_state_dict({key: torch.tensor(a) for key, a in back.items()}, strict=True)
    assert off(theirs(again, xs, state), expected) < 1e-12


def with_table(cell, seed=0):
    """How far the outputs are off with the table of gates as it is at the moment."""
    module = module_of(cell, seed)
    xs, state = drawn(cell, seed + 1)
    p = convert.from_pytorch(cell, module.state_dict())
    return off(ours(cell, [p], xs, state), theirs(module, xs, state))


@pytest.mark.parametrize(("cell", "order"), wrong_orders("PyTorch"))
def test_gates_in_another_order_are_seen(cell, order, monkeypatch):
    assert with_table(cell) < 1e-12
    monkeypatch.setitem(gates.ORDERS["PyTorch"], cell, order)
    assert with_table(cell) > 1e-3


@pytest.mark.parametrize("negated", [(), ("r",), ("z", "r")])
def test_another_sign_is_seen(negated, monkeypatch):
    monkeypatch.setattr(gates, "NEGATED", negated)
    assert with_table(co.gru_reset_after) > 1e-3


def test_the_other_reset_is_seen():
    module = module_of(co.gru_reset_after, 0)
    xs, state = drawn(co.gru, 1)
    p = convert.split_pytorch(co.gru, *(w.detach().numpy() for w in module.parameters()))
    assert off(ours(co.gru, [p], xs, state), theirs(module, xs, state)) > 1e-3
    # The two biases of n are two: their sum in one place is not the same.
    q = convert.from_pytorch(co.gru_reset_after, module.state_dict())
    one_bias = q._replace(bn=q.bn + q.bUn, bUn=0 * q.bUn)
    wrong = ours(co.gru_reset_after, [one_bias], xs, state)
    assert off(wrong, theirs(module, xs, state)) > 1e-3


def test_a_split_for_reset_before_sums_both_biases():
    """No module of PyTorch does this, so the sum is written out."""
    ws = [w.detach().numpy() for w in module_of(co.gru_reset_after, 0).parameters()]
    weight_ih, weight_hh, bias_ih, bias_hh = ws
    p = convert.split_pytorch(co.gru, *ws)
    assert np.array_equal(p.Un, weight_hh[8:])
    assert np.array_equal(p.bn, (bias_ih + bias_hh)[8:])
    assert np.array_equal(p.Wz, -weight_ih[4:8])


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("cell", MODULES)
def test_the_split_is_differentiated_through(cell, bias):
    module = module_of(cell, 0, bias=bias)
    xs, state = (torch.tensor(drawn(cell, 1)[0]), map(torch.tensor, drawn(cell, 1)[1]))
    start = one(tuple(part[0] for part in state))
    outputs, _ = co.scan(cell, xs, start, convert.split_pytorch(cell, *module.parameters()))
    expected, _ = module(xs, one(tuple(part[None] for part in parts(start))))
    weighting = torch.randn(outputs.shape, dtype=xs.dtype)
    through_ours = torch.autograd.grad((outputs * weighting).sum(), module.parameters())
    through_theirs = torch.autograd.grad((expected * weighting).sum(), module.parameters())
    for a, b in zip(through_ours, through_theirs, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=0, atol=1e-12)
        assert b.abs().max() > 1e-3


@pytest.mark.parametrize("cell", [*MODULES, co.gru])
def test_the_split_can_be_compiled_as_one_graph(cell):
    def first_step(x, *weights):
        p = convert.split_pytorch(cell, *weights)
        return parts(cell(x, *(x.new_zeros(4) for _ in range(1 + (cell is co.lstm))), p))[0]

    ws = [w.detach() for w in module_of(like(cell), 0).parameters()]
    x = torch.ones(3, dtype=torch.float64)
    compiled = torch.compile(first_step, fullgraph=True, backend="eager")
    assert torch.equal(compiled(x, *ws), first_step(x, *ws))


def like(cell):
    return co.gru_reset_after if cell is co.gru else cell


def test_the_split_keeps_the_kind_of_array():
    module = module_of(co.gru_reset_after, 0, dtype="float32", bias=False)
    p = convert.split_pytorch(co.gru_reset_after, *module.parameters())
    assert {(type(a), a.dtype) for a in (p.bz, p.bUn)} == {(torch.Tensor, torch.float32)}
    assert p.Wn.grad_fn is not None
    assert type(p) is type(co.init(co.gru_reset_after, 3, 4, np.random.default_rng(0)))
