"""The theorems: proved, measured, refuted without each assumption; and by other means."""

import itertools
import time

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from companion import (
    gru,
    gru_delayed_reset,
    gru_reset_after,
    init,
    lstm,
    lstm_host,
    scan,
    sigmoid,
    trace,
)
from companion.symbolic import component, equal, matrix, run, vector
from companion.theorems import THEOREMS, Arrays
from companion.theorems.pieces import largest, set_of
from companion.theorems.reset import collected

BY_NAME = {theorem.name: theorem for theorem in THEOREMS}
MAIN = THEOREMS[0]
theorems = pytest.mark.parametrize("theorem", THEOREMS, ids=BY_NAME)
assumptions = pytest.mark.parametrize(
    ("theorem", "assumption"),
    [(theorem, name) for theorem in THEOREMS for name in theorem.assumptions],
    ids=lambda value: value if isinstance(value, str) else value.name,
)


@theorems
def test_it_is_proved(theorem):
    proof = theorem.prove()
    assert proof.status == ("measured" if theorem.kind == "numbers" else "proved")
    assert proof.residual == 0
    assert bool(proof) == (proof.status == "proved")
    assert proof.claims
    assert proof.latex.startswith(r"\begin{aligned}")
    assert theorem.statement.endswith(".")


@theorems
def test_it_holds_on_numbers(theorem):
    for seed in range(3):
        assert theorem.check(seed) < 1e-14


@assumptions
def test_no_assumption_can_be_left_out(theorem, assumption):
    """An integer counterexample, its failure enclosed; with the assumption the weights pass."""
    example = theorem.refute(assumption)
    assert example
    assert example.residual.a > 0 or example.residual.b < 0
    assert example.values
    assert all(np.asarray(value).dtype.kind == "i" for value in example.values.values())
    assert f"without {assumption}" in str(example)
    assert not any(theorem.on_integers(theorem.examples[assumption]))


@assumptions
def test_what_is_refuted_is_not_proved(theorem, assumption):
    """`equal`, and each theorem's own rewriting, is sound: it must not prove what is false."""
    proof = theorem.prove(assumption)
    assert proof.status == "open"
    assert proof.residual != 0


def test_all_of_them_are_quick():
    begin = time.perf_counter()
    for theorem in THEOREMS:
        theorem.prove()
        for assumption in theorem.assumptions:
            theorem.refute(assumption)
    assert time.perf_counter() - begin < 20


def test_names_and_assumptions_are_plain():
    assert len(BY_NAME) == len(THEOREMS) >= 16
    assert list(MAIN.assumptions) == ["A1", "A2", "A3", "A4", "A5", "A6"]
    with pytest.raises(KeyError, match="'A7' is not assumed by 'The GRU is an LSTM'; expected A1"):
        MAIN.refute("A7")


# The main theorem, by other means.


def test_of_the_64_subsets_only_the_full_one_agrees():
    names = list(MAIN.assumptions)
    for size in range(7):
        for dropped in itertools.combinations(names, size):
            claims = MAIN.claims(Arrays(*dropped, rng=np.random.default_rng(0)))
            states = [c for c in claims if c.label[0] in "ch"]
            error = max(np.abs(c.left - c.right).max() for c in states)
            assert error < 1e-14 if size == 0 else error > 1e-6, dropped


def host_of(p):
    """The LSTM's weights of the theorem, written out anew."""
    none = np.zeros_like(p.Uz)
    return set_of(
        Wi=p.Wz, Ui=none, Vi=p.Uz, bi=p.bz, Wf=-p.Wz, Uf=none, Vf=-p.Uz, bf=-p.bz,
        Wg=p.Wn, Ug=p.Un, bg=p.bn, Wo=p.Wr, Uo=none, Vo=p.Ur, bo=p.br,
    )  # fmt: skip


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), D=st.integers(1, 4), H=st.integers(1, 5))
def test_the_main_theorem_over_a_whole_sequence(seed, D, H):
    """T = 20 through `scan`, from any state, with inputs x_1 … x_21."""
    rng = np.random.default_rng(seed)
    p = init(gru, D, H, rng)
    xs, h0 = rng.standard_normal((21, D)), rng.uniform(-2, 2, H)
    states, _ = scan(gru, xs[:20], h0, p)
    before = np.concatenate([[h0], states])
    r = sigmoid(xs @ p.Wr.T + before @ p.Ur.T + p.br)  # r_1 … r_21
    now, q = (r[0] * h0, h0), host_of(p)
    for t in range(20):
        now = lstm_host(xs[t], xs[t + 1], *now, q, phi=lambda a: a)
        np.testing.assert_allclose(now[1], states[t], rtol=0, atol=1e-13)
        np.testing.assert_allclose(now[0], r[t + 1] * states[t], rtol=0, atol=1e-13)


