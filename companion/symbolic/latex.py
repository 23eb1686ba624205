r"""The equation as it is printed: a cell's own source, translated term by term.

SymPy's printer sorts terms, so that h + z(n − h) comes out as (n − h)z + h. A cell is therefore
read with `ast`, which keeps the order of its terms and its names. Vectors and matrices are bold,
``*`` is ⊙, an argument of the state is the one of time t−1, everything that is made is of time t.

What is derived from a cell (a Jacobian, a proof's residual) has no source: that is printed from
its expression, with the same letters, in SymPy's order.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import partial
from typing import Any, NoReturn

import sympy
from sympy.printing.latex import LatexPrinter
from sympy.printing.precedence import PRECEDENCE

from companion.ops import relu, sigmoid, softplus, tanh
from companion.symbolic.jacobian import Block
from companion.symbolic.operators import Operator
from companion.symbolic.ring import Expr, MatVec, VectorSymbol, vector
from companion.trace import Cell, signature, trace


def latex(what: Any) -> str:
    r"""A cell's equations in LaTeX, an ``aligned`` environment; or that of a derived expression.

    what: a cell, whose source must be at hand; a vector, an operator or a block of operators.
    Raises what :func:`companion.trace` raises, and TypeError for a statement that is not an
    equation.

    >>> from companion import rnn
    >>> print(latex(rnn))
    \begin{aligned}
    \mathbf{h}_{t} &= \tanh(\mathbf{W} \mathbf{x}_{t} + \mathbf{U} \mathbf{h}_{t-1} + \mathbf{b})
    \end{aligned}
    >>> from companion.symbolic import jacobian
    >>> print(latex(jacobian(rnn)))
    \operatorname{diag}(1 - \mathbf{h}'^{2}) \mathbf{U}
    """
    if isinstance(what, sympy.Expr):
        return str(_Derived().doprint(what))
    if isinstance(what, Operator):
        return str(_Derived().doprint(what.expr))
    if isinstance(what, Block):
        rows = (" & ".join(map(latex, row)) for row in what.blocks)
        return "\\begin{pmatrix}\n" + " \\\\\n".join(rows) + "\n\\end{pmatrix}"
    trace(what)  # what has an equation, but not the shapes of one, is refused here
    lines = " \\\\\n".join(f"{left} &= {right}" for left, right in _Equations(what).lines)
    return f"\\begin{{aligned}}\n{lines}\n\\end{{aligned}}"


def letter(name: str, time: str = "") -> str:
    r"""A name in bold, what follows its first letter as an index.

    >>> print(letter("Wz"), letter("bUn"), letter("h", "t-1"), letter("xo", "t"), letter("c'"))
    \mathbf{W}_{z} \mathbf{b}_{U_{n}} \mathbf{h}_{t-1} \mathbf{x}^{\circ}_{t} \mathbf{c}'
    """
    plain = name.rstrip("'")
    first, rest = plain[0], plain[1:].strip("_")
    prime = name[len(plain) :]
    bold = rf"\mathbf{{{first}}}{prime}"
    if first == "x" and rest == "o":
        bold, rest = bold + r"^{\circ}", ""
    elif time and rest:
        bold, rest = bold + rf"^{{\mathrm{{{rest}}}}}", ""
    if len(rest) > 1 and rest[0].isupper():
        rest = f"{rest[0]}_{{{rest[1:]}}}"
    index = time or rest
    return f"{bold}_{{{index}}}" if index else bold


def brackets(text: str) -> str:
    """In round brackets, larger ones around others."""
    return rf"\bigl({text}\bigr)" if "(" in text else f"({text})"


class _Equations:
    """The lines of one cell, as pairs of a left and a right side."""

    def __init__(self, cell: Cell) -> None:
        self.cell, self.lines = cell, list[tuple[str, str]]()
        roles = signature(cell)
        self.parameters, self.states = roles.parameters, roles.states
        self.names = {name: letter(name, "t") for name in roles.inputs}
        self.names |= {name: letter(name, "t-1") for name in roles.states}
        function, self.given = _without_partial(cell)
        try:
            source = textwrap.dedent(inspect.getsource(function))
            definition = ast.parse(source).body[0]
        except (OSError, TypeError, SyntaxError) as error:
            raise TypeError(f"cell {trace(cell).name}: its source cannot be read") from error
        if not isinstance(definition, ast.FunctionDef):
            self._refuse(definition)
        self.functions = inspect.getclosurevars(function)
        for statement in definition.body:
            self._statement(statement)

    def _statement(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            return  # the docstring
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            name = statement.targets[0].id
            self._line(letter(name, "t"), statement.value)
            self.names[name] = letter(name, "t")
        elif isinstance(statement, ast.Return) and statement.value is not None:
            value = statement.value
            parts = value.elts if isinstance(value, ast.Tuple) else [value]
            for state, part in zip(self.states, parts, strict=True):
                self._line(letter(state, "t"), part)
        else:
            self._refuse(statement)

    def _line(self, left: str, value: ast.expr) -> None:
        right = self._text(value)
        if right != left:  # a state that is returned under its own name
            self.lines.append((left, right))

    def _text(self, node: ast.expr, strength: int = 0) -> str:
        if isinstance(node, ast.Name) and node.id in self.names:
            return self.names[node.id]
        if isinstance(node, ast.Name) and isinstance(self.given.get(node.id), int | float):
            return str(self.given[node.id])  # a number with a default, such as JANET's β
        if isinstance(node, ast.Constant):
            return str(node.value)
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == self.parameters:
            return letter(node.attr)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) == 1:
            return self._call(node.func.id, node.args[0], strength)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            text, own = "-" + self._text(node.operand, 2), 1
        elif isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
            sign, own, right = _OPERATORS[type(node.op)]
            text = self._text(node.left, own) + sign + self._text(node.right, right)
        else:
            self._refuse(node)
        return brackets(text) if own < strength else text

    def _call(self, name: str, argument: ast.expr, strength: int) -> str:
        function = self.given.get(name) or self.functions.globals.get(name)
        function = function or self.functions.nonlocals.get(name)
        if function in _FUNCTIONS:
            return _FUNCTIONS[function] + brackets(self._text(argument))
        if callable(function) and function(vector("a")) == vector("a"):
            return self._text(argument, strength)  # the identity, as in phi=lambda a: a
        return rf"\operatorname{{{name}}}" + brackets(self._text(argument))

    def _refuse(self, node: ast.AST) -> NoReturn:
        raise TypeError(
            f"cell {trace(self.cell).name}: {ast.unparse(node)!r} is not an equation; expected "
            "lines 'name = …' of +, -, *, @ and functions, and a return"
        )


_OPERATORS: dict[type[ast.operator], tuple[str, int, int]] = {  # sign, own strength, right side's
    ast.Add: (" + ", 1, 1),
    ast.Sub: (" - ", 1, 2),
    ast.Mult: (r" \odot ", 2, 2),
    ast.MatMult: (" ", 3, 4),
}
_FUNCTIONS: dict[Any, str] = {
    sigmoid: r"\sigma",
    tanh: r"\tanh",
    softplus: r"\operatorname{softplus}",
    relu: r"\operatorname{relu}",
}


def _without_partial(cell: Cell) -> tuple[Cell, dict[str, Any]]:
    """The function itself, and what its arguments with a default stand for."""
    layers = []
    while isinstance(cell, partial):
        layers.append(cell.keywords)
        cell = cell.func
    given = {
        name: parameter.default
        for name, parameter in inspect.signature(cell).parameters.items()
        if parameter.default is not parameter.empty
    }
    for keywords in reversed(layers):
        given |= keywords
    return cell, given


class _Derived(LatexPrinter):  # type: ignore[misc]
    """SymPy's printer, with bold letters and ⊙."""

    def _print_VectorSymbol(self, expr: Expr) -> str:  # noqa: N802
        return letter(expr.name)

    def _print_Symbol(self, expr: Expr) -> str:  # noqa: N802
        return str(super()._print_Symbol(expr)) if expr.is_commutative else letter(expr.name)

    def _print_Transpose(self, expr: Expr) -> str:  # noqa: N802
        return f"{self._print(expr.args[0])}^{{\\top}}"

    def _print_Diag(self, expr: Expr) -> str:  # noqa: N802
        return r"\operatorname{diag}" + brackets(self._print(expr.args[0]))

    def _print_MatVec(self, expr: Expr) -> str:  # noqa: N802
        matrix, v = expr.args
        inner = self._print(v)
        return f"{self._print(matrix)} {inner if v.is_Symbol else brackets(inner)}"

    def _print_sigma(self, expr: Expr, exp: Any = None) -> str:
        return self._call(r"\sigma", expr, exp)

    def _print_tanh(self, expr: Expr, exp: Any = None) -> str:
        return self._call(r"\tanh", expr, exp)

    def _print__softplus(self, expr: Expr, exp: Any = None) -> str:
        return self._call(r"\operatorname{softplus}", expr, exp)

    def _print__relu(self, expr: Expr, exp: Any = None) -> str:
        return self._call(r"\operatorname{relu}", expr, exp)

    def _print_step(self, expr: Expr, exp: Any = None) -> str:
        return self._call(r"\operatorname{step}", expr, exp)

    def _call(self, name: str, expr: Expr, exp: Any) -> str:
        power = f"^{{{exp}}}" if exp else ""
        return f"{name}{power}" + brackets(self._print(expr.args[0]))

    def _print_Add(self, expr: Expr, order: Any = None) -> str:  # noqa: N802
        # What is positive first, what is short first: n − h, and diag(1 − z) before the long terms.
        terms = [str(self._print(term)) for term in expr.as_ordered_terms()]
        if not expr.is_commutative:
            terms.sort(key=len)
        terms.sort(key=lambda text: text.startswith("-"))
        return " + ".join(terms).replace("+ -", "- ")

    def _print_Mul(self, expr: Expr) -> str:  # noqa: N802
        number, rest = expr.as_coeff_Mul()
        if number.is_negative:
            return f"-{self.parenthesize(-expr, PRECEDENCE['Mul'])}"
        factors = sympy.Mul.make_args(rest)
        sign = " "
        if rest.has(VectorSymbol, MatVec) and rest.is_commutative:
            sign, factors = r" \odot ", sorted(factors, key=lambda f: f.is_Add)
        text = sign.join(self.parenthesize(f, PRECEDENCE["Mul"]) for f in factors)
        return text if number == 1 else f"{self._print(number)} {text}"

    def parenthesize(self, item: Expr, level: int, *_: Any, **__: Any) -> str:
        text = str(self._print(item))
        return brackets(text) if item.is_Add and level >= PRECEDENCE["Mul"] else text
