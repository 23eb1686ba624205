"""A layer of any cell: what it computes, many models at once, and series of different lengths."""

import numpy as np
import pytest
import torch
from cells_under_test import CELLS, drawn, name, parts
from torch.nn.utils.rnn import pack_sequence

import companion as co
from companion import scan
from companion.nn import Readout, Recurrent

DOUBLE = torch.float64
EXACT = {"rtol": 0, "atol": 1e-12}


def own_cell(x, h, p):
    """Four lines of mathematics that no library has: a GRU whose gate is the candidate's size."""
    n = co.tanh(p.Wn @ x + p.Un @ h + p.bn)
    z = co.sigmoid(p.Wz @ x + p.vz * (n * n) + p.bz)
    return (1 - z) * h + z * n


def ingate(x, h, p):
    """A gate on the input itself: matrices and a vector of the input size."""
    a = co.sigmoid(p.A @ x + p.B @ h + p.ba)
    return co.tanh(p.W @ (a * x) + p.U @ h + p.b)


def filled(layer, p, name="l0"):
    """The layer with the values of a parameter set."""
    with torch.no_grad():
        for key, value in p._asdict().items():
            layer.get_parameter(f"{name}.{key}").copy_(torch.tensor(value))
    return layer


def tensors(arrays):
    found = tuple(map(torch.tensor, parts(arrays)))
    return found if len(found) > 1 else found[0]


@pytest.mark.parametrize("cell", [*CELLS, own_cell, ingate], ids=name)
def test_a_layer_of_any_cell_is_the_scan(cell):
    rng = np.random.default_rng(0)
    p, xs, state = drawn(cell, rng, 6, 3, 4, batch_size=5)
    layer = filled(Recurrent(cell, 3, 4, dtype=DOUBLE), p)
    expected, last = scan(cell, xs, state, p)
    given = tuple(torch.tensor(part)[None] for part in parts(state))
    outputs, found = layer(tensors(xs), given if len(given) > 1 else given[0])
    np.testing.assert_allclose(outputs.detach(), expected, **EXACT)
    for a, b in zip(parts(found), parts(last), strict=True):
        np.testing.assert_allclose(a[0].detach(), b, **EXACT)
    wrong = layer(tensors(xs))[0]  # the negative control: without the state
    if cell not in (co.rnn,):
        assert (wrong - outputs).abs().max() > 1e-6


def test_first_values_are_those_of_init():
    layer = Recurrent(co.lstm, 3, 4, forget_bias=2.0, U="orthogonal", rng=np.random.default_rng(5))
    p = co.init(co.lstm, 3, 4, np.random.default_rng(5), forget_bias=2.0, U="orthogonal")
    assert list(dict(layer.l0.named_parameters())) == list(p._fields)
    for key, value in p._asdict().items():
        np.testing.assert_allclose(layer.l0[key].detach(), value, rtol=1e-7)
    torch.manual_seed(0)
    first = Recurrent(co.gru, 3, 4)
    torch.manual_seed(0)
    again, other = Recurrent(co.gru, 3, 4), Recurrent(co.gru, 3, 4)
    assert torch.equal(first.l0.Wz, again.l0.Wz)
    assert not torch.equal(first.l0.Wz, other.l0.Wz)


