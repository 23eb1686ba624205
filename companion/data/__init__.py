"""Data to learn from: small real series that ship, and synthetic tasks with a known answer."""

from companion.data.languages import (
    Members,
    NextSymbol,
    a_n_b_n,
    a_n_b_n_c_n,
    counting,
    dyck,
    membership,
)
from companion.data.series import Series, departures, sunspots
from companion.data.tasks import Classes, Task, adding, copy_memory, parity, temporal_order

__all__ = [
    "Classes",
    "Members",
    "NextSymbol",
    "Series",
    "Task",
    "a_n_b_n",
    "a_n_b_n_c_n",
    "adding",
    "copy_memory",
    "counting",
    "departures",
    "dyck",
    "membership",
    "parity",
    "sunspots",
    "temporal_order",
]
