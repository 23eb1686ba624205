"""The counts of `companion.costs` against witnesses that know nothing of our trace."""

import os
from collections import Counter
from functools import partial

import numpy as np
import pytest
import sympy
import torch
from cells_under_test import CELLS, drawn, name, one, parts
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from companion import count, gru, gru_reset_after, lstm, min_lstm, nn, peephole_lstm, rnn, trace
from companion.costs import backward_multiply_adds, kept, operations, taped, width
from companion.symbolic import backward

D, H = sympy.symbols("D H")
SIZES = {"D": 3, "H": 5}
B = 2
cells = pytest.mark.parametrize("cell", CELLS, ids=name)


def at(polynomial, sizes=SIZES):
    return int(sympy.sympify(polynomial).subs(sizes))


def run(cell, length, *, d_inputs=False):
    """A layer of the cell, its outputs and its inputs; nothing yet gone back."""
    torch.manual_seed(0)
    layer = nn.Recurrent(cell, SIZES["D"], SIZES["H"])
    xs = tuple(
        torch.randn(length, B, SIZES["D"], requires_grad=d_inputs) for _ in trace(cell).inputs
    )
    return layer, one(xs)


class Dispatched(TorchDispatchMode):
    """How many components torch's own operations worked out, by their names."""

    def __init__(self):
        super().__init__()
        self.found = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor):
            self.found[function.overloadpacket.__name__] += made.numel()
        return made


@cells
def test_the_operations_are_those_that_torch_carries_out(cell):
    p, xs, state = drawn(cell, np.random.default_rng(0), 1, SIZES["D"], SIZES["H"])
    p = p._make(map(torch.tensor, p))
    x, state = (tuple(map(torch.tensor, map(np.asarray, parts(v)))) for v in (xs, state))
    with Dispatched() as torchs:
        cell(*(series[0] for series in x), *state, p)
    found = torchs.found
    plain = sum(found[kind] for kind in ("add", "sub", "rsub", "mul", "neg"))
    functions = sum(found[kind] for kind in ("sigmoid", "tanh", "relu", "logaddexp"))
    counted = operations(cell)
    assert plain == at(counted.componentwise)
    assert functions == at(counted.nonlinear)
    assert found["mv"] > 0


def flops(cell, length, d_inputs):
    layer, xs = run(cell, length, d_inputs=d_inputs)
    with FlopCounterMode(display=False) as forward:
        outputs, _ = layer(xs)
    with FlopCounterMode(display=False) as back:
        outputs.sum().backward()
    return forward.get_total_flops(), back.get_total_flops()


@cells
@pytest.mark.parametrize("d_inputs", [False, True])
def test_the_multiply_adds_are_those_of_torchs_counter(cell, d_inputs):
    """One step more, since the first step back needs no gradient of a state that is given."""
    more, less = flops(cell, 4, d_inputs), flops(cell, 3, d_inputs)
    forward, back = ((a - b) / B for a, b in zip(more, less, strict=True))
    assert forward == 2 * at(operations(cell).multiply_adds)
    assert back == 2 * at(backward_multiply_adds(cell, d_inputs=d_inputs))


@cells
def test_going_back_takes_twice_the_multiply_adds_of_going_forward(cell):
    forward = operations(cell).multiply_adds
    assert sympy.expand(backward_multiply_adds(cell) - 2 * forward) == 0
    without = backward_multiply_adds(cell, d_inputs=False)
    assert sympy.expand(2 * forward - without).coeff(H, 2) == 0  # only W takes part


def test_a_matrix_that_is_used_twice_is_counted_twice():
    def twice(x, h, p):
        return p.U @ (p.U @ h) + p.W @ x

    assert sympy.expand(operations(twice).multiply_adds - H * (D + 2 * H)) == 0
    assert sympy.expand(backward_multiply_adds(twice) - 2 * H * (D + 2 * H)) == 0
    assert count(twice) == H * (D + H)


def saved(module, xs):
    """How many numbers autograd keeps for the way back, each piece of memory once."""
    own = {p.untyped_storage().data_ptr() for p in module.parameters()}
    found = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            found[storage.data_ptr()] = storage  # alive, so that no other gets its address
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        module(xs)
    return sum(storage.nbytes() for storage in found.values()) // 4


@pytest.mark.parametrize("cell", [c for c in CELLS if c is not min_lstm], ids=name)
def test_autograd_keeps_what_a_tape_must(cell):
    """minLSTM is left out: its softplus compares with zeros, and torch keeps those as well."""
    more, less = (saved(*run(cell, length)) for length in (6, 5))
    assert (more - less) / B == at(taped(cell))


def test_what_torchs_own_layers_keep_is_another_matter():
    """Their programs are others: what a count of the equation cannot say, and does not."""
    xs = [torch.randn(length, B, SIZES["D"]) for length in (6, 5)]
    for layer, cell, agrees in ((torch.nn.RNN, rnn, True), (torch.nn.GRU, gru_reset_after, False)):
        module = layer(SIZES["D"], SIZES["H"])
        more, less = (saved(module, x) for x in xs)
        assert ((more - less) / B == at(taped(cell))) is agrees
        assert (more - less) / B >= at(taped(cell))


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch is without oneDNN")
def test_torchs_lstm_is_one_routine_that_keeps_more_and_is_not_counted():
    """On a processor for which torch has oneDNN; without it, a loop of small operations."""
    module = torch.nn.LSTM(64, 128)
    more, less = (saved(module, torch.randn(length, B, 64)) for length in (20, 10))
    tape = at(taped(lstm), {"D": 64, "H": 128})
    assert (more - less) / 10 / B > 2 * tape
    with FlopCounterMode(display=False) as counter:
        module(torch.randn(5, B, 64))
    assert counter.get_total_flops() == 0