def test_windowed_inputs_make_the_shift_weights_too():
    """An LSTM fed (x_{t−1}, x_t): i, f, g see the first half, o the second; one step late."""
    rng = np.random.default_rng(0)
    p, D = init(gru, 3, 4, rng), 3
    xs, h0 = rng.standard_normal((12, D)), rng.uniform(-1, 1, 4)
    states, _ = scan(gru, xs, h0, p)
    q, none = host_of(p), np.zeros((4, D))
    for gate in "ifg":
        setattr(q, f"W{gate}", np.hstack([getattr(q, f"W{gate}"), none]))
    q.Wo = np.hstack([none, q.Wo])
    now = (sigmoid(p.Wr @ xs[0] + p.Ur @ h0 + p.br) * h0, h0)
    for t in range(1, 12):
        window = np.concatenate([xs[t - 1], xs[t]])
        now = lstm_host(window, window, *now, q, phi=lambda a: a)
        np.testing.assert_allclose(now[1], states[t - 1], rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("weight", "assumption", "what"),
    [
        ("Uz", "A3", "ch"),
        ("Ur", "A4", "ch"),
        ("Wr", "A5", "ch"),
        ("Un", "A2", "c"),
        ("Un", "A4", "c"),
        ("Un", "A5", "c"),
    ],
)
def test_cases_in_which_an_assumption_is_vacuous(weight, assumption, what):
    """With U_n = 0 the cell does not see what is exposed: then c alone agrees."""

    class Without(Arrays):
        def matrix(self, name):
            return 0 * super().matrix(name) if name == weight else super().matrix(name)

    claims = MAIN.claims(Without(assumption, rng=np.random.default_rng(1)))
    errors = {
        k: max(np.abs(c.left - c.right).max() for c in claims if c.label[0] == k) for k in "ch"
    }
    assert all(errors[k] < 1e-14 for k in what)
    whole = MAIN.claims(Arrays(assumption, rng=np.random.default_rng(1)))
    assert max(np.abs(c.left - c.right).max() for c in whole if c.label[0] in "ch") > 1e-6
    if what == "c":
        assert errors["h"] > 1e-6


def test_counterexamples_are_true_in_fifty_digits():
    """The intervals hold the value that plain 50-digit arithmetic gives: A2, by hand."""
    example = MAIN.refute("A2")
    with mpmath.workdps(50):
        n = mpmath.tanh(1)
        c = n / 2
        exact = (mpmath.tanh(c) - c) / 2
        assert example.residual.a <= exact <= example.residual.b


def test_totals_of_the_cell_by_autograd():
    """∂c₂/∂c₀ of two steps: blocks multiply, totals do not."""
    rng = np.random.default_rng(0)
    p = type(init(lstm, 2, 3, rng))(*map(torch.tensor, init(lstm, 2, 3, rng)))
    p = p._replace(Uo=3 * p.Uo, Ug=3 * p.Ug)
    xs, o0 = torch.tensor(rng.standard_normal((2, 2))), torch.tensor(rng.uniform(0, 1, 3))
    c0 = torch.tensor(rng.uniform(-2, 2, 3))

    def one(c):
        return lstm(xs[0], o0 * torch.tanh(c), c, p)

    def two(c):
        return lstm(xs[1], *one(c), p)[1]

    o1 = sigmoid(p.Wo @ xs[0] + p.Uo @ (o0 * torch.tanh(c0)) + p.bo)
    c1 = one(c0)[1]
    first = torch.func.jacrev(lambda c: one(c)[1])(c0)
    second = torch.func.jacrev(lambda c: lstm(xs[1], o1 * torch.tanh(c), c, p)[1])(c1)
    true = torch.func.jacrev(two)(c0)
    assert (true - second @ first).abs().max() > 1e-3
    p = p._replace(Uo=0 * p.Uo)
    o1 = sigmoid(p.Wo @ xs[0] + p.bo)
    first, c1 = torch.func.jacrev(lambda c: one(c)[1])(c0), one(c0)[1]
    second = torch.func.jacrev(lambda c: lstm(xs[1], o1 * torch.tanh(c), c, p)[1])(c1)
    assert (torch.func.jacrev(two)(c0) - second @ first).abs().max() < 1e-14


