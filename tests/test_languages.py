"""Languages: what may come next is recomputed from lists of words, and forgetting is priced."""

import re
from collections import Counter
from itertools import product
from math import comb, log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from companion.data import a_n_b_n, a_n_b_n_c_n, counting, dyck, membership

LETTERS = ("ab", "abc", "abcd")
BRACKETS = {1: "()", 2: "([)]"}


def rng(seed=0):
    return np.random.default_rng(seed)


def read(xs, lengths, columns):
    """The strings, without #, if the rows are one-hot in each string and zero after it."""
    strings = []
    for b, length in enumerate(lengths):
        rows = xs[:length, b]
        assert ((rows == 0) | (rows == 1)).all()
        assert (rows.sum(axis=1) == 1).all()
        assert not xs[length:, b].any()
        string = "".join(columns[k] for k in rows.argmax(axis=1))
        assert string[0] == "#"
        strings.append(string[1:])
    return strings


def next_again(words, longest, columns):
    """For each prefix of a word: the symbols that lead to a prefix of a word, # if it is one.

    words: all of the language up to a length that is enough for words of the longest length here.
    """
    prefixes = {word[:t] for word in words for t in range(len(word) + 1)}
    return {
        prefix: np.array(
            [prefix in words if c == "#" else prefix + c in prefixes for c in columns], float
        )
        for prefix in prefixes
        if len(prefix) <= longest
    }


def right(batch, words, columns):
    """Whether targets, mask and sure are those that the list of words gives."""
    table = next_again(words, batch.lengths.max() - 1, columns)
    expected = np.zeros_like(batch.targets)
    for b, string in enumerate(read(batch.xs, batch.lengths, columns)):
        assert string in words
        for t in range(len(string) + 1):
            expected[t, b] = table[string[:t]]
    steps = np.arange(batch.lengths.max())[:, None] < batch.lengths
    assert batch.xs.shape == batch.targets.shape == (*steps.shape, len(columns))
    return (
        np.array_equal(batch.targets, expected)
        and np.array_equal(batch.mask, steps)
        and np.array_equal(batch.sure, expected.sum(axis=2) == 1)
    )


def counted(letters, most):
    return {"".join(letter * n for letter in letters) for n in range(1, most + 1)}


@pytest.mark.parametrize("letters", LETTERS)
@given(ns=st.lists(st.integers(1, 7), min_size=1, max_size=4))
def test_counting(letters, ns):
    batch = counting(ns, letters)
    columns, words = letters + "#", counted(letters, 9)
    assert right(batch, words, columns)
    assert read(batch.xs, batch.lengths, columns) == ["".join(c * n for c in letters) for n in ns]
    batch.targets[-1, batch.lengths.argmax(), 0] = 1  # the longest string ends here
    assert not right(batch, words, columns)


def test_what_is_sure_in_a_counting_language():
    """The start, and everything from the first b on; never what follows an a."""
    batch = counting([3], "abc")
    symbols = batch.xs[:, 0].argmax(axis=1)
    assert np.array_equal(batch.sure[:, 0], symbols != 0)


def test_long_strings_for_testing():
    batch = counting([1000, 1])
    assert batch.xs.shape == (2001, 2, 3)
    assert batch.lengths.tolist() == [2001, 3]
    ends = batch.targets[:, :, 2]
    assert ends.sum() == ends[2000, 0] + ends[2, 1] == 2


@pytest.mark.parametrize(("draw", "letters"), [(a_n_b_n, "ab"), (a_n_b_n_c_n, "abc")])
def test_drawn_lengths(draw, letters):
    batch = draw([2, 3, 5], 3000, rng())
    assert right(batch, counted(letters, 7), letters + "#")
    ns = (batch.lengths - 1) // len(letters)
    shares = [(ns == n).mean() for n in (2, 3, 5)]
    assert sum(shares) == pytest.approx(1, abs=1e-12)
    assert np.abs(np.array(shares) - 1 / 3).max() < 5 * sqrt(2 / 9 / 3000)
    again = draw([2, 3, 5], 3000, rng())
    assert all(map(np.array_equal, batch, again))
    assert not np.array_equal(batch.lengths, draw([2, 3, 5], 3000, rng(1)).lengths)


def entropy(q):
    return -sum(p * log(p) for p in (q, 1 - q) if p > 0)


