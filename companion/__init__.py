"""Recurrent cells as equations: the companion of *The Equation Is the Program*.

A cell is one plain function, `rnn`, `lstm`, `gru`, `gru_reset_after`, that reads like its
equation. `init` makes its parameters, `scan` runs it over time, `step` once, both checked; `count`
gives the number of its parameters and `trace` what a run of it does. This much needs NumPy and
SymPy only; `companion.draw` needs matplotlib.
"""

from companion.cells import gru, gru_reset_after, lstm, rnn
from companion.ops import Matrix, Vector, sigma, sigmoid, tanh
from companion.parameters import count, init
from companion.scan import scan, step, zero_state
from companion.trace import trace

__version__ = "0.1.0"

__all__ = [
    "Matrix",
    "Vector",
    "count",
    "gru",
    "gru_reset_after",
    "init",
    "lstm",
    "rnn",
    "scan",
    "sigma",
    "sigmoid",
    "step",
    "tanh",
    "trace",
    "zero_state",
]
