"""The figures of the book. Needs matplotlib, which nothing else in the companion does."""

from companion.draw.band import band
from companion.draw.loop import loop
from companion.draw.nudges import nudges
from companion.draw.style import COLOURS, INK, LINES, use_style

__all__ = ["COLOURS", "INK", "LINES", "band", "loop", "nudges", "use_style"]
