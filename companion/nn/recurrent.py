"""A torch layer of any cell: four lines of mathematics are enough to train it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from companion.nn import arguments
from companion.nn.layered import Layered
from companion.nn.loop import States
from companion.nn.weights import Rng, generators, stack
from companion.parameters import init, parameter_set
from companion.trace import Cell, name_of, trace


class Recurrent(Layered):
    """Layers of any cell, its parameters found by tracing it: outputs, state = layer(xs).

    xs (T, B, D), (T, D), or with batch_first (B, T, D); a tuple of such for a cell with several
    inputs; or, without models, a PackedSequence. state, for each part of the cell's: (L, B, H) or
    (L, H), where L counts the layers and directions; without it, zeros, or with learn_state a
    parameter of each pass. lengths (B,): behind the end of a sequence its state stays as it is, and
    its outputs are zero. Returns the outputs (T, B, H), 2H if bidirectional, and the last state in
    the form of state. num_layers, dropout, bidirectional: as in ``torch.nn.GRU``.

    models=E makes E independent models of one shape that run, and train, at once: weights
    (E, H, D), inputs (T, B, D) for all or (T, E, B, D), outputs (T, E, B, H), states (L, E, B, H).
    W, U, b, forget_bias: the first values, as for :func:`companion.init`. rng: a generator, or one
    for each model; without it, torch's seed decides.
    The parameters are layer.l0.Wz, …, layer.l0_reverse.Wz, layer.l1.Wz, and layer.l0.h0.
    Raises TypeError or ValueError that name the argument, what it was and what was expected.

    >>> from companion import gru
    >>> layer = Recurrent(gru, 3, 4)
    >>> outputs, state = layer(torch.ones(7, 5, 3))
    >>> outputs.shape, state.shape, layer.l0.Wz.shape
    (torch.Size([7, 5, 4]), torch.Size([1, 5, 4]), torch.Size([4, 3]))
    """

    def __init__(
        self,
        cell: Cell,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        learn_state: bool = False,
        models: int | None = None,
        W: str = "uniform",
        U: str = "uniform",
        b: str = "uniform",
        forget_bias: float | None = None,
        rng: Rng = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        if models is not None and batch_first:
            raise ValueError("batch_first is True; expected False with models: time comes first")
        super().__init__(
            cell, input_size, hidden_size, num_layers, batch_first, dropout, bidirectional, models
        )
        arguments.switches(learn_state=learn_state)
        self.learn_state = learn_state
        traced = trace(cell)
        names = tuple(traced.parameters)
        # A parameter set that holds its own names: an instance can be pickled, its class cannot.
        self._names: Any = parameter_set(traced.name, names)(*names)
        drawing = generators(rng, models)
        learned = {f"{state}0": np.zeros(hidden_size) for state in self.state_names}
        for parameter in names:
            if hasattr(torch.nn.ParameterDict, parameter) or (learn_state and parameter in learned):
                raise ValueError(
                    f"cell {traced.name} calls a parameter {parameter!r}; expected another name, "
                    "since a layer needs that one itself"
                )
        for layer, _, name in self.passes():
            size = input_size if layer == 0 else hidden_size * (1 + bidirectional)
            drawn = [
                init(cell, size, hidden_size, g, W=W, U=U, b=b, forget_bias=forget_bias)._asdict()
                | (learned if learn_state else {})
                for g in drawing
            ]
            self.add_module(name, stack(drawn, models, device, dtype))

    def forward(
        self, xs: Any, state: Any = None, lengths: Any = None
    ) -> tuple[Tensor | PackedSequence, Tensor | States]:
        """The outputs of all steps, and the last state."""
        return self.run(xs, state, lengths)

    def weights(self, name: str) -> Any:
        values = self.get_submodule(name)
        found = [getattr(values, parameter) for parameter in self._names]
        matrix = 2 if self.models is None else 3
        return self._names._make(v if v.ndim == matrix else v.unsqueeze(-1) for v in found)

    def first_state(self, name: str) -> States | None:
        if not self.learn_state:
            return None
        values = self.get_submodule(name)
        return tuple(getattr(values, f"{state}0").unsqueeze(-1) for state in self.state_names)

    def extra_repr(self) -> str:
        learned = ", learn_state=True" if self.learn_state else ""
        return f"{name_of(self.cell)}, {super().extra_repr()}{learned}"
