"""The layers against PyTorch's own: outputs, states, gradients and state dicts, for all options."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import (
    PackedSequence,
    pack_padded_sequence,
    pack_sequence,
    pad_packed_sequence,
)

from companion import gru, gru_reset_after, scan, zero_state
from companion.convert import split_pytorch
from companion.nn import GRU, LSTM, RNN

PAIRS = [(RNN, torch.nn.RNN), (LSTM, torch.nn.LSTM), (GRU, torch.nn.GRU)]
pairs = pytest.mark.parametrize(("ours", "theirs"), PAIRS)
DOUBLE = torch.float64
options = st.fixed_dictionaries(
    {
        "num_layers": st.integers(1, 3),
        "bias": st.booleans(),
        "batch_first": st.booleans(),
        "bidirectional": st.booleans(),
    }
)
sizes = st.integers(1, 5)


def twins(ours, theirs, sizes, given):
    """The two layers with the same weights, drawn by torch's."""
    other = theirs(*sizes, **given, dtype=DOUBLE)
    layer = ours(*sizes, **given, dtype=DOUBLE)
    layer.load_state_dict(other.state_dict())
    return layer.eval(), other.eval()


def states(layer, batch, seed):
    """A state that is not zero, in torch's form."""
    passes = layer.num_layers * (2 if layer.bidirectional else 1)
    generator = torch.Generator().manual_seed(seed)
    shape = (passes, *batch, layer.hidden_size)
    drawn = [torch.randn(shape, generator=generator, dtype=DOUBLE) for _ in layer.state_names]
    return tuple(drawn) if len(drawn) > 1 else drawn[0]


def flat(result):
    outputs, state = result
    packed = isinstance(outputs, PackedSequence)
    return [outputs.data if packed else outputs, *parts(state)]


def parts(state):
    return state if isinstance(state, tuple) else (state,)


def weighed(found):
    """A different weight for every number, so that no sign and no order can cancel out."""
    return sum((torch.linspace(0.5, 1.7, f.numel(), dtype=DOUBLE) * f.ravel()).sum() for f in found)


def agree(layer, other, xs, state):
    """Outputs and last states to 1e-12; gradients of weights, inputs and states to 1e-10."""
    results = []
    for module in (layer, other):
        leaves = [*module.parameters(), xs, *(() if state is None else parts(state))]
        found = flat(module(xs, state))
        results.append((found, torch.autograd.grad(weighed(found), leaves)))
    for a, b in zip(results[0][0], results[1][0], strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)
    for a, b in zip(results[0][1], results[1][1], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


@pairs
@settings(max_examples=100)
@given(
    given=options, sizes=st.tuples(sizes, sizes), length=sizes, batch=st.integers(0, 4),
    has_state=st.booleans(), seed=st.integers(0, 2**31),
)  # fmt: skip
def test_a_layer_is_torchs(ours, theirs, given, sizes, length, batch, has_state, seed):
    torch.manual_seed(seed)
    layer, other = twins(ours, theirs, sizes, given)
    shape = [length, batch] if batch else [length]
    if batch and layer.batch_first:
        shape.reverse()
    xs = torch.randn(*shape, sizes[0], dtype=DOUBLE, requires_grad=True)
    state = states(layer, (batch,) if batch else (), seed) if has_state else None
    for part in parts(state) if has_state else ():
        part.requires_grad_()
    agree(layer, other, xs, state)


@pairs
@settings(max_examples=60)
@given(
    given=options, lengths=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    is_sorted=st.booleans(), has_state=st.booleans(), seed=st.integers(0, 2**31),
)  # fmt: skip
def test_packed_sequences_are_torchs(ours, theirs, given, lengths, is_sorted, has_state, seed):
    torch.manual_seed(seed)
    layer, other = twins(ours, theirs, (3, 4), given)
    lengths = sorted(lengths, reverse=True) if is_sorted else lengths
    padded = torch.randn(len(lengths), max(lengths), 3, dtype=DOUBLE, requires_grad=True)
    packed = pack_padded_sequence(padded, lengths, batch_first=True, enforce_sorted=is_sorted)
    state = states(layer, (len(lengths),), seed) if has_state else None
    mine, its = layer(packed, state), other(packed, state)
    for a, b in zip(flat(mine), flat(its), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)
    for name in ("batch_sizes", "sorted_indices", "unsorted_indices"):
        a, b = getattr(mine[0], name), getattr(its[0], name)
        assert (a is None and b is None) or torch.equal(a, b)
    for a, b in zip(pad_packed_sequence(mine[0]), pad_packed_sequence(its[0]), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)
    gradients = []
    for module, found in ((layer, mine), (other, its)):
        leaves = [*module.parameters(), padded]
        gradients.append(torch.autograd.grad(weighed(flat(found)), leaves, retain_graph=True))
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10)


@settings(max_examples=30)
@given(given=options, seed=st.integers(0, 2**31))
def test_the_relu_network_is_torchs(given, seed):
    torch.manual_seed(seed)
    given = given | {"nonlinearity": "relu"}
    layer, other = twins(RNN, torch.nn.RNN, (3, 4), given)
    xs = torch.randn(5, 2, 3, dtype=DOUBLE, requires_grad=True)
    agree(layer, other, xs, None)


