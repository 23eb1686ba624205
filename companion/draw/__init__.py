"""The figures of the book. Needs matplotlib, which nothing else in the companion does."""

from companion.extras import missing

try:
    from companion.draw.band import band
    from companion.draw.cell import cell, cells
    from companion.draw.loop import loop
    from companion.draw.nudges import nudges
    from companion.draw.style import COLOURS, INK, LINES, use_style
    from companion.draw.words import describe
except ModuleNotFoundError as error:
    raise missing("companion.draw", error) from error

__all__ = [
    "COLOURS",
    "INK",
    "LINES",
    "band",
    "cell",
    "cells",
    "describe",
    "loop",
    "nudges",
    "use_style",
]