@cells
def test_the_step_back_reads_what_is_kept_and_nothing_less(cell):
    """Run on the kept values alone it gives the same; without any one of them, nothing."""
    rng = np.random.default_rng(0)
    step = backward(cell)
    p, xs, state = drawn(cell, rng, 1, SIZES["D"], SIZES["H"])
    given = (*(series[0] for series in parts(xs)), *parts(state))
    seeds = tuple(rng.normal(size=SIZES["H"]) for _ in parts(state))
    values = step.values(given, p)
    expected = step.gradients(values, seeds)

    def fails_without(key):
        try:
            step.gradients({k: v for k, v in values.items() if k != key}, seeds)
        except KeyError:
            return True
        return False

    vectors = {k for k, v in values.items() if np.ndim(v) == 1 and k not in p._fields}
    read = {key for key in vectors if fails_without(key)}
    once = dict(zip(step.forward.outputs, step.forward.states, strict=True))
    numbers = sum(values[key].size for key in {once.get(key, key) for key in read})
    assert numbers == at(kept(cell))

    alone = {k: v for k, v in values.items() if k in read or k in p._fields}
    found = step.gradients(alone, seeds)
    for key, value in expected.items():
        np.testing.assert_array_equal(found[key], value)


def test_a_value_more_that_the_step_back_reads_is_counted():
    def plain(x, h, p):
        return (p.W @ x + p.b) * h

    def squared(x, h, p):
        a = p.W @ x + p.b
        n = a * a
        return n * h

    assert kept(plain) == kept(squared) - H


@pytest.mark.parametrize("budget", [40, 1000, 20_000, 3_000_000])
@pytest.mark.parametrize("cell", [rnn, gru, peephole_lstm], ids=name)
def test_no_other_width_comes_nearer_to_the_budget(cell, budget):
    units = width(count(cell), 2, budget)
    tried = range(max(1, units - 9), units + 10)  # a count only grows
    miss = {k: abs(at(count(cell), {"D": 2, "H": k}) - budget) for k in tried}
    assert miss[units] == min(miss.values())


def test_of_two_equally_near_widths_the_smaller_is_taken():
    assert width(2 * H, 1, 5) == 2
    assert width(2 * H, 1, 1) == width(2 * H, 1, 2) == 1


def test_what_is_no_budget_or_no_count_is_refused():
    with pytest.raises(ValueError, match="budget is 3; expected at least half of 10, one unit's"):
        width(count(rnn).subs(H, H + 1), 2, 3)
    for wrong in (D + 1, -H, H - 5):
        with pytest.raises(ValueError, match="expected a polynomial that grows with H"):
            width(wrong, 2, 100)


def counted_matrices(cell):
    """The parameters if every matrix has a bias: what PyTorch stores."""
    shapes = [wire.shape for wire in trace(cell).parameters.values() if len(wire.shape) == 2]
    return sum(H * ({"D": D, "H": H}[columns] + 1) for _, columns in shapes)


@pytest.mark.parametrize(
    ("cell", "layer"),
    [(rnn, torch.nn.RNN), (gru, torch.nn.GRU), (gru_reset_after, torch.nn.GRU),
     (lstm, torch.nn.LSTM)],
    ids=lambda kind: kind.__name__,
)  # fmt: skip
def test_pytorch_has_a_bias_for_every_matrix(cell, layer):
    theirs = sum(parameter.numel() for parameter in layer(3, 5).parameters())
    assert at(counted_matrices(cell)) == theirs
    without = sum(parameter.numel() for parameter in layer(3, 5, bias=False).parameters())
    assert at(counted_matrices(cell)) != without


def test_keras_counts_6336_where_the_formula_says_6240():
    os.environ |= {"KERAS_BACKEND": "torch", "KERAS_TORCH_DEVICE": "cpu", "KERAS_HOME": os.devnull}
    layers = pytest.importorskip("keras").layers
    expected = {
        partial(layers.SimpleRNN): count(rnn),
        partial(layers.LSTM): count(lstm),
        partial(layers.GRU, reset_after=False): count(gru),
        partial(layers.GRU): counted_matrices(gru),
    }
    for make, polynomial in expected.items():
        for sizes in ({"D": 32, "H": 32}, SIZES):
            layer = make(sizes["H"])
            layer.build((None, None, sizes["D"]))
            assert layer.count_params() == at(polynomial, sizes)
    assert at(count(gru), {"D": 32, "H": 32}) == 6240
    assert at(counted_matrices(gru), {"D": 32, "H": 32}) == 6336


# Chung et al. 2014, arXiv:1412.3555, table 1: units and thousands of parameters, speech.
SPEECH = ((peephole_lstm, 195, "169.1"), (gru, 227, "168.9"), (rnn, 400, "168.4"))


def thousands(polynomial, units, inputs=20):
    return f"{at(polynomial, {'D': inputs, 'H': units}) / 1000:.1f}"


def test_chungs_counts_are_of_the_recurrent_layer_with_peepholes_and_one_bias():
    readout = 20 * (H + 1)
    for cell, units, printed in SPEECH:
        assert thousands(count(cell), units) == printed
        assert thousands(counted_matrices(cell), units) != printed
        assert thousands(count(cell) + readout, units) != printed
    assert thousands(count(lstm), 195) != "169.1"  # without peepholes


def test_the_readout_makes_the_networks_for_music_unequal():
    units = {peephole_lstm: 36, gru: 46, rnn: 100}
    whole = {cell: thousands(count(cell) + 88 * (H + 1), k, inputs=88) for cell, k in units.items()}
    assert list(whole.values()) == ["21.4", "22.8", "27.8"]
