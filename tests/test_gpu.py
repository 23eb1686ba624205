"""On a GPU, where there is one: what is computed on the processor, and a run that goes on there."""

import copy

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import companion as co
from companion.nn import GRU, LSTM, RNN, Recurrent
from companion.nn.fused import fused
from companion.train import train

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="torch finds no GPU on this machine"
)
GPU, DOUBLE = "cuda", torch.float64
LENGTHS = [6, 1, 2, 3, 4]
RATES = [0.1, 0.01, 0.001]
MAKERS = {
    "RNN": lambda: RNN(3, 4, 2, nonlinearity="relu", dtype=DOUBLE),
    "LSTM": lambda: LSTM(3, 4, 2, bidirectional=True, dtype=DOUBLE),
    "GRU": lambda: GRU(3, 4, bias=False, dtype=DOUBLE),
    "GRU, reset before": lambda: GRU(3, 4, reset_after=False, dtype=DOUBLE),
    "gru": lambda: Recurrent(co.gru, 3, 4, learn_state=True, dtype=DOUBLE),
    "peephole_lstm": lambda: Recurrent(co.variants.peephole_lstm, 3, 4, models=2, dtype=DOUBLE),
}


@pytest.fixture
def xs():
    return torch.randn(6, 5, 3, dtype=DOUBLE, generator=torch.Generator().manual_seed(1))


def computed(layer, xs, **options):
    """Outputs, last states and gradients, on the processor."""
    layer.zero_grad()
    outputs, state = layer(xs, **options)
    parts = [*state] if isinstance(state, tuple) else [state]
    data = outputs.data if isinstance(outputs, PackedSequence) else outputs
    (data.sin().sum() + sum(part.square().sum() for part in parts)).backward()
    found = [data, *parts, *(p.grad for p in layer.parameters())]
    return [part.detach().cpu() for part in found]


def same(found, expected):
    for here, there in zip(found, expected, strict=True):
        torch.testing.assert_close(here, there, rtol=0, atol=1e-12)


@pytest.mark.parametrize("engine", ["loop", "fused"])
@pytest.mark.parametrize("kind", MAKERS)
def test_outputs_states_and_gradients(kind, engine, xs):
    torch.manual_seed(0)
    layer = MAKERS[kind]()
    expected = computed(layer, xs)
    layer = copy.deepcopy(layer).to(GPU)
    if engine == "fused":
        layer.loop = fused
    assert layer(xs.to(GPU))[0].device.type == GPU
    same(computed(layer, xs.to(GPU)), expected)


def test_lengths_and_packed_sequences(xs):
    layer = Recurrent(co.lstm, 3, 4, bidirectional=True, dtype=DOUBLE)
    packed = GRU(3, 4, 2, dtype=DOUBLE)
    pack = pack_padded_sequence(xs, LENGTHS, enforce_sorted=False)
    expected = computed(layer, xs, lengths=LENGTHS), computed(packed, pack)
    layer, packed = layer.to(GPU), packed.to(GPU)
    for lengths in (LENGTHS, torch.tensor(LENGTHS), torch.tensor(LENGTHS, device=GPU)):
        same(computed(layer, xs.to(GPU), lengths=lengths), expected[0])
    same(computed(packed, pack.to(GPU)), expected[1])


@pytest.mark.parametrize("kind", [RNN, LSTM, GRU])
def test_torch_own_layers_agree_there(kind, xs):
    """cuDNN's kernels, with the same state dict."""
    torch.manual_seed(2)
    ours = kind(3, 4, 2, bidirectional=True, dtype=DOUBLE).to(GPU)
    theirs = getattr(torch.nn, kind.__name__)(3, 4, 2, bidirectional=True, dtype=DOUBLE).to(GPU)
    theirs.load_state_dict(ours.state_dict())
    same(computed(ours, xs.to(GPU)), computed(theirs, xs.to(GPU)))


class Guess(torch.nn.Module):
    """A GRU with dropout, so that a run depends on the device's random numbers."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.layer = GRU(2, 6, 2, dropout=0.3, dtype=DOUBLE)
        self.read = torch.nn.Linear(6, 1, dtype=DOUBLE)

    def forward(self, xs):
        return self.read(self.layer(xs)[0][-1])


def loss(model, xs):
    return (model(xs)[:, 0] - xs.sum(0).prod(-1)).square().mean()


def batch(s):
    numbers = np.random.default_rng([5, s]).standard_normal((4, 8, 2))
    return torch.tensor(numbers, device=GPU)


def test_a_run_that_was_cut_off_goes_on_there(tmp_path):
    options = {"validate": lambda m: loss(m, batch(999)), "every": 5, "progress": False}
    whole = train(whole_model := Guess().to(GPU), loss, batch, steps=20, **options)
    options["checkpoint"] = tmp_path / "run.pt"
    train(Guess().to(GPU), loss, batch, steps=10, **options)
    torch.randn(7, device=GPU)  # the device's random numbers have moved on
    rest = train(model := Guess().to(GPU), loss, batch, steps=20, **options)
    assert np.array_equal(rest.losses, whole.losses)
    for name, value in model.state_dict().items():
        assert value.device.type == GPU
        assert torch.equal(value, whole_model.state_dict()[name])


def test_stacked_models_train_there_as_on_the_processor():
    def ended(device):
        rng = np.random.default_rng(4)
        model = Recurrent(co.gru, 2, 6, models=3, rng=rng, dtype=DOUBLE).to(device)

        def losses(model, xs):
            return (model(xs)[0][-1] - xs[-1].mean()).square().mean((1, 2))

        history = train(
            model, losses, lambda s: batch(s).to(device), steps=20, rate=RATES, progress=False
        )
        return history.losses

    np.testing.assert_allclose(ended(GPU), ended("cpu"), rtol=0, atol=1e-10)
