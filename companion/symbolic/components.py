"""What a statement about vectors of unspecified size says, component by component.

Row j of U(r⊙h) is Σₖ U[j,k] r[k] h[k]: with a sum over an index for a size H that stays a letter,
or written out for D = 2, H = 3. This is the meaning of the ring, and the witness for it: the same
cell run on NumPy arrays of SymPy symbols must give the same components.

Here is also where an expression made by hand gets its shapes, and is refused if they do not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import sympy

from companion.parameters import parameter_set
from companion.symbolic.operators import Transpose
from companion.symbolic.ring import Expr, MatVec
from companion.trace import Cell, trace

Shapes = Mapping[str, tuple[str, ...]]

_LETTERS = "klmpqstuvw"  # of the sums inside one another


def size(expr: Expr, shapes: Shapes | None = None) -> str:
    """The size of a vector, "D" or "H"; "" for a number, which is a vector of any size.

    shapes: in letters, by name. Without one, the book's convention holds: a vector x… is (D,), a
    matrix W… is (H, D), every other vector (H,) and matrix (H, H). Raises TypeError where sizes do
    not fit.

    >>> from companion.symbolic import matrix, vector
    >>> size(matrix("W") @ vector("x"))
    'H'
    >>> size(vector("x") + vector("h"))
    Traceback (most recent call last):
    ...
    TypeError: h + x: sizes D and H differ
    """
    if expr.is_Symbol:
        return _shape(expr, shapes)[0]
    if isinstance(expr, MatVec):
        rows, columns = _shape(expr.args[0], shapes)
        inner = size(expr.args[1], shapes)
        if inner not in ("", columns):
            raise TypeError(
                f"{expr}: {expr.args[0]} has shape ({rows}, {columns}) and {expr.args[1]} "
                f"has shape ({inner},)"
            )
        return rows
    found = sorted({size(part, shapes) for part in expr.args} - {""})
    if len(found) > 1:
        raise TypeError(f"{expr}: sizes {' and '.join(found)} differ")
    return found[0] if found else ""


def component(expr: Expr, index: Any = "j", shapes: Shapes | None = None) -> Expr:
    """One component of a vector, with a Sum for every ``@``; D and H stay letters.

    index: a letter, or a whole number from 0 on.

    >>> from companion.symbolic import matrix, vector
    >>> U, r, h = matrix("U"), vector("r"), vector("h")
    >>> component(U @ (r * h) - r * (U @ h))
    -r[j]*Sum(U[j, k]*h[k], (k, 0, H - 1)) + Sum(U[j, k]*h[k]*r[k], (k, 0, H - 1))
    """
    size(expr, shapes)
    index = sympy.Symbol(index, integer=True) if isinstance(index, str) else index
    letters = [letter for letter in _LETTERS if letter != str(index)]

    def product(element: Callable[[Any], Expr], inner: Callable[[Any], Expr], columns: str,
                depth: int) -> Expr:  # fmt: skip
        k = sympy.Symbol(letters[depth], integer=True)
        return sympy.Sum(element(k) * inner(k), (k, 0, sympy.Symbol(columns) - 1))

    return _component(expr, index, shapes, product, 0)


def components(expr: Expr, D: int, H: int, shapes: Shapes | None = None) -> Any:
    """All components of a vector for whole numbers D and H: an array of SymPy expressions.

    >>> from companion.symbolic import matrix, vector
    >>> components(matrix("U") @ vector("h"), 1, 2)
    array([U[0, 0]*h[0] + U[0, 1]*h[1], U[1, 0]*h[0] + U[1, 1]*h[1]],
          dtype=object)
    """
    sizes = {"D": D, "H": H, "": H}

    def product(element: Callable[[Any], Expr], inner: Callable[[Any], Expr], columns: str,
                depth: int) -> Expr:  # fmt: skip
        return sympy.Add(*(element(k) * inner(k) for k in range(sizes[columns])))

    length = sizes[size(expr, shapes)]
    made = np.empty(length, dtype=object)
    made[:] = [_component(expr, j, shapes, product, 0) for j in range(length)]
    return made


def explicit(cell: Cell, D: int, H: int) -> tuple[dict[str, Any], Any]:
    """A cell run on arrays of SymPy symbols: the arrays by name, and the new state.

    >>> from companion import rnn
    >>> explicit(rnn, 1, 1)[1]
    array([tanh(U[0, 0]*h[0] + W[0, 0]*x[0] + b[0])], dtype=object)
    """
    traced = trace(cell)
    arguments = (*traced.inputs, *traced.states)
    sizes = {"D": D, "H": H}
    shapes = {wire.name: wire.shape for wire in (*arguments, *traced.parameters.values())}
    values = {
        name: symbols(name, *(sizes[letter] for letter in shape)) for name, shape in shapes.items()
    }
    names = tuple(traced.parameters)
    p = parameter_set(traced.name, names)(*(values[name] for name in names))
    return values, cell(*(values[wire.name] for wire in arguments), p)


def symbols(name: str, *shape: int) -> Any:
    """An array of symbols: the components of one vector, or the elements of one matrix.

    >>> symbols("U", 1, 2)
    array([[U[0, 0], U[0, 1]]], dtype=object)
    """
    made = np.empty(shape, dtype=object)
    for place in np.ndindex(*shape):
        made[place] = sympy.IndexedBase(name)[place]
    return made


Product = Callable[[Callable[[Any], Expr], Callable[[Any], Expr], str, int], Expr]


def _component(expr: Expr, j: Any, shapes: Shapes | None, product: Product, depth: int) -> Expr:
    if expr.is_Symbol:
        return sympy.IndexedBase(expr.name)[j]
    if isinstance(expr, MatVec):
        matrix, v = expr.args
        return product(
            lambda k: _element(matrix, j, k),
            lambda k: _component(v, k, shapes, product, depth + 1),
            _shape(matrix, shapes)[1],
            depth,
        )
    if not expr.args:
        return expr
    return expr.func(*(_component(part, j, shapes, product, depth) for part in expr.args))


def _element(matrix: Expr, j: Any, k: Any) -> Expr:
    if isinstance(matrix, Transpose):
        return _element(matrix.args[0], k, j)
    return sympy.IndexedBase(matrix.name)[j, k]


def _shape(atom: Expr, shapes: Shapes | None) -> tuple[str, ...]:
    if isinstance(atom, Transpose):
        return _shape(atom.args[0], shapes)[::-1]
    if shapes and atom.name in shapes:
        return shapes[atom.name]
    if atom.is_commutative:
        return ("D",) if atom.name.startswith("x") else ("H",)
    return ("H", "D") if atom.name.startswith("W") else ("H", "H")