def forgetful(strings, table, columns):
    """The least BCE, summed over symbols, mean over steps, of a guess from the last symbol."""
    after = {c: [] for c in columns}
    for string in strings:
        for t in range(len(string) + 1):
            after[string[t - 1] if t else "#"].append(table[string[:t]])
    costs = [
        len(rows) * sum(entropy(share) for share in np.mean(rows, axis=0))
        for rows in after.values()
        if rows
    ]
    return sum(costs) / sum(len(string) + 1 for string in strings)


@pytest.mark.parametrize("letters", LETTERS)
@pytest.mark.parametrize("ns", [[1], [4], [1, 2, 3, 4, 5, 6], [2, 2, 7]])
def test_counting_without_a_memory(letters, ns):
    words = counted(letters, 9)
    table = next_again(words, 7 * len(letters), letters + "#")
    batch = counting(ns, letters)
    strings = read(batch.xs, batch.lengths, letters + "#")
    k, m = len(letters), np.mean(ns)
    expected = 2 * (k - 1) * m * entropy(1 / m) / (k * m + 1)
    assert abs(forgetful(strings, table, letters + "#") - expected) < 1e-12
    if max(ns) > 1:  # with a memory, the cost is nothing; and another m would be seen
        assert expected > 0.3
        other = 2 * (k - 1) * (m + 1) * entropy(1 / (m + 1)) / (k * (m + 1) + 1)
        assert abs(other - expected) > 1e-3


@pytest.mark.parametrize("letters", LETTERS)
def test_membership(letters):
    batch = membership(range(1, 6), 8000, rng(), letters)
    strings = read(batch.xs, batch.lengths, letters + "#")
    pattern = re.compile("".join(f"({letter}+)" for letter in letters))
    misses = []
    for b, string in enumerate(strings):
        counts = [len(run) for run in pattern.fullmatch(string).groups()]
        assert batch.targets[b, 0] == (len(set(counts)) == 1)
        usual, times = Counter(counts).most_common(1)[0]
        assert times >= len(letters) - 1  # one letter at most is out of step
        misses += [abs(count - usual) for count in counts if count != usual]
    assert batch.targets.shape == (8000, 1)
    assert abs(batch.targets.mean() - 1 / 2) < 5 * sqrt(1 / 4 / 8000)
    assert len(misses) == 8000 - batch.targets.sum()
    for d in (1, 2, 3):
        share = np.mean(np.array(misses) == d)
        assert abs(share - 2.0**-d) < 5 * sqrt(2.0**-d * (1 - 2.0**-d) / len(misses))
    assert max(misses) > 8
    assert {string[-1] for string in strings} == {letters[-1]}  # which says nothing


def test_membership_misses_from_both_sides_and_in_each_letter():
    batch = membership([40], 4000, rng())
    counts = batch.xs[:, :, :2].sum(axis=0)
    for column in counts.T:
        assert abs((column < 40).mean() - 1 / 8) < 5 * sqrt(7 / 64 / 4000)
        assert abs((column > 40).mean() - 1 / 8) < 5 * sqrt(7 / 64 / 4000)
    again = membership([40], 4000, rng())
    assert all(map(np.array_equal, batch, again))
    assert not np.array_equal(batch.targets, membership([40], 4000, rng(1)).targets)


def balanced(length, brackets):
    """All words of the length that vanish when neighbouring pairs are struck out."""
    half = len(brackets) // 2
    pairs = [brackets[k] + brackets[half + k] for k in range(half)]

    def vanishes(word):
        while (shorter := strike(word, pairs)) != word:
            word = shorter
        return not word

    return [word for word in map("".join, product(brackets, repeat=length)) if vanishes(word)]


def strike(word, pairs):
    for pair in pairs:
        word = word.replace(pair, "")
    return word


@pytest.fixture(scope="module")
def all_balanced():
    """All balanced words up to length 8, by the number of kinds."""
    return {
        kinds: {word for length in range(0, 9, 2) for word in balanced(length, brackets)}
        for kinds, brackets in BRACKETS.items()
    }


@pytest.mark.parametrize("kinds", BRACKETS)
@pytest.mark.parametrize("length", [2, 4, 6])
def test_dyck(all_balanced, kinds, length):
    columns = BRACKETS[kinds] + "#"
    batch = dyck(length, 50, rng(length), kinds)
    assert (batch.lengths == length + 1).all()
    assert right(batch, all_balanced[kinds], columns)
    assert not batch.sure[batch.targets[:, :, :kinds].all(axis=2)].any()
    batch.targets[3 % length, 7, -1] = 1 - batch.targets[3 % length, 7, -1]
    assert not right(batch, all_balanced[kinds], columns)


