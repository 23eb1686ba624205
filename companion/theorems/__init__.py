"""Theorems."""
from companion.theorems.main import MAIN, DELAYED
from companion.theorems.gates import *
from companion.theorems import gates
THEOREMS = (MAIN, DELAYED)+tuple(v for v in vars(gates).values() if type(v).__name__=="Theorem")
