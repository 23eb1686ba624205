"""Data to learn from: small series that ship, public data sets, tasks with a known answer."""

from companion.data.downloads import DOWNLOADS, Download, Music, fetch, music, shakespeare
from companion.data.languages import (
    Members,
    NextSymbol,
    a_n_b_n,
    a_n_b_n_c_n,
    counting,
    dyck,
    membership,
)
from companion.data.series import Series, cancellations, departures, sunspots, weather
from companion.data.spoken import Digits, digits
from companion.data.tasks import Classes, Task, adding, copy_memory, parity, temporal_order

__all__ = [
    "DOWNLOADS",
    "Classes",
    "Digits",
    "Download",
    "Members",
    "Music",
    "NextSymbol",
    "Series",
    "Task",
    "a_n_b_n",
    "a_n_b_n_c_n",
    "adding",
    "cancellations",
    "copy_memory",
    "counting",
    "departures",
    "digits",
    "dyck",
    "fetch",
    "membership",
    "music",
    "parity",
    "shakespeare",
    "sunspots",
    "temporal_order",
    "weather",
]
