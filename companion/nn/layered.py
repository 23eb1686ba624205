"""What every layer of `companion.nn` shares: stacked layers, directions, batches and lengths.

The cell knows one step of one sequence. What surrounds it is here, and the loop over time is in
:mod:`companion.nn.loop`. Outside, a batch is rows and time comes first, (T, B, D), or second;
inside, a batch is columns, (T, D, B), so that ``W @ x`` stays as it is printed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from companion.nn import arguments
from companion.nn.loop import States, loop
from companion.trace import Cell, trace


class Layered(torch.nn.Module):
    """Layers of one cell, in one direction or in both: the base of `Recurrent` and `torch`'s three.

    A subclass says what the parameters are: `weights`, and `first_state` if it is not zero.
    """

    frames = 4  # from the warning about dropout up to the user's line

    def __init__(
        self,
        cell: Cell,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        models: int | None = None,
    ) -> None:
        super().__init__()
        arguments.sizes(input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        arguments.switches(batch_first=batch_first, bidirectional=bidirectional)
        arguments.dropout(dropout, num_layers, self.frames)
        traced = trace(cell)
        if len(traced.inputs) > 1 and num_layers > 1:
            raise ValueError(
                f"num_layers is {num_layers}; expected 1, since {traced.name} has "
                f"{len(traced.inputs)} inputs and the layer below has one output for them"
            )
        self.cell = cell
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.batch_first, self.dropout, self.bidirectional = batch_first, dropout, bidirectional
        self.models = models
        self.input_names = tuple(wire.name for wire in traced.inputs)
        self.state_names = tuple(wire.name for wire in traced.states)
        # What the loop calls at each step; layer.step = torch.compile(layer.cell) is allowed.
        self.step: Cell = cell
        # The seam: another engine that takes the arguments of `loop` goes here.
        self.loop = loop

    def passes(self) -> Iterator[tuple[int, bool, str]]:
        """Layer, direction and name of each pass, in the order of their states."""
        for layer in range(self.num_layers):
            yield layer, False, f"l{layer}"
            if self.bidirectional:
                yield layer, True, f"l{layer}_reverse"

    def weights(self, name: str) -> Any:
        """The parameter set of one pass, its biases as columns."""
        raise NotImplementedError

    def first_state(self, name: str) -> States | None:
        """What the state of one pass is where none is given, (…, H, 1); None for zeros."""
        return None

    def run(
        self, xs: Any, state: Any, lengths: Any
    ) -> tuple[Tensor | PackedSequence, Tensor | States]:
        """Outputs and last state, in the form of what was given: packed, batched or neither."""
        if isinstance(xs, PackedSequence):
            return self._packed(xs, state, lengths)
        return self._padded(xs, state, lengths)

    def _padded(self, xs: Any, state: Any, lengths: Any) -> tuple[Tensor, Tensor | States]:
        parts = arguments.inputs(self, xs)
        if self.batch_first and parts[0].ndim > 2:
            parts = tuple(part.transpose(0, 1) for part in parts)
        is_batch = parts[0].ndim > 2
        if not is_batch:
            parts = tuple(part.unsqueeze(1) for part in parts)
        mask = arguments.mask(lengths, parts[0])
        if mask is not None:  # else a NaN in the padding would come back in the gradients
            parts = tuple(torch.where(mask.mT, part, 0) for part in parts)
        outputs, last = self._layers(
            tuple(part.mT for part in parts), self._first(state, parts[0], is_batch), mask
        )
        outputs = outputs.mT if is_batch else outputs.squeeze(-1)
        outputs = outputs.transpose(0, 1) if self.batch_first and is_batch else outputs
        states = tuple(
            torch.stack([s[k].mT if is_batch else s[k].squeeze(-1) for s in last])
            for k in range(len(self.state_names))
        )
        return outputs.contiguous(), states if len(states) > 1 else states[0]

    def _layers(
        self, xs: tuple[Tensor, ...], first: list[States], mask: Tensor | None
    ) -> tuple[Tensor, list[States]]:
        """Outputs (T, …, H, B) of the last layer, and the last state of each pass."""
        outputs: list[Tensor] = []
        last: list[States] = []
        for (layer, reverse, name), state in zip(self.passes(), first, strict=True):
            output, new = self.loop(self.step, xs, state, self.weights(name), reverse, mask)
            last.append(new)
            outputs.append(output)
            if reverse or not self.bidirectional:
                output = outputs[0] if len(outputs) == 1 else torch.cat(outputs, -2)
                if layer < self.num_layers - 1:
                    output = torch.nn.functional.dropout(output, self.dropout, self.training)
                xs, outputs = (output,), []
        return xs[0], last

    def _first(self, state: Any, like: Tensor, is_batch: bool) -> list[States]:
        """The state that each pass starts in, as columns (…, H, B). like: inputs (T, …, B, D)."""
        batch = like.shape[-2]
        stacked = () if self.models is None else (self.models,)
        names = [name for _, _, name in self.passes()]
        if state is not None:
            shape = (len(names), *stacked, *((batch,) if is_batch else ()), self.hidden_size)
            parts = arguments.state(self, state, shape, like)
            return [
                tuple(part[k].mT if is_batch else part[k].unsqueeze(-1) for part in parts)
                for k in range(len(names))
            ]
        zero = like.new_zeros((*stacked, self.hidden_size, batch))
        learned = [self.first_state(name) for name in names]
        return [
            (zero,) * len(self.state_names)
            if parts is None
            # Not expand alone: the cell may be compiled for dense columns.
            else tuple(part + zero for part in parts)
            for parts in learned
        ]

    def _packed(
        self, xs: PackedSequence, state: Any, lengths: Any
    ) -> tuple[PackedSequence, Tensor | States]:
        """The same for sequences that torch has packed; the order of the batch is the user's."""
        if lengths is not None:
            raise ValueError("lengths is given; expected None: a PackedSequence has its own")
        if self.models is not None:
            raise ValueError("xs is a PackedSequence; expected a tensor and lengths, with models")
        padded, found = pad_packed_sequence(xs, batch_first=self.batch_first)
        outputs, last = self._padded(padded, state, found)
        batch = 0 if self.batch_first else 1
        if xs.sorted_indices is not None:
            outputs = outputs.index_select(batch, xs.sorted_indices)
            found = found[xs.sorted_indices.cpu()]
        packed = pack_padded_sequence(outputs, found, batch_first=self.batch_first)
        return (
            PackedSequence(packed.data, xs.batch_sizes, xs.sorted_indices, xs.unsorted_indices),
            last,
        )

    def extra_repr(self) -> str:
        shown = [f"{self.input_size}, {self.hidden_size}"]
        usual: dict[str, Any] = {
            "num_layers": 1, "batch_first": False, "dropout": 0, "bidirectional": False,
            "models": None,
        }  # fmt: skip
        shown += [
            f"{name}={getattr(self, name)}"
            for name, value in usual.items()
            if getattr(self, name) != value
        ]
        return ", ".join(shown)