def uneven(strings, words):
    """Whether some word comes more or less often than chance allows, at five standard errors."""
    counts, share = Counter(strings), 1 / len(words)
    assert set(counts) <= set(words)
    allowed = 5 * sqrt(share * (1 - share) * len(strings))
    return any(abs(counts[word] - share * len(strings)) > allowed for word in words)


@pytest.mark.parametrize(("length", "kinds"), [(8, 1), (4, 2)])
def test_dyck_words_have_equal_chances(length, kinds):
    words = balanced(length, BRACKETS[kinds])
    m = length // 2
    assert len(words) == kinds**m * comb(2 * m, m) // (m + 1)
    batch = dyck(length, 500 * len(words), rng(), kinds)
    assert not uneven(read(batch.xs, batch.lengths, BRACKETS[kinds] + "#"), words)


def test_a_fair_coin_at_each_step_would_not_do():
    """The negative control: it is right only where both brackets are possible."""
    words, coin = balanced(8, "()"), rng()
    strings = []
    for _ in range(500 * len(words)):
        string = ""
        for left in range(8, 0, -1):
            d = 2 * string.count("(") - len(string)
            string += "(" if d == 0 or (d < left and coin.random() < 0.5) else ")"
        strings.append(string)
    assert uneven(strings, words)


@pytest.mark.parametrize("kinds", BRACKETS)
@pytest.mark.parametrize("length", [2, 4, 6])
def test_dyck_without_a_memory(all_balanced, kinds, length):
    columns, m = BRACKETS[kinds] + "#", length // 2
    words = balanced(length, BRACKETS[kinds])
    table = next_again(all_balanced[kinds], length, columns)
    q = 3 / (m + 2)
    expected = m * (entropy(q) + kinds * entropy((1 - q) / kinds)) / (2 * m + 1)
    assert abs(forgetful(words, table, columns) - expected) < 1e-12
    assert (expected > 0.3) == (m > 1)


def test_dyck_follows_its_seed():
    first = dyck(20, 9, rng(5), 3)
    assert all(map(np.array_equal, first, dyck(20, 9, rng(5), 3)))
    assert not np.array_equal(first.xs, dyck(20, 9, rng(6), 3).xs)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: counting([]), ValueError, "ns is empty; expected at least one whole number"),
        (lambda: counting([2, 0]), ValueError, r"ns\[1\] is 0; expected .*, at least 1"),
        (lambda: counting([1.5]), TypeError, r"ns\[0\] is 1\.5; expected a whole number"),
        (lambda: counting(5), TypeError, r"ns is 5; expected several whole numbers, such as range"),
        (lambda: counting("12"), TypeError, "ns is '12'; expected several whole numbers"),
        (lambda: counting([1], "a"), ValueError, "letters is 'a'; expected two or more different"),
        (lambda: counting([1], "aba"), ValueError, "letters is 'aba'; expected two or more diff"),
        (lambda: counting([1], "a#"), ValueError, "letters is 'a#'; expected .* without #"),
        (lambda: counting([1], 3), TypeError, "letters is 3; expected a string"),
        (lambda: a_n_b_n(99, 2, rng()), TypeError, "n_values is 99; expected several whole"),
        (lambda: a_n_b_n(np.array(3), 2, rng()), TypeError, r"n_values is array\(3\); expected"),
        (lambda: a_n_b_n([0], 2, rng()), ValueError, r"n_values\[0\] is 0; expected .* at least 1"),
        (lambda: a_n_b_n([1], 0, rng()), ValueError, "batch_size is 0; expected .* at least 1"),
        (lambda: a_n_b_n_c_n([1], 2, 0), TypeError, r"rng is 0; expected a numpy\.random\.Gen"),
        (lambda: membership([], 2, rng()), ValueError, "n_values is empty; expected"),
        (lambda: membership([1], 2, rng(), "b"), ValueError, "letters is 'b'; expected"),
        (lambda: membership([1], 2, None), TypeError, "rng is None; expected"),
        (lambda: dyck(5, 2, rng()), ValueError, "length is 5; expected an even number: brackets"),
        (lambda: dyck(0, 2, rng()), ValueError, "length is 0; expected .*, at least 2"),
        (lambda: dyck(4, 2.5, rng()), TypeError, r"batch_size is 2\.5; expected a whole number"),
        (lambda: dyck(4, 2, rng(), 0), ValueError, "kinds is 0; expected .*, at least 1"),
        (lambda: dyck(4, 2, 1), TypeError, "rng is 1; expected a numpy"),
    ],
)
def test_a_wrong_argument_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
