"""The symbolic half: the cells run on vectors of unspecified size, proved about, differentiated.

`vector`, `matrix`, `parameters` make what a cell can be run on, `run` runs it, `equal` proves an
equality for every size. `components` and `explicit` say what that means, component by component.
`jacobian`, `backward` and `bptt` differentiate a cell, `evaluate` takes symbols back to arrays,
`latex` prints. Nothing here needs torch.
"""

from companion.symbolic.backward import backward
from companion.symbolic.bptt import Gradients, bptt
from companion.symbolic.components import component, components, explicit
from companion.symbolic.evaluate import evaluate, named
from companion.symbolic.jacobian import Block, jacobian
from companion.symbolic.latex import latex
from companion.symbolic.operators import Operator, diag, matrix
from companion.symbolic.program import parameters, program, run
from companion.symbolic.ring import equal, normal, vector

__all__ = [
    "Block",
    "Gradients",
    "Operator",
    "backward",
    "bptt",
    "component",
    "components",
    "diag",
    "equal",
    "evaluate",
    "explicit",
    "jacobian",
    "latex",
    "matrix",
    "named",
    "normal",
    "parameters",
    "program",
    "run",
    "vector",
]
