"""One training loop for any layer and any loss; and for many models of one shape at once.

Small files, each with one idea: `loop` is the loop, `run` one step of it and what the next one
depends on, `rates` a step of the optimiser, `clip` the length of a gradient, `members` how each
model of a stack fares, `history` the table that comes back, `checkpoint` the file from which an
interrupted run goes on.
"""

from companion.extras import missing

try:
    from companion.train.clip import clip
    from companion.train.history import History, NonFiniteError
    from companion.train.loop import train
except ModuleNotFoundError as error:
    raise missing("companion.train", error) from error

__all__ = ["History", "NonFiniteError", "clip", "train"]
