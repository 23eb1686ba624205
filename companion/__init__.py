"""Recurrent cells as equations: the companion of *The Equation Is the Program*.

A cell is one plain function, `rnn`, `lstm`, `gru`, `gru_reset_after`, that reads like its
equation. `init` makes its parameters, `scan` runs it over time, `step` once, both checked; `count`
gives the number of its parameters and `trace` what a run of it does. This much needs NumPy and
SymPy only; `companion.draw` needs matplotlib.
"""

from companion.cells import gru, gru_reset_after, lstm, lstm_host, rnn
from companion.ops import Matrix, Vector, relu, sigma, sigmoid, softplus, tanh
from companion.parameters import count, init
from companion.scan import scan, step, zero_state
from companion.trace import trace
from companion.variants import (
    cell_gated_lstm,
    coupled_lstm,
    gru_delayed_reset,
    janet,
    linear_lstm,
    mgu,
    min_gru,
    min_lstm,
    peephole_lstm,
    reading_lstm,
    relu_rnn,
)

__version__ = "0.1.0"

__all__ = [
    "Matrix",
    "Vector",
    "cell_gated_lstm",
    "count",
    "coupled_lstm",
    "gru",
    "gru_delayed_reset",
    "gru_reset_after",
    "init",
    "janet",
    "linear_lstm",
    "lstm",
    "lstm_host",
    "mgu",
    "min_gru",
    "min_lstm",
    "peephole_lstm",
    "reading_lstm",
    "relu",
    "relu_rnn",
    "rnn",
    "scan",
    "sigma",
    "sigmoid",
    "softplus",
    "step",
    "tanh",
    "trace",
    "zero_state",
]
