"""Layouts of other libraries, without those libraries: round trips, and what they leave alone.

That each layout is the library's own is tested against the libraries, a file for each.
"""

import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import companion as co
from companion import convert
from companion.convert import gates
from companion.convert.gates import ORDERS

sizes = st.integers(1, 6)
seeds = st.integers(0, 2**32 - 1)
dtypes = st.sampled_from(["float32", "float64"])
TRIPS = {
    "PyTorch": (convert.to_pytorch, convert.from_pytorch),
    "Keras": (convert.to_keras, convert.from_keras),
    "ONNX": (convert.to_onnx, convert.from_onnx),
}
EXPRESSED = [
    (library, cell)
    for library in TRIPS
    for cell in ORDERS[library]
    if (library, cell) != ("PyTorch", co.gru)
]


def neighbours_exchanged(order):
    return [(*order[:k], order[k + 1], order[k], *order[k + 2 :]) for k in range(len(order) - 1)]


def wrong_orders(library):
    """What the tests against a library must notice: each two neighbours in the table exchanged."""
    cells = [cell for name, cell in EXPRESSED if name == library]
    return [
        (cell, wrong) for cell in cells for wrong in neighbours_exchanged(ORDERS[library][cell])
    ]


def arrays(weights):
    return list(weights.values()) if isinstance(weights, dict) else list(weights)


def same(ours, theirs):
    return type(ours) is type(theirs) and all(
        a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True)
    )


@pytest.mark.parametrize(("library", "cell"), EXPRESSED)
@settings(max_examples=25)
@given(input_size=sizes, hidden_size=sizes, seed=seeds, dtype=dtypes)
def test_from_ours_to_theirs_and_back_is_exact(library, cell, input_size, hidden_size, seed, dtype):
    there, back = TRIPS[library]
    p = co.init(cell, input_size, hidden_size, np.random.default_rng(seed), dtype=dtype)
    weights = there(cell, p)
    again = back(cell, weights)
    assert same(p, again)
    assert all(array.dtype == dtype for array in arrays(weights))


@pytest.mark.parametrize(("library", "cell"), EXPRESSED)
@settings(max_examples=25)
@given(input_size=sizes, hidden_size=sizes, seed=seeds)
def test_from_theirs_to_ours_and_back_adds_the_biases(library, cell, input_size, hidden_size, seed):
    """Matrices and peepholes come back exactly, biases as their sum; the second time, all do."""
    there, back = TRIPS[library]
    rng = np.random.default_rng(seed)
    like = there(cell, co.init(cell, input_size, hidden_size, rng))
    drawn = [rng.standard_normal(array.shape) for array in arrays(like)]
    weights = dict(zip(like, drawn, strict=True)) if isinstance(like, dict) else drawn
    again = there(cell, back(cell, weights))
    for name, old, new in zip(named(library, like), drawn, arrays(again), strict=True):
        if "bias" not in name and name != "B":
            assert np.array_equal(old, new)
    old, new = summed(library, drawn), summed(library, arrays(again))
    assert np.array_equal(old, new)
    once_more = there(cell, back(cell, again))
    assert all(map(np.array_equal, arrays(again), arrays(once_more)))


def named(library, like):
    return list(like) if isinstance(like, dict) else ["kernel", "recurrent_kernel", "bias"]


def summed(library, weights):
    """The sum of the biases beside W x and U h, wherever a library has put them."""
    if library == "PyTorch":
        return weights[2] + weights[3]
    if library == "Keras":
        return weights[2].sum(axis=0) if weights[2].ndim == 2 else weights[2]
    return np.add(*np.split(weights[2], 2, axis=1))


@settings(max_examples=20)
@given(layers=st.integers(1, 3), both=st.booleans(), input_size=sizes, H=sizes, seed=seeds)
def test_layers_and_directions_of_pytorch(layers, both, input_size, H, seed):
    rng = np.random.default_rng(seed)
    above = H * (1 + both)
    read = [input_size] * (1 + both) + [above] * ((layers - 1) * (1 + both))
    ps = [co.init(co.gru_reset_after, D, H, rng) for D in read]
    weights = convert.to_pytorch_layers(co.gru_reset_after, ps, bidirectional=both)
    again = convert.from_pytorch_layers(co.gru_reset_after, weights)
    assert len(again) == len(ps)
    assert all(map(same, ps, again))
    shuffled = dict(sorted(weights.items(), reverse=True))  # the keys tell, not their order
    assert all(map(same, ps, convert.from_pytorch_layers(co.gru_reset_after, shuffled)))


@pytest.mark.parametrize("cell", ORDERS["ONNX"])
@settings(max_examples=20)
@given(input_size=sizes, hidden_size=sizes, seed=seeds)
def test_both_directions_of_onnx(cell, input_size, hidden_size, seed):
    rng = np.random.default_rng(seed)
    pair = tuple(co.init(cell, input_size, hidden_size, rng) for _ in range(2))
    weights = convert.to_onnx(cell, pair, direction="bidirectional")
    again = convert.from_onnx(cell, weights, direction="bidirectional")
    assert all(map(same, pair, again))
    assert not same(pair[0], again[1])  # which of them is forward can be told


@pytest.mark.parametrize(("library", "cell"), EXPRESSED)
def test_no_memory_is_shared(library, cell):
    there, back = TRIPS[library]
    p = co.init(cell, 3, 4, np.random.default_rng(0))
    weights = there(cell, p)
    q = back(cell, weights)
    ours = [*p, *q]
    assert not any(np.shares_memory(a, b) for a in arrays(weights) for b in ours)
    assert all(array.flags.c_contiguous for array in arrays(weights))


@pytest.mark.parametrize("cell", ORDERS["ONNX"])
def test_what_a_layer_does_without_is_zero(cell):
    p = co.init(cell, 3, 4, np.random.default_rng(0))
    for library, (there, back) in TRIPS.items():
        if (library, cell) not in EXPRESSED:
            continue
        q = back(cell, bare(there(cell, p)))
        for name, ours, theirs in zip(p._fields, p, q, strict=True):
            assert np.array_equal(theirs, ours if name[0].isupper() else np.zeros(4)), name


def bare(weights):
    """Without biases and peepholes."""
    if isinstance(weights, dict):
        return {k: a for k, a in weights.items() if "bias" not in k and k not in "BP"}
    return weights[:2]


def apart(q):
    return not any(np.shares_memory(a, b) for a, b in combinations(q, 2))


@pytest.mark.parametrize(("library", "cell"), EXPRESSED)
def test_no_parameter_is_a_part_of_another(library, cell):
    there, back = TRIPS[library]
    weights = there(cell, co.init(cell, 3, 4, np.random.default_rng(0)))
    assert apart(back(cell, weights)) and apart(back(cell, bare(weights)))
    q = back(cell, bare(weights))
    for k, array in enumerate(q):
        array[...] = k
    assert all((array == k).all() for k, array in enumerate(q))


def test_one_array_of_zeros_for_all_would_be_seen(monkeypatch):
    zeros = np.zeros(4)
    monkeypatch.setattr(gates, "_zeros", lambda like, size: zeros)
    p = co.init(co.gru_reset_after, 3, 4, np.random.default_rng(0))
    weights = convert.to_pytorch(co.gru_reset_after, p)
    assert not apart(convert.from_pytorch(co.gru_reset_after, bare(weights)))
    assert apart(convert.from_pytorch(co.gru_reset_after, weights))


def test_none_of_the_libraries_is_imported():
    code = (
        "import sys, companion.convert\n"
        "assert not {'torch', 'keras', 'onnx', 'tensorflow', 'jax'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
