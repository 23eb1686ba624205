"""``torch.nn.RNN``, ``LSTM`` and ``GRU`` again, with a cell that can be read inside.

The constructors, calls, first values and state dicts are torch's, so that one line swaps them. The
parameters stay in torch's layout, gates stacked; each forward pass takes them apart into the
cell's own with :func:`companion.convert.split_pytorch`, which autograd follows back.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from companion.cells import gru, gru_reset_after, lstm, rnn
from companion.convert import split_pytorch
from companion.nn import arguments
from companion.nn.layered import Layered
from companion.nn.loop import States
from companion.trace import Cell
from companion.variants import relu_rnn

Output = tuple[Tensor | PackedSequence, Tensor | States]


class _Torch(Layered):
    """A layer whose parameters have torch's names, shapes and first values."""

    frames = 5

    def __init__(
        self,
        cell: Cell,
        gates: int,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bias: bool,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__(
            cell, input_size, hidden_size, num_layers, batch_first, dropout, bidirectional
        )
        arguments.switches(bias=bias)
        self.bias = bias
        rows = gates * hidden_size
        for layer, _, name in self.passes():
            columns = input_size if layer == 0 else hidden_size * (1 + bidirectional)
            shapes: dict[str, tuple[int, ...]] = {
                "weight_ih": (rows, columns),
                "weight_hh": (rows, hidden_size),
            }
            if bias:
                shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
            for kind, shape in shapes.items():
                empty = torch.empty(shape, device=device, dtype=dtype)
                self.register_parameter(f"{kind}_{name}", torch.nn.Parameter(empty))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw every parameter anew, uniformly within ±1/√H: with one seed, the same as torch's."""
        bound = self.hidden_size**-0.5
        for parameter in self.parameters():
            torch.nn.init.uniform_(parameter, -bound, bound)

    def flatten_parameters(self) -> None:
        """Do nothing: torch's own packs the weights for cuDNN here, and there is none inside."""

    def weights(self, name: str) -> Any:
        kinds = ["weight_ih", "weight_hh"] + ["bias_ih", "bias_hh"] * self.bias
        p = split_pytorch(self.cell, *(getattr(self, f"{kind}_{name}") for kind in kinds))
        return type(p)(*(v if v.ndim == 2 else v.unsqueeze(-1) for v in p))

    def forward(self, input: Tensor | PackedSequence, hx: Any = None) -> Output:
        """The outputs of all steps, and the last state of each layer and direction."""
        return self.run(input, hx, None)

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.bias else ", bias=False")


class RNN(_Torch):
    """``torch.nn.RNN``, run by :func:`companion.rnn`: h' = tanh(W x + U h + b), b = b_ih + b_hh.

    nonlinearity: "tanh", or "relu", which runs :func:`companion.variants.relu_rnn`. All else is as
    in ``torch.nn.RNN``: arguments, shapes, state dict and first values.
    Raises TypeError or ValueError that name the argument.

    >>> layer, theirs = RNN(3, 4), torch.nn.RNN(3, 4)
    >>> layer.load_state_dict(theirs.state_dict())
    <All keys matched successfully>
    >>> xs = torch.ones(7, 5, 3)
    >>> torch.testing.assert_close(layer(xs), theirs(xs))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        proj_size: int = 0,
    ) -> None:
        _no_projection(proj_size)
        cells = {"tanh": rnn, "relu": relu_rnn}
        if nonlinearity not in cells:
            raise ValueError(f"nonlinearity is {nonlinearity!r}; expected 'tanh' or 'relu'")
        super().__init__(
            cells[nonlinearity], 1, input_size, hidden_size, num_layers, bias, batch_first,
            dropout, bidirectional, device, dtype,
        )  # fmt: skip
        self.nonlinearity = nonlinearity


class LSTM(_Torch):
    """``torch.nn.LSTM``, run by :func:`companion.lstm`, whose docstring has the equations.

    Each b is b_ih + b_hh. The state is (h, c). Arguments, shapes, state dict and first values are
    as in ``torch.nn.LSTM``, but for proj_size, which is not supported.
    Raises TypeError or ValueError that name the argument.

    >>> layer, theirs = LSTM(3, 4, num_layers=2), torch.nn.LSTM(3, 4, num_layers=2)
    >>> layer.load_state_dict(theirs.state_dict())
    <All keys matched successfully>
    >>> xs = torch.ones(7, 5, 3)
    >>> torch.testing.assert_close(layer(xs), theirs(xs))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        _no_projection(proj_size)
        super().__init__(
            lstm, 4, input_size, hidden_size, num_layers, bias, batch_first, dropout,
            bidirectional, device, dtype,
        )  # fmt: skip


class GRU(_Torch):
    """``torch.nn.GRU``: reset *after* the matrix, as :func:`companion.gru_reset_after`.

    (``companion.gru`` is reset-before; ``GRU(reset_after=False)`` runs that one, the form of Cho
    and of Chung et al., which torch cannot compute: its state dict has the same names and shapes,
    and b_hh only adds to b_ih.)
    In torch z keeps the old state, in our cells it writes the new one; here the parameters are
    torch's. Arguments, shapes, state dict and first values are as in ``torch.nn.GRU``.
    Raises TypeError or ValueError that name the argument.

    >>> layer, theirs = GRU(3, 4, bidirectional=True), torch.nn.GRU(3, 4, bidirectional=True)
    >>> layer.load_state_dict(theirs.state_dict())
    <All keys matched successfully>
    >>> xs = torch.ones(7, 5, 3)
    >>> torch.testing.assert_close(layer(xs), theirs(xs))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        reset_after: bool = True,
        proj_size: int = 0,
    ) -> None:
        _no_projection(proj_size)
        arguments.switches(reset_after=reset_after)
        super().__init__(
            gru_reset_after if reset_after else gru, 3, input_size, hidden_size, num_layers, bias,
            batch_first, dropout, bidirectional, device, dtype,
        )  # fmt: skip
        self.reset_after = reset_after

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.reset_after else ", reset_after=False")


def _no_projection(proj_size: int) -> None:
    if proj_size:
        raise NotImplementedError(
            f"proj_size is {proj_size}; expected 0: a projected state, smaller than the cell "
            "state, is not supported. torch.nn.LSTM has it"
        )
