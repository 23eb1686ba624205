"""Each task's targets are recomputed the slow way, and its price of forgetting is measured."""

import re
from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from companion.data import adding, copy_memory, parity, temporal_order

seeds = st.integers(0, 2**32 - 1)
batch_sizes = st.integers(1, 4)


def rng(seed=0):
    return np.random.default_rng(seed)


def one_hot(xs):
    """The columns of the ones (T, B), if each step has exactly one and else zeros."""
    assert ((xs == 0) | (xs == 1)).all()
    assert (xs.sum(axis=2) == 1).all()
    return xs.argmax(axis=2)


def adding_again(xs):
    """The sum, for each member, of the two values whose marker is set, one in each half."""
    sums = []
    for b in range(xs.shape[1]):
        marked = [t for t in range(len(xs)) if xs[t, b, 1] == 1]
        first, second = marked
        assert first < len(xs) // 2 <= second
        assert sum(xs[:, b, 1]) == 2
        sums.append([xs[first, b, 0] + xs[second, b, 0]])
    return np.array(sums)


def copy_memory_again(xs, lag, symbols, length):
    """Read symbol by symbol: store until there are enough, repeat after the delimiter."""
    steps = one_hot(xs)
    targets = np.full_like(steps, symbols)
    for b in range(steps.shape[1]):
        stored, waiting = [], None
        for t, symbol in enumerate(steps[:, b]):
            if waiting is not None:
                targets[t, b] = stored[waiting]
                waiting += 1
            if symbol < symbols:
                stored.append(symbol)
            if symbol == symbols + 1:
                assert t == lag + length - 1
                waiting = 0
        assert (len(stored), waiting) == (length, length)
    return targets


def temporal_order_again(xs):
    """As a word: an E, distractors and two of X and Y, a B; the class is that of the two."""
    targets, when = [], []
    for symbols in one_hot(xs).T:
        word = "".join("EBabcdXY"[k] for k in symbols)
        found = re.fullmatch(r"E[abcd]*([XY])[abcd]*([XY])[abcd]*B", word)
        targets.append(["XX", "XY", "YX", "YY"].index(found[1] + found[2]))
        when.append((found.start(1) + 1, found.start(2) + 1))
    return np.array(targets), when


def parity_again(xs):
    odd = np.zeros_like(xs)
    for b in range(xs.shape[1]):
        for t in range(len(xs)):
            odd[t, b, 0] = sum(xs[s, b, 0] for s in range(t + 1)) % 2 == 1
    return odd


@given(length=st.integers(2, 12), batch_size=batch_sizes, seed=seeds)
def test_adding(length, batch_size, seed):
    xs, targets = adding(length, batch_size, rng(seed))
    assert xs.shape == (length, batch_size, 2)
    assert targets.shape == (batch_size, 1)
    assert ((xs[:, :, 0] >= 0) & (xs[:, :, 0] <= 1)).all()
    assert np.array_equal(targets, adding_again(xs))
    targets[-1] += 1e-9
    assert not np.array_equal(targets, adding_again(xs))


@given(
    lag=st.integers(1, 9),
    batch_size=batch_sizes,
    symbols=st.integers(2, 9),
    length=st.integers(1, 5),
    seed=seeds,
)
def test_copy_memory(lag, batch_size, symbols, length, seed):
    xs, targets = copy_memory(lag, batch_size, rng(seed), symbols=symbols, length=length)
    assert xs.shape == (lag + 2 * length, batch_size, symbols + 2)
    assert np.array_equal(targets, copy_memory_again(xs, lag, symbols, length))
    targets[-1, -1] = (targets[-1, -1] + 1) % symbols
    assert not np.array_equal(targets, copy_memory_again(xs, lag, symbols, length))


@given(length=st.integers(20, 120), batch_size=batch_sizes, seed=seeds)
def test_temporal_order(length, batch_size, seed):
    xs, targets = temporal_order(length, batch_size, rng(seed))
    assert xs.shape == (length, batch_size, 8)
    expected, when = temporal_order_again(xs)
    assert np.array_equal(targets, expected)
    for first, second in when:
        assert length // 10 <= first <= length // 5
        assert length // 2 <= second <= 6 * length // 10
    targets[-1] = 3 - targets[-1]
    assert not np.array_equal(targets, expected)


@given(length=st.integers(1, 12), batch_size=batch_sizes, seed=seeds)
def test_parity(length, batch_size, seed):
    xs, targets = parity(length, batch_size, rng(seed))
    assert xs.shape == targets.shape == (length, batch_size, 1)
    assert ((xs == 0) | (xs == 1)).all()
    assert np.array_equal(targets, parity_again(xs))
    targets[-1, -1] = 1 - targets[-1, -1]
    assert not np.array_equal(targets, parity_again(xs))


def test_adding_without_a_memory_costs_a_sixth():
    """(X₁ + X₂ − 1)² has mean 1/6 and variance 1/15 − 1/36; five standard errors are allowed."""
    xs, targets = adding(2, 200_000, rng())
    allowed = 5 * sqrt((1 / 15 - 1 / 36) / len(targets))
    assert allowed < 0.0023
    assert abs(((targets - 1) ** 2).mean() - 1 / 6) < allowed
    for worse in (0.9, 1.1):
        assert ((targets - worse) ** 2).mean() > 1 / 6 + allowed
    # The same draws in the form of 1997: inputs in [−1, 1], target ½ + (X₁ + X₂)/4.
    old = 0.5 + (2 * xs[:, :, 0] - 1).sum(axis=0) / 4
    assert abs(((old - 0.5) ** 2).mean() - 1 / 24) < allowed / 4


