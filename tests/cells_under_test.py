"""Every cell of the package, and what the tests run them on."""

from functools import partial

import companion as co

CELLS = (
    co.rnn, co.lstm, co.gru, co.gru_reset_after, co.lstm_host, co.peephole_lstm, co.coupled_lstm,
    co.linear_lstm, co.cell_gated_lstm, co.reading_lstm, co.gru_delayed_reset, co.mgu, co.janet,
    co.min_gru, co.min_lstm, co.relu_rnn, partial(co.lstm, phi=lambda a: a),
)  # fmt: skip


def name(cell):
    return cell.__name__ if hasattr(cell, "__name__") else f"{cell.func.__name__}-linear"


def parts(state):
    return state if isinstance(state, tuple) else (state,)


def one(parts):
    return parts if len(parts) > 1 else parts[0]


def drawn(cell, rng, length, input_size, hidden_size, batch_size=None):
    """Parameters, inputs and a state that is not zero."""
    traced = co.trace(cell)
    p = co.init(cell, input_size, hidden_size, rng)
    batch = () if batch_size is None else (batch_size,)
    xs = one(tuple(rng.standard_normal((length, *batch, input_size)) for _ in traced.inputs))
    state = one(tuple(rng.uniform(-1, 1, (*batch, hidden_size)) for _ in traced.states))
    return p, xs, state
