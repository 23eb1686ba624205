"""Theorems."""

from companion.theorems.main import MAIN, DELAYED

THEOREMS = (MAIN, DELAYED)