@pytest.mark.parametrize(
    ("weights", "stable"),
    [
        ({"bz": 2, "Ur": 2, "Un": -5, "bn": -1}, (True, False)),
        ({"bz": 2, "Ur": 3, "Un": -2, "bn": 1}, (False, True)),
    ],
)
def test_stability_by_running(weights, stable):
    """From near the fixed point, 200 steps: the stable one comes back, the other leaves."""
    names = trace(gru).parameters
    p = set_of(**{
        k: np.full((1, 1) if k[0].isupper() else 1, float(weights.get(k, 0))) for k in names
    })  # fmt: skip
    x, ends = np.zeros(1), np.array([-0.5, 0.0] if weights["bn"] < 0 else [0.0, 0.5])
    for _ in range(60):  # bisection, since iteration need not find an unstable one
        middle = ends.mean(keepdims=True)
        above = [gru(x, e, p) - e for e in (ends[:1], middle)]
        ends = np.array([middle[0], ends[1]] if above[0] * above[1] > 0 else [ends[0], middle[0]])
    fixed = ends[:1]
    h, late = fixed + 1e-4, (fixed + 1e-4, sigmoid(p.Wr @ x + p.Ur @ fixed + p.br))
    for _ in range(200):
        h, late = gru(x, h, p), gru_delayed_reset(x, *late, p)
    for value, comes_back in zip((h, late[0]), stable, strict=True):
        assert (abs(value - fixed) < 1e-6) == comes_back
        assert comes_back or abs(value - fixed) > 1e-2


def test_reset_before_and_after_coincide_only_so():
    """Necessity, by sampling: a U_jk ≠ 0 between units with different gates is seen."""
    rng = np.random.default_rng(0)
    p = init(gru_reset_after, 2, 3, rng)
    p = p._replace(bUn=np.zeros(3))
    for j, k in itertools.permutations(range(3), 2):
        U = np.zeros((3, 3))
        U[j, k] = 1
        q = p._replace(Un=U)
        x, h = rng.standard_normal(2), rng.standard_normal(3)
        assert np.abs(gru(x, h, q) - gru_reset_after(x, h, q)).max() > 1e-7
        same = q._replace(**{n: v.copy() for n, v in q._asdict().items()})
        for v in (same.Wr, same.Ur, same.br):
            v[j] = v[k]
        np.testing.assert_allclose(gru(x, h, same), gru_reset_after(x, h, same), atol=1e-15)


def test_the_bound_is_met():
    """max(|c_0|, B) is the best constant: a saturated cell stays as close to it as one likes."""
    rng = np.random.default_rng(0)
    p = init(gru, 1, 1, rng, W="zeros", U="zeros", b="zeros")
    p = p._replace(bz=p.bz + 40, bn=p.bn + 40)
    assert gru(np.zeros(1), np.array([0.5]), p) == pytest.approx(1)


def test_equal_cells_only():
    assert not equal(run(gru), run(gru_delayed_reset)[0])


def test_the_small_pieces():
    mixed = largest([1.5, mpmath.iv.mpf([1, 2])])
    assert (mixed.a, mixed.b) == (1.5, 2)
    U, W, h, x = matrix("U"), matrix("W"), vector("h"), vector("x")
    with pytest.raises(ValueError, match="the sums run over"):
        collected(component(U @ h + W @ x))


def test_counting_stays_close_all_the_way():
    """|c_t − t| ≤ 10⁻⁶ at each of 20 steps; and each step's error is within (T + 3)e^−b."""
    claims = BY_NAME["An LSTM counts"].claims(Arrays(rng=np.random.default_rng(0)))
    assert sum(claim.label.startswith("|c_") for claim in claims) == 20
    f, g = sigmoid(np.float64(20)), np.tanh(20.0)
    assert (1 - f) * 20 + (1 - f * g) <= 23 * np.exp(-20)
