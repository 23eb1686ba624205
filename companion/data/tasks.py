"""Synthetic tasks with a known answer and a known price of forgetting.

Each is one function that draws a fresh batch from a seeded generator: inputs xs (T, B, D), time
first, and targets. A real or binary target has the shape of a read-out's output, its last axis
included, so that a difference cannot broadcast; a class is a whole number without that axis, as
cross-entropy takes it. Each docstring gives the loss that the best guess without a memory has: a
model has learnt to remember only if it is below that.

The formal languages, in which memory means counting, are in `companion.data.languages`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from companion.data.checks import generator, whole

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Task(NamedTuple):
    """A batch: inputs xs (T, B, D) and real or binary targets, of a read-out's shape.

    >>> batch = parity(6, 4, np.random.default_rng(0))
    >>> batch.xs.shape, batch.targets.shape
    ((6, 4, 1), (6, 4, 1))
    """

    xs: Floats
    targets: Floats


class Classes(NamedTuple):
    """A batch: inputs xs (T, B, D) and targets that are classes, whole numbers from 0.

    >>> batch = temporal_order(20, 4, np.random.default_rng(0))
    >>> batch.xs.shape, batch.targets
    ((20, 4, 8), array([2, 2, 3, 1]))
    """

    xs: Floats
    targets: Integers


def adding(length: int, batch_size: int, rng: np.random.Generator) -> Task:
    """The adding problem: the sum of the two marked values, among length values.

    xs (T, B, 2): a value, uniform in [0, 1], and a marker, 1 at two steps and 0 elsewhere. One
    marked step is uniform in the first half, the first ⌊T/2⌋ steps, one in the rest. targets
    (B, 1): X₁ + X₂, the two marked values; it is asked for after the last step.

    A guess that has seen nothing says 1: its mean squared error is 2·Var X = 2/12 = 1/6. The last
    step alone, which is marked once in T − ⌊T/2⌋ sequences, lowers that by 1/12 as often.

    Raises TypeError or ValueError that name the argument.

    Source: Le, Jaitly & Hinton (2015); the halves as in Arjovsky, Shah & Bengio (2016). The
    original, Hochreiter & Schmidhuber (1997), draws from [−1, 1] and asks for ½ + (X₁ + X₂)/4;
    there the same guess costs 2·(4/12)/16 = 1/24, so errors on the two scales cannot be compared.

    >>> xs, targets = adding(6, 1, np.random.default_rng(0))
    >>> marked = xs[:, 0, 1] == 1
    >>> np.flatnonzero(marked), xs[marked, 0, 0].round(2), targets.round(2)
    (array([1, 4]), array([0.27, 0.81]), array([[1.08]]))
    """
    length, batch_size = whole("length", length, 2), whole("batch_size", batch_size, 1)
    rng = generator(rng)
    members = np.arange(batch_size)
    xs = np.zeros((length, batch_size, 2))
    xs[:, :, 0] = rng.random((length, batch_size))
    first = rng.integers(0, length // 2, batch_size)
    second = rng.integers(length // 2, length, batch_size)
    xs[first, members, 1] = xs[second, members, 1] = 1
    total = xs[first, members, 0] + xs[second, members, 0]
    return Task(xs, total[:, None])


def copy_memory(
    lag: int, batch_size: int, rng: np.random.Generator, symbols: int = 8, length: int = 10
) -> Classes:
    """Copy memory: repeat the first length symbols after a lag, when the delimiter says so.

    T = lag + 2·length steps. xs (T, B, symbols + 2), one-hot: length symbols, each uniform; lag − 1
    blanks; the delimiter; length blanks. targets (T, B): lag + length times the blank, then the
    symbols, in order. Classes 0 … symbols − 1 are the symbols, then come the blank and, only in
    the inputs, the delimiter. Each symbol is asked for lag + length steps after it was shown.

    Without a memory the blanks are known and the symbols are not: cross-entropy, averaged over
    all T steps, length·ln(symbols)/(lag + 2·length); with the defaults 10·ln 8/(lag + 20).

    Raises TypeError or ValueError that name the argument.

    Source: Arjovsky, Shah & Bengio (2016), after Hochreiter & Schmidhuber (1997).

    >>> xs, targets = copy_memory(3, 1, np.random.default_rng(0), symbols=2, length=2)
    >>> xs[:, 0].argmax(axis=1), targets[:, 0]
    (array([1, 1, 2, 2, 3, 2, 2]), array([2, 2, 2, 2, 2, 1, 1]))
    """
    lag, batch_size = whole("lag", lag, 1), whole("batch_size", batch_size, 1)
    symbols, length = whole("symbols", symbols, 2), whole("length", length, 1)
    shown = generator(rng).integers(0, symbols, (length, batch_size))
    blank, delimiter = symbols, symbols + 1
    inputs = np.full((lag + 2 * length, batch_size), blank)
    inputs[:length] = shown
    inputs[lag + length - 1] = delimiter
    targets = np.full_like(inputs, blank)
    targets[-length:] = shown
    return Classes(np.eye(symbols + 2)[inputs], targets)


def temporal_order(length: int, batch_size: int, rng: np.random.Generator) -> Classes:
    """Temporal order: which of X and Y came first, and which second, among distractors.

    xs (T, B, 8), one-hot, columns E B a b c d X Y: E at the first step and B at the last; X or Y,
    with equal chance, at the steps t₁ and t₂; one of a, b, c, d, uniform, at each other step.
    Steps counted from 1, t₁ is uniform in ⌊T/10⌋ … ⌊2T/10⌋, t₂ in ⌊5T/10⌋ … ⌊6T/10⌋. targets (B,):
    0 for X X, 1 for X Y, 2 for Y X, 3 for Y Y; asked for after the last step, at B.

    Without a memory each class has the chance 1/4: cross-entropy ln 4, accuracy 1/4.

    Raises TypeError or ValueError that name the argument.

    Source: Hochreiter & Schmidhuber (1997), task 6a. Kept: the eight symbols, the four classes
    (theirs are called Q R S U), and with T = 100 their ranges of t₁ and t₂, 10 … 20 and 50 … 60.
    Simplified: they draw each sequence's length between 100 and 110; here a batch has one length,
    and the ranges grow with it.

    >>> xs, targets = temporal_order(20, 1, np.random.default_rng(0))
    >>> "".join("EBabcdXY"[k] for k in xs[:, 0].argmax(axis=1)), targets
    ('EYcbbaaaadcXccdccccB', array([2]))
    """
    length, batch_size = whole("length", length, 20), whole("batch_size", batch_size, 1)
    rng = generator(rng)
    members = np.arange(batch_size)
    inputs = rng.integers(2, 6, (length, batch_size))
    inputs[0], inputs[-1] = 0, 1
    targets = np.zeros(batch_size, dtype=np.int64)
    for tenths in (1, 5):
        least, most = tenths * length // 10, (tenths + 1) * length // 10
        t = rng.integers(least, most + 1, batch_size)  # counted from 1
        is_y = rng.integers(0, 2, batch_size)
        inputs[t - 1, members] = 6 + is_y
        targets = 2 * targets + is_y
    return Classes(np.eye(8)[inputs], targets)


def parity(length: int, batch_size: int, rng: np.random.Generator) -> Task:
    """Parity: has the number of ones so far been odd? Asked for at every step.

    xs (T, B, 1): bits, 0 or 1 with equal chance. targets (T, B, 1): 1 where the sum of the bits
    up to and including this one is odd, else 0.

    Without a memory only the first step is known: the binary cross-entropy, averaged over all
    T steps, is (T − 1)/T·ln 2; at each later step it is ln 2, and the accuracy is 1/2.

    Raises TypeError or ValueError that name the argument.

    Source: Minsky & Papert (1969); for recurrent networks, Hochreiter & Schmidhuber (1996), who
    show that guessing weights solves it sooner than the training methods of that time.

    >>> xs, targets = parity(6, 1, np.random.default_rng(2))
    >>> xs[:, 0, 0], targets[:, 0, 0]
    (array([1., 0., 0., 0., 0., 1.]), array([1., 1., 1., 1., 1., 0.]))
    """
    length, batch_size = whole("length", length, 1), whole("batch_size", batch_size, 1)
    bits = generator(rng).integers(0, 2, (length, batch_size, 1))
    return Task(bits.astype(np.float64), (bits.cumsum(axis=0) % 2).astype(np.float64))