def test_adding_marks_every_step():
    xs, _ = adding(7, 5000, rng())
    counts = xs[:, :, 1].sum(axis=1)
    for half in (counts[:3], counts[3:]):
        share = 1 / len(half)
        assert np.abs(half / 5000 - share).max() < 5 * sqrt(share * (1 - share) / 5000)


def cross_entropy(chances, targets):
    return -np.log(np.take_along_axis(chances, targets[..., None], axis=-1)).mean()


@pytest.mark.parametrize(("lag", "symbols", "length"), [(30, 8, 10), (1000, 8, 10), (5, 3, 2)])
def test_copying_without_a_memory(lag, symbols, length):
    _, targets = copy_memory(lag, 16, rng(), symbols=symbols, length=length)
    expected = length * log(symbols) / (lag + 2 * length)
    best = np.zeros((*targets.shape, symbols + 1))
    best[:-length, :, symbols] = 1
    best[-length:, :, :symbols] = 1 / symbols
    assert abs(cross_entropy(best, targets) - expected) < 1e-12
    assert cross_entropy(np.full_like(best, 1 / (symbols + 1)), targets) > expected + 0.1
    if (lag, symbols, length) == (1000, 8, 10):
        assert round(expected, 4) == 0.0204  # as in the literature


def test_copied_symbols_are_uniform_at_each_place():
    """So no guess does better than 1/symbols."""
    _, targets = copy_memory(1, 20_000, rng(), symbols=4, length=3)
    shares = [(targets[-3:] == symbol).mean(axis=1) for symbol in range(4)]
    assert np.abs(np.array(shares) - 1 / 4).max() < 5 * sqrt(3 / 16 / 20_000)


def test_the_original_ranges_of_temporal_order_and_its_classes():
    xs, targets = temporal_order(100, 20_000, rng())
    _, when = temporal_order_again(xs[:, :2000])
    assert {first for first, _ in when} == set(range(10, 21))
    assert {second for _, second in when} == set(range(50, 61))
    shares = np.bincount(targets) / len(targets)
    assert np.abs(shares - 1 / 4).max() < 5 * sqrt(3 / 16 / len(targets))
    uniform = np.full((len(targets), 4), 1 / 4)
    assert abs(cross_entropy(uniform, targets) - log(4)) < 1e-12


def test_parity_without_a_memory():
    """The first target is the first bit; after that, a bit says nothing about its target."""
    xs, targets = parity(6, 20_000, rng())
    assert np.array_equal(targets[0], xs[0])
    for t in range(1, 6):
        for bit in (0, 1):
            given_bit = targets[t, xs[t] == bit]
            assert abs(given_bit.mean() - 1 / 2) < 5 * sqrt(1 / 4 / len(given_bit))
    guess = np.where(np.arange(6)[:, None, None] == 0, xs, 0.5)
    loss = -np.log(np.where(targets == 1, guess, 1 - guess)).mean()
    assert abs(loss - 5 / 6 * log(2)) < 1e-12


CALLS = {
    "adding": lambda r: adding(9, 5, r),
    "copy_memory": lambda r: copy_memory(7, 5, r),
    "temporal_order": lambda r: temporal_order(40, 5, r),
    "parity": lambda r: parity(9, 5, r),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_seed_gives_one_batch_and_a_generator_gives_many(name):
    draw = CALLS[name]
    generator = rng(3)
    first, second = draw(generator), draw(generator)
    assert all(map(np.array_equal, first, draw(rng(3))))
    assert not np.array_equal(first.xs, second.xs)
    assert not np.array_equal(first.xs, draw(rng(4)).xs)
    assert first.xs.dtype == np.float64
    kind = np.float64 if name in ("adding", "parity") else np.int64
    assert first.targets.dtype == kind


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: adding(1, 2, rng()), ValueError, "length is 1; expected a whole number, at least"),
        (lambda: adding(9.0, 2, rng()), TypeError, r"length is 9\.0; expected a whole number"),
        (lambda: adding(9, 0, rng()), ValueError, "batch_size is 0; expected .*, at least 1"),
        (lambda: adding(np.array([9]), 2, rng()), TypeError, r"length is array\(\[9\]\); expected"),
        (lambda: adding(9, True, rng()), TypeError, "batch_size is True; expected a whole number"),
        (lambda: adding(9, 2, 0), TypeError, r"rng is 0; expected a numpy\.random\.Generator"),
        (lambda: adding(9, 2, None), TypeError, r"rng is None; expected a numpy"),
        (lambda: copy_memory(0, 2, rng()), ValueError, "lag is 0; expected .*, at least 1"),
        (lambda: copy_memory(1, 2, 7), TypeError, "rng is 7; expected"),
        (lambda: copy_memory(1, 2, rng(), symbols=1), ValueError, "symbols is 1; .* at least 2"),
        (lambda: copy_memory(1, 2, rng(), length=0), ValueError, "length is 0; .* at least 1"),
        (lambda: temporal_order(19, 2, rng()), ValueError, "length is 19; .* at least 20"),
        (lambda: temporal_order(20, -1, rng()), ValueError, "batch_size is -1; .* at least 1"),
        (lambda: temporal_order(20, 1, "0"), TypeError, "rng is '0'; expected"),
        (lambda: parity(0, 2, rng()), ValueError, "length is 0; expected .*, at least 1"),
        (lambda: parity("9", 2, rng()), TypeError, "length is '9'; expected a whole number"),
        (lambda: parity(9, 2, np.random), TypeError, "rng is <module.*; expected a numpy"),
    ],
)
def test_a_wrong_argument_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
