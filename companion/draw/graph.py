"""What the picture of a cell has to show: its trace, with every weighted sum folded into one box.

``sigmoid(Wz @ x + Uz @ h + bz)`` is five operations of the trace and one box of the picture, called
z, that x and h go into. What is folded where is computed here from the trace alone. A node that
must be shown and a node that was read off a picture (:mod:`companion.draw.reading`) are of the same
type, so that the two can be compared, statement by statement.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NoReturn

from companion.trace import Cell, Trace, trace
from companion.wire import Wire, text_of

SIGNS = {"mul": "×", "add": "+", "sub": "−", "neg": "−"}
FUNCTIONS = {"sigmoid": "σ", "tanh": "tanh", "softplus": "softplus", "relu": "relu"}


@dataclass(eq=False)
class Node:
    """One thing in a picture.

    kind: source (an input or a state), layer (a box: weights inside), function (one without
    weights), circle (a componentwise operation) or sink (a new state or the output).
    key: what it computes, as the trace says it: its local name, else its formula.
    name: the letter that it shows, "" if none. sign: its function, or what is in its circle.
    inputs: the wires into it; in a layer each is multiplied by weights.
    added: wires into a layer that are added to its sum as they are.
    """

    kind: str
    key: str
    name: str = ""
    sign: str = ""
    inputs: list[Node] = field(default_factory=list)
    added: list[Node] = field(default_factory=list)

    def formula(self, whole: bool = False) -> str:
        """What it computes, the same for a + b and b + a; a letter that is shown stays one."""
        if self.kind == "source" or (self.name and not whole):
            return self.name
        into = sorted(node.formula() for node in self.inputs)
        if self.kind == "layer":
            plus = "".join(f" + {text}" for text in sorted(node.formula() for node in self.added))
            return f"{self.sign or 'linear'}[{', '.join(into)}]{plus}"
        if self.kind == "circle" and len(into) > 1:
            return "(" + f" {self.sign} ".join(into) + ")"
        return f"{self.sign}({', '.join(into)})"

    def statement(self) -> str:
        """Its line in the list of what a picture says."""
        if self.kind == "sink":
            return f"{self.name} = {', '.join(node.formula() for node in self.inputs)}"
        whole = self.formula(whole=True)
        return whole if not self.name or self.kind == "source" else f"{self.name} = {whole}"


def statements(nodes: list[Node]) -> Counter[str]:
    """What a picture says, node by node: equal for two pictures of the same cell only."""
    return Counter(node.statement() for node in nodes)


def graph(cell: Cell) -> list[Node]:
    """The nodes of the cell's picture, in the order of the trace.

    >>> from companion import gru
    >>> for node in graph(gru):
    ...     print(f"{node.key:12} {node.statement()}")
    x            x
    h            h
    z            z = σ[h, x]
    r            r = σ[h, x]
    r * h        (h × r)
    n            n = tanh[(h × r), x]
    1 - z        1−(z)
    (1 - z) * h  (1−(z) × h)
    z * n        (n × z)
    h'           ((1−(z) × h) + (n × z))
    next h       h' = ((1−(z) × h) + (n × z))
    out h        h' = ((1−(z) × h) + (n × z))
    """
    return _Fold(trace(cell)).nodes


class _Fold:
    """Turns the wires of a trace into the nodes of a picture."""

    def __init__(self, run: Trace) -> None:
        self.run = run
        self.uses = Counter(id(argument) for wire in run for argument in wire.arguments)
        self.uses.update(id(wire) for wire in run.outputs)
        self.made: dict[int, Node] = {}
        self.nodes: list[Node] = []
        self.keys = {
            id(wire): f"{state.name}'"
            for state, wire in zip(run.states, run.outputs, strict=True)
            if not wire.name
        }
        for wire in (*run.inputs, *run.states):
            self._keep(wire, Node("source", wire.name, wire.name))
        inner = self._inner()
        for wire in run:
            if wire.arguments and id(wire) not in inner:
                self._keep(wire, self._node(wire))
        for number, (state, wire) in enumerate(zip(run.states, run.outputs, strict=True)):
            for where in ("next", "out") if number == 0 else ("next",):
                sink = Node("sink", f"{where} {state.name}", f"{state.name}'")
                sink.inputs = [self.made[id(wire)]]
                self.nodes.append(sink)

    def _keep(self, wire: Wire, node: Node) -> None:
        self.made[id(wire)] = node
        self.nodes.append(node)

    def _fail(self, wire: Wire, reason: str) -> NoReturn:
        raise ValueError(f"cell {self.run.name}: {text_of(wire, whole=True)!r} {reason}")

    def _is_sum(self, wire: Wire) -> bool:
        """Whether it is a sum with a matrix product in it: what a layer is made of."""
        return wire.kind in ("add", "matvec") and any(
            term.kind == "matvec" for term in _terms(wire)
        )

    def _inner(self) -> set[int]:
        """The wires that are not seen, since they lie inside a layer."""
        inner: set[int] = set()
        for wire in self.run:
            if not self._is_sum(wire):
                inside = [a for a in wire.arguments if self._folds(wire, a)]
            else:
                inside = [*_parts(wire), *(t for t in _terms(wire) if _weight(t))]
            inner |= {id(part) for part in inside if part is not wire}
        for wire in self.run:
            if id(wire) in inner and self.uses[id(wire)] > 1:
                self._fail(wire, "is used twice, so it cannot be hidden in a box: give it a name")
        return inner

    def _folds(self, wire: Wire, sum_: Wire) -> bool:
        """Whether a function and the sum that it is taken of become one box."""
        alone = self.uses[id(sum_)] == 1 and not sum_.name
        return wire.kind in FUNCTIONS and alone and self._is_sum(sum_)

    def _node(self, wire: Wire) -> Node:
        key = wire.name or self.keys.get(id(wire)) or str(wire)
        if wire.kind in FUNCTIONS and not self._folds(wire, wire.arguments[0]):
            node = Node("function", key, sign=FUNCTIONS[wire.kind])
            node.inputs = [self._of(wire, wire.arguments[0])]
            return node
        if wire.kind in FUNCTIONS:
            return self._layer(key, wire, wire.arguments[0], FUNCTIONS[wire.kind])
        if self._is_sum(wire):
            return self._layer(key, wire, wire, "")
        vectors = [argument for argument in wire.arguments if argument.kind != "number"]
        numbers = [argument for argument in wire.arguments if argument.kind == "number"]
        if (wire.kind == "sub" and not numbers) or len(numbers) == len(wire.arguments):
            self._fail(wire, "has no sign in a picture: write it with + and ×")
        sign = SIGNS[wire.kind]
        if numbers:  # 1 − z is one circle, and so is a − 1
            sign = f"{numbers[0]}{sign}" if wire.arguments[0] in numbers else f"{sign}{numbers[0]}"
        return Node("circle", key, sign=sign, inputs=[self._of(wire, v) for v in vectors])

    def _layer(self, key: str, wire: Wire, sum_: Wire, sign: str) -> Node:
        """The box of f(W x + U h + b). Its letter is also that of the weights that it hides."""
        terms = _terms(sum_)
        weights = [found for found in map(_weight, terms) if found]
        name = wire.name or (weights[0][0].name if not sign else "")
        hidden = [weight for weight, _ in weights] + [t for t in terms if t.kind == "parameter"]
        letters = name.removesuffix("'")
        for parameter in hidden if sign else []:
            if parameter.name[1:] != letters:
                self._fail(wire, f"hides {parameter.name} in a box that is called {name or key}")
        node = Node("layer", key if wire.name or sign else name, name, sign)
        node.inputs = [self._of(wire, value) for _, value in weights]
        plain = [t for t in terms if t.kind != "parameter" and not _weight(t)]
        node.added = [self._of(wire, value) for value in plain]
        return node

    def _of(self, wire: Wire, argument: Wire) -> Node:
        if id(argument) not in self.made:
            self._fail(wire, f"needs {argument}, which no picture shows")
        return self.made[id(argument)]


def _parts(sum_: Wire) -> list[Wire]:
    """The sums inside a sum, itself included."""
    if sum_.kind != "add":
        return []
    parts = [part for a in sum_.arguments if not a.name for part in _parts(a)]
    return [sum_, *parts]


def _terms(sum_: Wire) -> list[Wire]:
    """What a sum adds up, in the order of the source."""
    if sum_.kind != "add":
        return [sum_]
    return [t for a in sum_.arguments for t in ([a] if a.name else _terms(a))]


def _weight(term: Wire) -> tuple[Wire, Wire] | None:
    """W and x of a term W @ x, also of a peephole's v * c; None for any other."""
    if term.kind in ("matvec", "mul") and term.arguments[0].kind == "parameter" and not term.name:
        return term.arguments[0], term.arguments[1]
    return None
