"""Torch layers that run the cells as they are written.

`RNN`, `LSTM` and `GRU` take the place of ``torch.nn``'s in one line; `Recurrent` makes a layer of
any cell, also of one of your own; `Readout` maps states to outputs. `loop` is the engine that runs
them; ``layer.loop = fused`` takes a faster one, with the backward step derived from the cell.
"""

from companion.extras import missing

try:
    from companion.nn.fused import fused
    from companion.nn.layers import GRU, LSTM, RNN
    from companion.nn.loop import loop
    from companion.nn.readout import Readout
    from companion.nn.recurrent import Recurrent
except ModuleNotFoundError as error:
    raise missing("companion.nn", error) from error

__all__ = ["GRU", "LSTM", "RNN", "Readout", "Recurrent", "fused", "loop"]
