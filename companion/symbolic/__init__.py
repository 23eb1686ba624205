"""x"""
from companion.symbolic.ring import equal, vector, normal
from companion.symbolic.operators import matrix, diag, Operator
from companion.symbolic.program import parameters, program, run
from companion.symbolic.evaluate import evaluate
from companion.symbolic.jacobian import jacobian, Block
