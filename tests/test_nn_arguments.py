"""Bad input to a layer: an error names the argument, what it was and what was expected."""

import re

import numpy as np
import pytest
import torch

import companion as co
from companion.nn import Readout, Recurrent


def update(x, h, p):
    return co.tanh(p.W @ x + p.U @ h + p.update)


def starts(x, h, p):
    return co.tanh(p.W @ x + p.U @ h + p.h0)


gru, lstm, host = (Recurrent(cell, 3, 4) for cell in (co.gru, co.lstm, co.lstm_host))
first = Recurrent(co.gru, 3, 4, batch_first=True)
three = Recurrent(co.gru, 3, 4, models=3)
xs = torch.zeros(7, 5, 3)
h = torch.zeros(1, 5, 4)

CALLS = [
    (lambda: gru(np.zeros((7, 5, 3))), TypeError, "xs is a ndarray; expected a torch tensor"),
    (lambda: gru(xs.double()), TypeError, "xs has dtype torch.float64; expected torch.float32"),
    (lambda: gru(xs.long()), TypeError, "xs has dtype torch.int64; expected torch.float32"),
    (lambda: gru(xs.to("meta")), TypeError, "xs is on meta; expected cpu"),
    (
        lambda: gru(xs[..., :2]),
        ValueError,
        "xs has shape (7, 5, 2); expected (T, D) or (T, B, D) with D = 3",
    ),
    (lambda: gru(xs[0, 0]), ValueError, "xs has shape (3,); expected (T, D) or (T, B, D)"),
    (lambda: gru(xs[None]), ValueError, "xs has shape (1, 7, 5, 3); expected (T, D)"),
    (
        lambda: Recurrent(co.gru, 3, 4, models=2, batch_first=True),
        ValueError,
        "batch_first is True; expected False with models",
    ),
    (lambda: first(xs[..., :2]), ValueError, "expected (T, D) or (B, T, D) with D = 3"),
    (lambda: gru(xs[:0]), ValueError, "xs has shape (0, 5, 3): it is empty"),
    (lambda: gru((xs,)), TypeError, "xs is a tuple; expected a torch tensor"),
    (lambda: host(xs), ValueError, "xs is a Tensor; expected a tuple of 2 tensors (x, xo)"),
    (lambda: host((xs,)), ValueError, "xs is a tuple of 1; expected a tuple of 2 tensors"),
    (lambda: host((xs, xs[:5])), ValueError, "xs[1] (xo) has shape (5, 5, 3); expected (7, 5, 3)"),
    (
        lambda: three(xs[:, 0]),
        ValueError,
        "xs has shape (7, 3); expected (T, B, D) or (T, E, B, D)",
    ),
    (
        lambda: three(xs[:, None]),
        ValueError,
        "xs has shape (7, 1, 5, 3); expected (T, B, D) or (T, E, B, D) with E = 3",
    ),
    (
        lambda: gru(xs, h[0]),
        ValueError,
        "state h has shape (5, 4); expected (1, 5, 4): (B, H) for each of 1 layers",
    ),
    (lambda: gru(xs, h[:, :4]), ValueError, "state h has shape (1, 4, 4); expected (1, 5, 4)"),
    (
        lambda: gru(xs, h.double()),
        TypeError,
        "state h has dtype torch.float64; expected torch.float32",
    ),
    (lambda: gru(xs, [h]), TypeError, "state h is a list; expected a torch tensor"),
    (lambda: gru(xs[:, 0], h), ValueError, "state h has shape (1, 5, 4); expected (1, 4): (H)"),
    (lambda: lstm(xs, h), ValueError, "state is a Tensor; expected a tuple of 2 (h, c)"),
    (lambda: lstm(xs, (h,)), ValueError, "state is 1 parts; expected a tuple of 2 (h, c)"),
    (
        lambda: lstm(xs, (h, h[:, :2])),
        ValueError,
        "state c has shape (1, 2, 4); expected (1, 5, 4)",
    ),
    (
        lambda: three(xs, h),
        ValueError,
        "state h has shape (1, 5, 4); expected (1, 3, 5, 4): (E, B, H)",
    ),
    (lambda: gru(xs, lengths=[7, 7]), ValueError, "lengths has shape (2,); expected (5,)"),
    (
        lambda: gru(xs, lengths=[7, 7, 7, 0, 1]),
        ValueError,
        "lengths is [7, 7, 7, 0, 1]; expected numbers from 1 to T = 7",
    ),
    (lambda: gru(xs, lengths=[8, 7, 7, 7, 7]), ValueError, "expected numbers from 1 to T = 7"),
    (
        lambda: gru(xs, lengths=[1.0] * 5),
        TypeError,
        "lengths has dtype torch.float32; expected integers",
    ),
    (lambda: Recurrent(co.gru, 0, 4), ValueError, "input_size is 0; expected a positive integer"),
    (
        lambda: Recurrent(co.gru, 3, 4.0),
        ValueError,
        "hidden_size is 4.0; expected a positive integer",
    ),
    (lambda: Recurrent(co.gru, 3, 4, True), ValueError, "num_layers is True; expected a positive"),
    (
        lambda: Recurrent(co.gru, 3, 4, models=0),
        ValueError,
        "models is 0; expected None or a positive",
    ),
    (
        lambda: Recurrent(co.gru, 3, 4, rng=0),
        TypeError,
        "rng is a int; expected a numpy.random.Generator",
    ),
    (
        lambda: Recurrent(co.gru, 3, 4, models=2, rng=[np.random.default_rng(0)]),
        ValueError,
        "rng is 1 generators; expected one, or 2",
    ),
    (lambda: Recurrent(co.gru, 3, 4, forget_bias=1.0), ValueError, "gru has no parameter bf"),
    (
        lambda: Recurrent(co.lstm_host, 3, 4, 2),
        ValueError,
        "num_layers is 2; expected 1, since lstm_host has 2 inputs",
    ),
    (
        lambda: Recurrent(co.gru, 3, 4, models=1.5),
        ValueError,
        "models is 1.5; expected None or a pos",
    ),
    (
        lambda: Recurrent(co.gru, 3, 4, learn_state=1),
        TypeError,
        "learn_state is 1; expected True or",
    ),
    (
        lambda: Recurrent(update, 3, 4),
        ValueError,
        "cell update calls a parameter 'update'; expected",
    ),
    (
        lambda: Recurrent(starts, 3, 4, learn_state=True),
        ValueError,
        "cell starts calls a parameter 'h0'",
    ),
    (
        lambda: three(torch.nn.utils.rnn.pack_sequence([xs[:, 0]] * 3)),
        ValueError,
        "xs is a PackedSequence; expected a tensor and lengths, with models",
    ),
    (lambda: Recurrent("gru", 3, 4), TypeError, "cell is a str; expected a function such as gru"),
    (lambda: Readout(4, 2)(xs), ValueError, "h has shape (7, 5, 3); expected (…, 4) = (…, H)"),
    (
        lambda: Readout(3, 2, models=2)(xs),
        ValueError,
        "h has shape (7, 5, 3); expected (…, 2, B, 3)",
    ),
    (lambda: Readout(0, 2), ValueError, "hidden_size is 0; expected a positive integer"),
]


@pytest.mark.parametrize("k", range(len(CALLS)), ids=[message for *_, message in CALLS])
def test_bad_input(k):
    call, error, message = CALLS[k]
    with pytest.raises(error, match=re.escape(message)):
        call()


def test_good_input_is_let_through():
    """The control: the same calls with nothing wrong in them."""
    gru(xs, h)
    gru(xs[:, 0], h[:, 0])
    first(xs.transpose(0, 1), h, lengths=[7, 1, 2, 3, 4])
    lstm(xs, [h, h])
    host((xs, xs))
    three(xs)
    three(torch.zeros(7, 3, 5, 3), torch.zeros(1, 3, 5, 4))
    Recurrent(starts, 3, 4)
    Recurrent(co.gru, np.int64(3), np.int32(4))
    for lengths in (np.arange(6, 1, -1)[::-1], np.arange(1, 6, dtype=np.uint16), (1, 2, 3, 4, 5)):
        gru(xs, lengths=lengths)
    assert gru(xs[:, :0])[0].shape == (7, 0, 4)  # as torch's
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert gru(xs)[0].shape == (7, 5, 4)