@pairs
def test_state_dicts_load_both_ways_and_first_values_are_torchs(ours, theirs):
    given = {"num_layers": 2, "bidirectional": True}
    torch.manual_seed(3)
    layer = ours(3, 4, **given)
    torch.manual_seed(3)
    other = theirs(3, 4, **given)
    assert list(layer.state_dict()) == list(other.state_dict())
    for a, b in zip(layer.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
    layer.reset_parameters()
    other.load_state_dict(layer.state_dict())
    xs = torch.randn(5, 2, 3)
    torch.testing.assert_close(layer(xs), other(xs))
    with pytest.raises(RuntimeError, match="Missing key"):
        layer.load_state_dict(theirs(3, 4).state_dict())


@pairs
def test_every_argument_of_torchs_constructor_stands_in_its_place(ours, theirs):
    """One positional call, so that an order that differs is seen."""
    nonlinearity = ["relu"] if ours is RNN else []
    given = [3, 4, 2, *nonlinearity, False, True, 0.25, True]
    layer, other = ours(*given), theirs(*given)
    for name in "input_size hidden_size num_layers bias batch_first dropout bidirectional".split():
        assert getattr(layer, name) == getattr(other, name), name
    mine = repr(layer).replace("nonlinearity=relu, ", "")
    assert mine.startswith(f"{ours.__name__}(3, 4, num_layers=2, ")
    layer.flatten_parameters()


@pairs
def test_wrong_weights_are_noticed(ours, theirs):
    """The negative control: two gates exchanged, or a sign, and the outputs differ."""
    torch.manual_seed(0)
    layer, other = twins(ours, theirs, (3, 4), {})
    xs = torch.randn(5, 2, 3, dtype=DOUBLE)
    with torch.no_grad():
        layer.weight_hh_l0.copy_(
            layer.weight_hh_l0.roll(4, 0) if ours is not RNN else -layer.weight_hh_l0
        )
        assert (layer(xs)[0] - other(xs)[0]).abs().max() > 1e-2


def test_reset_before_is_the_cell_that_torch_cannot_compute():
    torch.manual_seed(0)
    layer = GRU(3, 4, reset_after=False, dtype=DOUBLE)
    assert layer.cell is gru
    assert GRU(3, 4).cell is gru_reset_after
    other = torch.nn.GRU(3, 4, dtype=DOUBLE)
    other.load_state_dict(layer.state_dict())
    xs = torch.randn(6, 2, 3, dtype=DOUBLE)
    with torch.no_grad():
        outputs, last = layer(xs)
        assert (outputs - other(xs)[0]).abs().max() > 1e-3
    p = split_pytorch(gru, *(tensor.numpy() for tensor in layer.state_dict().values()))
    expected, _ = scan(gru, xs.numpy(), zero_state(gru, p, 2), p)
    np.testing.assert_allclose(outputs.numpy(), expected, rtol=0, atol=1e-12)
    assert torch.equal(last[0], outputs[-1])


@pairs
def test_dropout_acts_between_layers_in_training_only(ours, theirs):
    torch.manual_seed(0)
    layer, other = twins(ours, theirs, (3, 4), {"num_layers": 2, "dropout": 1.0})
    xs = torch.randn(5, 2, 3, dtype=DOUBLE)
    torch.testing.assert_close(layer(xs), other(xs), rtol=0, atol=1e-12)
    # With probability 1 nothing is left to draw, and the second layer sees zeros.
    kept = layer.train()(xs)
    torch.testing.assert_close(kept, other.train()(xs), rtol=0, atol=1e-12)
    assert not torch.allclose(kept[0], layer.eval()(xs)[0])
    layer.dropout = 0.5
    torch.manual_seed(1)
    first = layer.train()(xs)[0]
    assert not torch.allclose(first, layer(xs)[0])
    torch.manual_seed(1)
    assert torch.equal(first, layer(xs)[0])


@pairs
@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"proj_size": 2}, NotImplementedError, "proj_size is 2; expected 0"),
        ({"num_layers": 0}, ValueError, "num_layers is 0; expected a positive integer"),
        ({"dropout": 1.5}, ValueError, "dropout is 1.5; expected a probability"),
        ({"bias": None}, TypeError, "bias is None; expected True or False"),
        ({"bidirectional": 1}, TypeError, "bidirectional is 1; expected True or False"),
    ],
)
def test_bad_options_are_refused(ours, theirs, given, error, message):
    with pytest.raises(error, match=message):
        ours(3, 4, **given)


def test_a_bad_nonlinearity_is_refused_and_idle_dropout_is_said():
    with pytest.raises(ValueError, match="nonlinearity is 'gelu'; expected 'tanh' or 'relu'"):
        RNN(3, 4, nonlinearity="gelu")
    with pytest.warns(UserWarning, match="dropout is 0.5, and num_layers is 1") as seen:
        LSTM(3, 4, dropout=0.5)
    assert seen[0].filename == __file__


def test_a_packed_sequence_brings_its_own_lengths():
    layer = GRU(3, 4)
    packed = pack_sequence([torch.randn(4, 3), torch.randn(2, 3)])
    outputs, _ = layer(packed)
    assert outputs.data.shape == (6, 4)
    with pytest.raises(ValueError, match="lengths is given; expected None"):
        layer.run(packed, None, [4, 2])
