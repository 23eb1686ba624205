"""The picture of a cell in words, for those who do not see it: from the trace, like the picture."""

from __future__ import annotations

from companion.trace import Cell, trace
from companion.wire import Wire

SHORT = {"rnn", "lstm", "gru", "mgu", "janet"}
OWN = {"relu": "ReLU"}
_SIGNS = {"add": "plus", "sub": "minus", "mul": "times", "matvec": "times"}
_STRENGTH = {"add": 1, "sub": 1, "mul": 2, "matvec": 2, "neg": 3}


def title(name: str) -> str:
    """A cell's name for readers.

    >>> title("gru_reset_after"), title("min_lstm"), title("relu_rnn")
    ('GRU, reset after', 'minLSTM', 'ReLU RNN')
    """
    first, *others = (
        word.upper() if word in SHORT else OWN.get(word, word) for word in name.split("_")
    )
    if first.isupper() and others:
        first += ","
    return " ".join([first, *others]).replace("min ", "min").replace("cell g", "cell-g")


def describe(cell: Cell) -> str:
    """The alt text of the cell's picture: what goes in, each named value, and the new state.

    >>> import textwrap
    >>> from companion import rnn
    >>> print(textwrap.fill(describe(rnn), 90))
    Diagram of the RNN cell. The input x comes from below, the state h from the left. The new
    h is the tanh of W times x plus U times the old h plus b. It leaves to the right, as a
    state of the next step, and upwards, as the output.
    """
    run = trace(cell)
    sentences = [
        f"Diagram of the {title(run.name)} cell.",
        f"{_several('The input', run.inputs)} from below,"
        f" {_several('the state', run.states).removesuffix(' comes').removesuffix(' come')}"
        " from the left.",
    ]
    sentences += [_sentence(wire) for wire in run if wire.name and wire.arguments]
    output = run.states[0].name
    for state, wire in zip(run.states, run.outputs, strict=True):
        if wire.name != f"{state.name}'":
            sentences.append(f"The new {state.name} is {_words(wire)}.")
    others = [f"the new {state.name}" for state in run.states[1:]]
    it = f"The new {output}" if others else "It"
    sentences.append(
        f"{it} leaves to the right, as a state of the next step, and upwards, as the output"
        + (f"; {' and '.join(others)} to the right only." if others else ".")
    )
    return " ".join(sentences)


def _several(what: str, wires: tuple[Wire, ...]) -> str:
    names = " and ".join(wire.name for wire in wires)
    return f"{what} {names} comes" if len(wires) == 1 else f"{what}s {names} come"


def _sentence(wire: Wire) -> str:
    """What a named value is; a sigmoid of it is a gate."""
    if wire.name.endswith("'"):
        called = f"The new {wire.name[:-1]}"
    else:
        called = f"The gate {wire.name}" if wire.kind == "sigmoid" else f"The value {wire.name}"
    return f"{called} is {_words(wire, whole=True)}."


def _words(wire: Wire, whole: bool = False, strength: int = 0) -> str:
    """The wire as one would say it; with whole, its own formula even if it has a name."""
    if wire.kind == "number":
        return f"{wire.value:g}"
    if wire.kind == "state":
        return f"the old {wire.name}"
    if not wire.arguments or (wire.name and not whole):
        return f"the new {wire.name[:-1]}" if wire.name.endswith("'") else wire.name
    if wire.kind not in _STRENGTH:
        # At the end of a sentence, what it is taken of needs no brackets.
        inner = _words(wire.arguments[0], strength=0 if whole or not strength else 9)
        return f"the {wire.kind} of {inner}"
    own = _STRENGTH[wire.kind]
    if wire.kind == "neg":
        text = f"minus {_words(wire.arguments[0], strength=own)}"
    else:
        left, right = wire.arguments
        after = own if wire.kind == "add" else own + 1
        text = f"{_words(left, strength=own)} {_SIGNS[wire.kind]} {_words(right, strength=after)}"
    return f"({text})" if own < strength else text
