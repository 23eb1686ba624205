"""Layers under what torch can do to them: copies, transforms, compilation, export."""

import copy
import io
import pickle

import pytest
import torch
from torch.func import functional_call, grad, vmap

import companion as co
from companion.nn import GRU, LSTM, RNN, Recurrent, loop

DOUBLE = torch.float64
MAKERS = {
    "RNN": lambda: RNN(3, 4, 2, nonlinearity="relu", dtype=DOUBLE),
    "LSTM": lambda: LSTM(3, 4, 2, bidirectional=True, dtype=DOUBLE),
    "GRU": lambda: GRU(3, 4, bias=False, dtype=DOUBLE),
    "gru": lambda: Recurrent(co.gru, 3, 4, learn_state=True, dtype=DOUBLE),
    "peephole_lstm": lambda: Recurrent(co.peephole_lstm, 3, 4, models=2, dtype=DOUBLE),
}
every = pytest.mark.parametrize("kind", MAKERS)


@pytest.fixture
def layer(kind):
    torch.manual_seed(0)
    return MAKERS[kind]()


@pytest.fixture
def xs():
    return torch.randn(6, 5, 3, dtype=DOUBLE, generator=torch.Generator().manual_seed(1))


@every
def test_copies_are_equal_and_independent(layer, xs, kind):
    expected = layer(xs)[0]
    saved = io.BytesIO()
    torch.save(layer, saved)
    saved.seek(0)
    for again in (
        copy.deepcopy(layer),
        pickle.loads(pickle.dumps(layer)),
        torch.load(saved, weights_only=False),
    ):
        assert torch.equal(again(xs)[0], expected)
        with torch.no_grad():
            for parameter in again.parameters():
                parameter.zero_()
        assert torch.equal(layer(xs)[0], expected)
        assert not torch.equal(again(xs)[0], expected)


@every
def test_single_precision_is_near_double(layer, xs, kind):
    expected = layer(xs)[0]
    single = layer.float()(xs.float())[0]
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), expected, rtol=0, atol=1e-5)


@every
def test_functional_gradients_are_backwards(layer, xs, kind):
    parameters = dict(layer.named_parameters())

    def loss(values, xs):
        return functional_call(layer, values, (xs,))[0].square().sum()

    found = grad(loss)(parameters, xs)
    layer(xs)[0].square().sum().backward()
    for name, parameter in parameters.items():
        torch.testing.assert_close(found[name], parameter.grad, rtol=1e-12, atol=1e-12)
    # A gradient for each sequence of the batch, and their sum.
    each = vmap(grad(loss), in_dims=(None, 1))(parameters, xs.unsqueeze(2))
    for name, parameter in parameters.items():
        torch.testing.assert_close(each[name].sum(0), parameter.grad, rtol=1e-10, atol=1e-12)


def test_an_ensemble_by_vmap_is_a_stack_of_models(xs):
    torch.manual_seed(0)
    many = Recurrent(co.gru, 3, 4, models=3, dtype=DOUBLE)
    single = Recurrent(co.gru, 3, 4, dtype=DOUBLE)
    outputs = vmap(lambda values: functional_call(single, values, (xs,))[0])(
        dict(many.named_parameters())
    )
    torch.testing.assert_close(outputs.transpose(0, 1), many(xs)[0], rtol=0, atol=1e-12)


# Dynamo itself looks whether a tensor has .grad, and torch warns it about that.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
@every
def test_a_compiled_step_gives_the_same(layer, xs, kind):
    """The cell is one graph, without a break; no compiler is needed for this backend."""
    expected = layer(xs)[0]
    expected.square().sum().backward()
    gradients = [parameter.grad.clone() for parameter in layer.parameters()]
    torch._dynamo.reset()
    layer.step = torch.compile(layer.cell, fullgraph=True, backend="aot_eager")
    layer.zero_grad()
    outputs = layer(xs)[0]
    outputs.square().sum().backward()
    torch.testing.assert_close(outputs, expected, rtol=0, atol=1e-12)
    for parameter, gradient in zip(layer.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-10, atol=1e-12)


@every
def test_the_whole_loop_compiles_at_small_length(layer, xs, kind):
    torch._dynamo.reset()
    compiled = torch.compile(layer, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(xs[:3]), layer(xs[:3]), rtol=0, atol=1e-12)


@every
def test_export_at_fixed_length_with_any_batch(layer, xs, kind):
    batch = torch.export.Dim("batch", min=2, max=64)
    program = torch.export.export(layer.eval(), (xs[:3],), dynamic_shapes=({1: batch},))
    for size in (2, 5, 9):
        other = torch.randn(3, size, 3, dtype=DOUBLE)
        torch.testing.assert_close(program.module()(other), layer(other), rtol=0, atol=1e-12)


def test_another_engine_takes_the_place_of_the_loop(xs):
    """The seam: an engine sees the cell, the columns, the state and the weights, nothing else."""
    seen = []

    def engine(step, xs, state, p, reverse=False, mask=None):
        seen.append((step, xs[0].shape, state[0].shape, type(p).__name__, reverse, mask))
        return loop(step, xs, state, p, reverse, mask)

    layer = Recurrent(co.gru, 3, 4, bidirectional=True, dtype=DOUBLE)
    expected = layer(xs)[0]
    layer.loop = engine
    assert torch.equal(layer(xs)[0], expected)
    shapes = (torch.Size([6, 3, 5]), torch.Size([4, 5]), "gru_parameters")
    assert seen == [(co.gru, *shapes, reverse, None) for reverse in (False, True)]


def test_models_that_share_a_stack_train_apart(xs):
    """Three models take SGD steps together exactly as each would alone."""
    torch.manual_seed(0)
    many = Recurrent(co.gru, 3, 4, models=3, dtype=DOUBLE)
    single = [Recurrent(co.gru, 3, 4, dtype=DOUBLE) for _ in range(3)]
    for e, model in enumerate(single):
        model.load_state_dict({name: value[e] for name, value in many.state_dict().items()})
    for model in (many, *single):
        optimiser = torch.optim.Adam(model.parameters(), lr=0.05)
        for _ in range(20):
            optimiser.zero_grad()
            (model(xs)[0] - 0.5).square().mean(
                (-3, -2, -1) if model is not many else (0, 2, 3)
            ).sum().backward()
            optimiser.step()
    for e, model in enumerate(single):
        for a, b in zip(many.parameters(), model.parameters(), strict=True):
            torch.testing.assert_close(a[e], b, rtol=1e-10, atol=1e-10)
    assert not torch.allclose(many.l0.Wz[0], many.l0.Wz[1])