@pytest.mark.parametrize("cell", [co.gru, co.lstm], ids=name)
def test_layers_and_directions_are_compositions_of_single_runs(cell):
    torch.manual_seed(0)
    layer = Recurrent(cell, 3, 4, 2, bidirectional=True, learn_state=True, dtype=DOUBLE)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-1, 1)
    xs = torch.randn(6, 5, 3, dtype=DOUBLE)
    below, states = xs, []
    for k in range(2):
        results = []
        for suffix in ("", "_reverse"):
            single = Recurrent(cell, below.shape[-1], 4, learn_state=True, dtype=DOUBLE)
            single.l0.load_state_dict(layer.get_submodule(f"l{k}{suffix}").state_dict())
            outputs, state = single(below.flip(0) if suffix else below)
            results.append(outputs.flip(0) if suffix else outputs)
            states.append(state)
        below = torch.cat(results, -1)
    outputs, last = layer(xs)
    torch.testing.assert_close(outputs, below, **EXACT)
    for k, part in enumerate(parts(last)):
        expected = torch.cat([parts(state)[k] for state in states])
        torch.testing.assert_close(part, expected, **EXACT)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_many_models_at_once_are_the_single_ones(bidirectional):
    """Also their gradients; a model is drawn by its own generator, whoever its neighbours are."""
    rngs = [np.random.default_rng(seed) for seed in range(3)]
    given = {"bidirectional": bidirectional, "dtype": DOUBLE}
    many = Recurrent(co.lstm, 3, 4, 2, models=3, rng=rngs, **given)
    width = 8 if bidirectional else 4
    read = Readout(width, 2, models=3, rng=rngs, dtype=DOUBLE)
    xs = torch.randn(6, 3, 5, 3, dtype=DOUBLE)
    outputs, last = many(xs)
    y = read(outputs)
    y.square().sum().backward()
    for e in range(3):
        rng = np.random.default_rng(e)
        single = Recurrent(co.lstm, 3, 4, 2, rng=rng, **given)
        single_read = Readout(width, 2, rng=rng, dtype=DOUBLE)
        found, state = single(xs[:, e])
        torch.testing.assert_close(outputs[:, e], found, **EXACT)
        for a, b in zip(last, state, strict=True):
            torch.testing.assert_close(a[:, e], b, **EXACT)
        single_y = single_read(found)
        torch.testing.assert_close(y[:, e], single_y, **EXACT)
        single_y.square().sum().backward()
        for mine, its in ((many, single), (read, single_read)):
            for a, b in zip(mine.parameters(), its.parameters(), strict=True):
                assert torch.equal(a[e], b)
                torch.testing.assert_close(a.grad[e], b.grad, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(many(xs[:, 1])[0][:, 1], outputs[:, 1], **EXACT)
    assert not torch.allclose(outputs[:, 0], many(xs[:, 1])[0][:, 0])


@pytest.mark.parametrize("cell", [*CELLS, own_cell], ids=name)
@pytest.mark.parametrize("given", [{}, {"num_layers": 2, "bidirectional": True}], ids=str)
def test_padding_never_changes_an_output_a_loss_or_a_gradient(cell, given):
    if given and len(co.trace(cell).inputs) > 1:
        given = {"bidirectional": True}
    torch.manual_seed(0)
    layer = Recurrent(cell, 3, 4, **given, learn_state=True, dtype=DOUBLE)
    lengths = [5, 2, 4]
    ends, many = [*enumerate(lengths)], len(layer.input_names)
    xs = tuple(torch.randn(5, 3, 3, dtype=DOUBLE) for _ in range(many))

    def run(padding, by):
        padded = tuple(x.clone() for x in xs)
        for b, length in enumerate(lengths):
            for x in padded:
                x[length:, b] = padding
        for x in padded:
            x.requires_grad_()
        outputs, last = layer(padded if many > 1 else padded[0], lengths=by)
        loss = outputs.square().sum() + sum(part.sum() for part in parts(last))
        found = torch.autograd.grad(loss, [*padded, *layer.parameters()])
        if by is not None:  # what is padding has no influence
            assert not any(x[length:, b].any() for x in found[:many] for b, length in ends)
        return outputs, loss, found

    reference, loss, gradients = run(0.0, torch.tensor(lengths))
    for padding in (7.0, float("nan"), float("inf")):
        outputs, same, found = run(padding, lengths)
        assert torch.equal(outputs, reference)
        assert torch.equal(same, loss)
        assert all(map(torch.equal, found, gradients))
    gradients = gradients[many:]
    total, sums = 0.0, [torch.zeros_like(g) for g in gradients]
    for b, length in enumerate(lengths):  # the independent witness: one sequence at a time
        alone = tuple(x[:length, b] for x in xs)
        outputs, last = layer(alone if many > 1 else alone[0])
        torch.testing.assert_close(reference[:length, b], outputs, **EXACT)
        assert reference[length:, b].eq(0).all()
        value = outputs.square().sum() + sum(part.sum() for part in parts(last))
        total += value.item()
        for s, g in zip(sums, torch.autograd.grad(value, [*layer.parameters()]), strict=True):
            s += g
    assert loss.item() == pytest.approx(total, rel=1e-12)
    for g, s in zip(gradients, sums, strict=True):
        torch.testing.assert_close(g, s, rtol=1e-10, atol=1e-10)
    assert not torch.equal(run(7.0, None)[0], reference)  # without lengths padding does change it


def test_lengths_for_many_models():
    torch.manual_seed(0)
    layer = Recurrent(co.gru, 3, 4, models=2, dtype=DOUBLE)
    xs = torch.randn(5, 2, 3, 3, dtype=DOUBLE)
    each = torch.tensor([[1, 5, 2], [3, 4, 5]])
    outputs, last = layer(xs, lengths=each)
    for e in range(2):
        for b in range(3):
            end = int(each[e, b])
            assert torch.equal(last[0, e, b], outputs[end - 1, e, b])
            assert outputs[end:, e, b].eq(0).all()
    common = layer(xs, lengths=each[0])[0]
    assert torch.equal(common[:, 0], outputs[:, 0])
    assert torch.equal(layer(xs[:, 0], lengths=each[0])[0][:, 0], outputs[:, 0])


def test_packed_sequences_go_in_and_out():
    torch.manual_seed(0)
    layer = Recurrent(co.lstm, 3, 4, bidirectional=True, dtype=DOUBLE)
    series = [torch.randn(n, 3, dtype=DOUBLE) for n in (2, 5, 3)]
    packed, (h, c) = layer(pack_sequence(series, enforce_sorted=False))
    outputs = torch.nn.utils.rnn.unpack_sequence(packed)
    for b, one in enumerate(series):
        alone, (h1, c1) = layer(one)
        torch.testing.assert_close(outputs[b], alone, **EXACT)
        torch.testing.assert_close(h[:, b], h1, **EXACT)
        torch.testing.assert_close(c[:, b], c1, **EXACT)


def test_a_learned_state_learns():
    layer = Recurrent(co.gru, 1, 2, learn_state=True, dtype=DOUBLE)
    xs = torch.zeros(3, 4, 1, dtype=DOUBLE)
    before = layer(xs)[0]
    assert torch.equal(before, layer(xs, torch.zeros(1, 4, 2, dtype=DOUBLE))[0])
    before.square().sum().backward()
    assert layer.l0.h0.grad.abs().min() > 0
    with torch.no_grad():
        layer.l0.h0.fill_(1)
    assert not torch.allclose(layer(xs)[0], before)


def test_time_costs_a_gradient_only_once():
    """Not T²: the inputs' gradient is stacked once, not a whole sequence for each step."""
    layer = Recurrent(co.rnn, 3, 4)
    xs = torch.randn(50, 2, 3, requires_grad=True)
    layer(xs)[0].sum().backward()
    names = set()
    waiting = [layer(xs)[0].grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in names:
            names.add(node)
            waiting += [edge for edge, _ in node.next_functions]
    kinds = {type(node).__name__ for node in names}
    assert "UnbindBackward0" in kinds
    assert "SelectBackward0" not in kinds


def test_a_cell_without_a_name_is_a_cell():
    layer = Recurrent(lambda x, h, p: co.tanh(p.W @ x + p.U @ h + p.b), 3, 4, dtype=DOUBLE)
    same = Recurrent(co.rnn, 3, 4, dtype=DOUBLE)
    same.load_state_dict(layer.state_dict())
    xs = torch.randn(5, 2, 3, dtype=DOUBLE)
    assert torch.equal(layer(xs)[0], same(xs)[0])


def test_an_overflow_stays_out_of_the_padding():
    layer = Recurrent(co.relu_rnn, 1, 1, dtype=DOUBLE)
    with torch.no_grad():
        layer.l0.U.fill_(1e200)
        layer.l0.W.fill_(1e200)
    outputs, _ = layer(torch.ones(5, 2, 1, dtype=DOUBLE), lengths=[3, 5])
    assert outputs[4, 1].isinf().all() and outputs[3:, 0].eq(0).all()
