"""Formal languages as tasks: to say what may come next, or whether a string belongs, one counts.

Every string begins with one boundary sign, #, so that there is an input before the first letter.
Among the targets the same column means that the string may end here. Strings of one batch may have
different lengths: they are padded with zeros, inputs and targets alike, at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from companion.data.checks import generator, whole, wholes

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class NextSymbol(NamedTuple):
    """What may come next, after each symbol of each string; T is the longest length.

    xs (T, B, D): the symbols, one-hot, first # and then the string. targets (T, B, D): 1 for each
    symbol that may follow the prefix read so far, # for the end, else 0. mask (T, B): 1 inside a
    string, 0 in the padding. lengths (B,): the symbols of each string, with #.

    >>> batch = counting([1, 2])
    >>> batch.xs.shape, batch.lengths, batch.mask.sum(axis=0)
    ((5, 2, 3), array([3, 5]), array([3., 5.]))
    """

    xs: Floats
    targets: Floats
    mask: Floats
    lengths: Integers

    @property
    def sure(self) -> Floats:
        """(T, B): 1 where just one symbol may follow, so that the next one is known, else 0."""
        sure: Floats = (self.targets.sum(axis=2) == 1).astype(np.float64)
        return sure


class Members(NamedTuple):
    """Strings that belong to a language and others that do not.

    xs (T, B, D): the symbols, one-hot, first # and then the string. targets (B, 1): 1 for a
    member, else 0; asked for after the last symbol, at step lengths − 1 counted from 0.
    lengths (B,): the symbols of each string, with #.

    >>> batch = membership(range(1, 9), 4, np.random.default_rng(0))
    >>> batch.xs.shape, batch.targets.shape, batch.lengths
    ((17, 4, 3), (4, 1), array([17, 17, 14,  8]))
    """

    xs: Floats
    targets: Floats
    lengths: Integers


def a_n_b_n(n_values: Iterable[int], batch_size: int, rng: np.random.Generator) -> NextSymbol:
    """Next symbols of aⁿbⁿ, each n drawn from n_values with equal chance; see `counting`.

    Without a memory, BCE summed over the symbols and averaged over the steps inside the strings
    is 2·m·H(1/m)/(2m + 1), with m the mean of n_values and H(q) = −q ln q − (1−q) ln(1−q).

    Raises TypeError or ValueError that name the argument.

    >>> batch = a_n_b_n(range(1, 100), 32, np.random.default_rng(0))
    >>> batch.xs.shape, batch.lengths[:4]
    ((195, 32, 3), array([171, 129, 103,  55]))
    """
    return counting(_draw(n_values, batch_size, rng), "ab")


def a_n_b_n_c_n(n_values: Iterable[int], batch_size: int, rng: np.random.Generator) -> NextSymbol:
    """Next symbols of aⁿbⁿcⁿ, each n drawn from n_values with equal chance; see `counting`.

    Without a memory, BCE summed over the symbols and averaged over the steps inside the strings
    is 4·m·H(1/m)/(3m + 1), with m the mean of n_values and H(q) = −q ln q − (1−q) ln(1−q).

    Raises TypeError or ValueError that name the argument.

    >>> a_n_b_n_c_n(range(1, 50), 32, np.random.default_rng(0)).xs.shape
    (145, 32, 4)
    """
    return counting(_draw(n_values, batch_size, rng), "abc")


def counting(ns: Iterable[int], letters: str = "ab") -> NextSymbol:
    """What may come next in aⁿbⁿ, aⁿbⁿcⁿ, …: one string for each n, at least 1, in this order.

    With k letters, the columns are the letters and then #; the length is kn + 1. After # only a
    may come, after an a another a or b: n is not known yet. From the first b on everything is
    sure: each letter until it has come n times, then the next letter, after the last one the end.
    A string counts as right if at each of its steps the predicted set is right.

    The best guess from the last symbol alone errs only after the letters that are counted, b and
    on: of these the share 1/m is the n-th, m the mean of n. There two symbols each cost the
    entropy H(1/m); BCE summed over the symbols, averaged over the steps inside the strings:
    2(k − 1)·m·H(1/m)/(km + 1). It gets no string with n > 1 right.

    Raises TypeError or ValueError that name the argument.

    Source: Gers & Schmidhuber (2001), with one column for their signs of start and end.

    >>> batch = counting([2])
    >>> "".join("ab#"[k] for k in batch.xs[:, 0].argmax(axis=1))
    '#aabb'
    >>> ["".join("ab#"[k] for k in np.flatnonzero(row)) for row in batch.targets[:, 0]]
    ['a', 'ab', 'ab', 'b', '#']
    >>> batch.sure[:, 0]
    array([1., 0., 0., 1., 1.])
    """
    k, end = len(_letters(letters)), len(letters)
    numbers = wholes("ns", ns, 1)
    strings, nexts = [], []
    for n in numbers:
        string = np.concatenate([[end], np.repeat(np.arange(k), n)])
        legal = np.eye(k + 1)[np.append(string[1:], end)]
        legal[1 : n + 1, :2] = 1  # after an a: another one, or the first b
        strings.append(string)
        nexts.append(legal)
    return _next_symbol(strings, nexts)


def membership(
    n_values: Iterable[int], batch_size: int, rng: np.random.Generator, letters: str = "ab"
) -> Members:
    """Is it aⁿbⁿ (aⁿbⁿcⁿ, …), or only nearly so? Half of the strings, drawn at random, are members.

    n is drawn from n_values. In each other string one letter, chosen with equal chance, comes n ± d
    times instead of n; both signs have equal chance (but + where n − d would be below 1), and d
    has the chance 2⁻ᵈ. So half of them miss by one, and d has no bound: with a bound a finite
    automaton could tell them apart, by counting modulo a number above it. All letters come, and
    in order; what is wrong with the others needs no counting.

    The columns are the letters and then #. The last symbol alone says nothing: guessing 1/2 is
    best without a memory, and costs the binary cross-entropy ln 2.

    Raises TypeError or ValueError that name the argument.

    Source: the task of Weiss, Goldberg & Yahav (2018); the choice of the other strings is ours.

    >>> batch = membership([3], 4, np.random.default_rng(2))
    >>> counts = batch.xs[:, :, :2].sum(axis=0).astype(int)
    >>> counts.tolist(), batch.targets[:, 0]
    ([[3, 3], [3, 4], [4, 3], [5, 3]], array([1., 0., 0., 0.]))
    """
    k, end = len(_letters(letters)), len(letters)
    ns = _draw(n_values, batch_size, rng)
    members = rng.integers(0, 2, len(ns))
    counts = np.repeat(ns[:, None], k, axis=1)
    letter, sign = rng.integers(0, k, len(ns)), rng.choice([-1, 1], len(ns))
    d = rng.geometric(0.5, len(ns))
    change = np.where(ns + sign * d < 1, d, sign * d)
    counts[np.arange(len(ns)), letter] += np.where(members, 0, change)
    strings = [np.concatenate([[end], np.repeat(np.arange(k), count)]) for count in counts]
    lengths = np.array([len(string) for string in strings])
    xs = _pad([np.eye(k + 1)[string] for string in strings])
    return Members(xs, members[:, None].astype(np.float64), lengths)


def dyck(length: int, batch_size: int, rng: np.random.Generator, kinds: int = 1) -> NextSymbol:
    """What may come next in balanced brackets of several kinds.

    Each word of this length, an even number, has the same chance: of all that are balanced, with
    kinds of brackets, there are kinds^m·C(2m, m)/(m + 1), with m = length/2. It is drawn from left
    to right: with r symbols to come and d brackets open, the next one opens with the chance
    (d + 2)(r − d)/(2r(d + 1)), and its kind is uniform.

    The columns are the opening brackets, the closing ones, #: D = 2·kinds + 1, T = length + 1.
    Any bracket may open at any time; the one that was opened last may close; the end may come,
    and the next symbol says so by #, where none is open. Nothing is sure: a bracket may always
    open, since words of every length count as balanced, the empty one too.

    The best guess from the last symbol alone errs only after closing brackets: of these the share
    q = 3/(m + 2) leaves none open. BCE summed over the symbols, averaged over the steps:
    m·(H(q) + kinds·H((1 − q)/kinds))/(2m + 1), H(q) = −q ln q − (1−q) ln(1−q).

    Raises TypeError or ValueError that name the argument.

    Source: the language, Chomsky & Schützenberger (1963); the draw, Arnold & Sleep (1980).

    >>> batch = dyck(8, 1, np.random.default_rng(0), kinds=2)
    >>> "".join("([)]#"[k] for k in batch.xs[:, 0].argmax(axis=1))
    '#[(())][]'
    """
    length, batch_size = whole("length", length, 2), whole("batch_size", batch_size, 1)
    kinds, rng = whole("kinds", kinds, 1), generator(rng)
    if length % 2:
        raise ValueError(f"length is {length}; expected an even number: brackets come in pairs")
    strings, nexts = [], []
    for _ in range(batch_size):
        string, stack = [2 * kinds], list[int]()
        legal = np.zeros((length + 1, 2 * kinds + 1))
        legal[:, :kinds] = 1
        legal[0, -1] = 1
        for t in range(length):
            r, d = length - t, len(stack)
            if rng.random() * 2 * r * (d + 1) < (d + 2) * (r - d):
                stack.append(int(rng.integers(kinds)))
                string.append(stack[-1])
            else:
                string.append(kinds + stack.pop())
            legal[t + 1, kinds + stack[-1] if stack else -1] = 1
        strings.append(np.array(string))
        nexts.append(legal)
    return _next_symbol(strings, nexts)


def _letters(letters: str) -> str:
    if not isinstance(letters, str):
        raise TypeError(f"letters is {letters!r}; expected a string, such as 'abc'")
    if len(letters) < 2 or len(set(letters)) < len(letters) or "#" in letters:
        raise ValueError(f"letters is {letters!r}; expected two or more different ones, without #")
    return letters


def _draw(n_values: Iterable[int], batch_size: int, rng: np.random.Generator) -> Integers:
    values = wholes("n_values", n_values, 1)
    return generator(rng).choice(values, whole("batch_size", batch_size, 1))


def _next_symbol(strings: Sequence[Integers], nexts: Sequence[Floats]) -> NextSymbol:
    lengths = np.array([len(string) for string in strings])
    columns = nexts[0].shape[1]
    mask = (np.arange(lengths.max())[:, None] < lengths).astype(np.float64)
    return NextSymbol(
        _pad([np.eye(columns)[string] for string in strings]), _pad(nexts), mask, lengths
    )


def _pad(rows: Sequence[Floats]) -> Floats:
    """(T_b, D) for each member b to (T, B, D), with zeros after each end."""
    padded = np.zeros((max(map(len, rows)), len(rows), rows[0].shape[1]))
    for b, row in enumerate(rows):
        padded[: len(row), b] = row
    return padded
