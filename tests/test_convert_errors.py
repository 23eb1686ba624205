"""What is no layout of a library's, and what no layout can express, gets an error that helps."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from test_convert import TRIPS

import companion as co
from companion import convert

P = co.init(co.gru_reset_after, 3, 4, np.random.default_rng(0))
TORCH = convert.to_pytorch(co.gru_reset_after, P)
KERAS = convert.to_keras(co.gru_reset_after, P)
ONNX = convert.to_onnx(co.gru_reset_after, P)


def without(weights, *keys):
    return {key: array for key, array in weights.items() if key not in keys}


@pytest.mark.parametrize(
    ("weights", "error", "message"),
    [
        (
            {"kernel": KERAS[0]},
            ValueError,
            "weights has keys kernel; expected weight_ih_l0, weight_hh_l0, optionally bias_ih_l0, "
            "bias_hh_l0; for more layers",
        ),
        ({}, ValueError, "weights has keys none; expected weight_ih_l0, weight_hh_l0"),
        (KERAS, TypeError, "weights is a list; expected a dict of weight_ih_l0"),
        (without(TORCH, "weight_hh_l0"), ValueError, "expected weight_ih_l0, weight_hh_l0, bias_"),
        (without(TORCH, "bias_hh_l0"), ValueError, "expected weight_ih_l0, .*bias_hh_l0;"),
        ({**TORCH, "weight_hr_l0": TORCH["weight_hh_l0"]}, ValueError, "has keys .*weight_hr_l0;"),
        ({**TORCH, "weight_ih_l1": TORCH["weight_ih_l0"]}, ValueError, "from_pytorch_layers"),
        (
            {**TORCH, "weight_ih_l0": TORCH["weight_ih_l0"].T},
            ValueError,
            r"weight_ih_l0 has shape \(3, 12\); expected \(12, 12\) = \(3·H, inputs\)",
        ),
        (
            convert.to_pytorch(co.lstm, co.init(co.lstm, 3, 4, np.random.default_rng(0))),
            ValueError,
            r"weight_hh_l0 has shape \(16, 4\); expected \(12, 4\) = \(3·H, H\)",
        ),
        (
            {**TORCH, "bias_hh_l0": np.zeros(4)},
            ValueError,
            r"bias_hh_l0 has shape \(4,\); expected \(12,\) = \(3·H,\)",
        ),
        ({**TORCH, "bias_hh_l0": np.float64(0)}, ValueError, "bias_hh_l0 is a single number"),
        ({**TORCH, "bias_hh_l0": np.zeros(12, int)}, TypeError, "bias_hh_l0 has dtype int64"),
        (
            {**TORCH, "bias_hh_l0": np.zeros(12, "float32")},
            TypeError,
            "bias_hh_l0 has dtype float32 and weight_ih_l0 float64; expected one real",
        ),
    ],
)
def test_a_layout_that_is_not_pytorchs(weights, error, message):
    with pytest.raises(error, match=message):
        convert.from_pytorch(co.gru_reset_after, weights)


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.zeros(12, requires_grad=True), r"a Tensor .*requires grad.*; expected an array"),
        (torch.nn.Parameter(torch.zeros(12)), "a Parameter that NumPy cannot read"),
        (torch.zeros(12, dtype=torch.bfloat16), "a Tensor that NumPy cannot read .*BFloat16"),
        ([[1.0], [1.0, 2.0]], "a list that NumPy cannot read"),
    ],
    ids="gradient parameter bfloat16 ragged".split(),
)
def test_an_array_that_numpy_cannot_read_is_named(tensor, message):
    with pytest.raises(TypeError, match=f"bias_hh_l0 is {message}"):
        convert.from_pytorch(co.gru_reset_after, {**TORCH, "bias_hh_l0": tensor})
    with pytest.raises(TypeError, match=f"bias is {message}"):
        convert.from_keras(co.gru_reset_after, [*KERAS[:2], tensor])
    with pytest.raises(TypeError, match=f"p.bn is {message}"):
        convert.to_onnx(co.gru_reset_after, changed(bn=tensor))


def test_layers_that_do_not_fit_together():
    p = co.init(co.rnn, 3, 4, np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"weight_ih_l1 has shape \(4, 3\); expected \(4, 4\)"):
        convert.to_pytorch_layers(co.rnn, [p, p])
    with pytest.raises(ValueError, match="ps has length 3; expected one parameter set a layer"):
        convert.to_pytorch_layers(co.rnn, [p, p, p], bidirectional=True)
    with pytest.raises(ValueError, match=r"ps\[1\], a NoneType, has no W, U, b; rnn needs"):
        convert.to_pytorch_layers(co.rnn, [p, None])
    with pytest.raises(ValueError, match="ps has length 0"):
        convert.to_pytorch_layers(co.rnn, [])
    weights = convert.to_pytorch_layers(co.rnn, [p, p], bidirectional=True)
    with pytest.raises(ValueError, match="expected weight_ih_l0, weight_hh_l0, weight_ih_l0_reve"):
        convert.from_pytorch_layers(co.rnn, without(weights, "weight_hh_l0_reverse"))
    with pytest.raises(ValueError, match=r"bias_ih_l0_reverse.*; for more layers or directions"):
        convert.from_pytorch(co.rnn, weights)
    # A layer that is missing in the middle: the keys l0 and l2 are not those of two layers.
    gap = {key.replace("l1", "l2"): a for key, a in pair_of_layers().items()}
    with pytest.raises(ValueError, match=r"weight_ih_l2.*; expected .*weight_ih_l1"):
        convert.from_pytorch_layers(co.rnn, gap)


def pair_of_layers():
    rng = np.random.default_rng(0)
    return convert.to_pytorch_layers(co.rnn, [co.init(co.rnn, D, 4, rng) for D in (3, 4)])


def test_a_split_of_one_bias():
    with pytest.raises(ValueError, match="one of bias_ih and bias_hh is None; expected both or"):
        convert.split_pytorch(co.gru, *list(TORCH.values())[:3])
    with pytest.raises(ValueError, match=r"weight_hh has shape \(12, 4\); expected \(4, 4\) = "):
        convert.split_pytorch(co.rnn, TORCH["weight_ih_l0"], TORCH["weight_hh_l0"])


@pytest.mark.parametrize(
    ("cell", "weights", "error", "message"),
    [
        (co.gru_reset_after, TORCH, TypeError, "weights is a dict; expected a list: kernel, recu"),
        (co.gru_reset_after, KERAS[:1], ValueError, "has 1 arrays; expected kernel, recurrent_k"),
        (co.gru_reset_after, KERAS * 2, ValueError, "has 6 arrays; expected kernel.*of one layer"),
        (
            co.gru,
            KERAS,
            ValueError,
            r"bias has shape \(2, 12\); expected \(12,\) = \(3·H,\), as reset_after=False has it",
        ),
        (
            co.gru_reset_after,
            [*KERAS[:2], KERAS[2][0]],
            ValueError,
            r"bias has shape \(12,\); expected \(2, 12\) = \(2, 3·H\), as reset_after=True has it",
        ),
        (
            co.lstm,
            KERAS,
            ValueError,
            r"recurrent_kernel has shape \(4, 12\); expected \(4, 16\) = \(H, 4·H\)",
        ),
        (
            co.gru_reset_after,
            [KERAS[0].T, *KERAS[1:]],
            ValueError,
            r"kernel has shape \(12, 3\); expected \(12, 12\) = \(D, 3·H\)",
        ),
        (co.gru_reset_after, [*KERAS[:2], KERAS[2] > 0], TypeError, "bias has dtype bool"),
    ],
)
def test_a_layout_that_is_not_kerass(cell, weights, error, message):
    with pytest.raises(error, match=message):
        convert.from_keras(cell, weights)


@pytest.mark.parametrize(
    ("cell", "weights", "error", "message"),
    [
        (co.gru_reset_after, TORCH, ValueError, "has keys weight_ih_l0.*; expected W, R, optional"),
        (co.gru_reset_after, KERAS, TypeError, "weights is a list; expected a dict of W, R, opt"),
        (co.gru_reset_after, without(ONNX, "R"), ValueError, "has keys W, B; expected W, R, optio"),
        (co.gru, {**ONNX, "P": np.zeros((1, 12))}, ValueError, "P; expected W, R, optionally B$"),
        (co.lstm, {**ONNX, "P": np.zeros((1, 12))}, ValueError, "peephole_lstm is the LSTM with"),
        (co.lstm, ONNX, ValueError, r"R has shape \(1, 12, 4\); expected \(1, 16, 4\) = \(1, 4·H"),
        (
            co.gru_reset_after,
            {name: array[0] for name, array in ONNX.items()},
            ValueError,
            r"R has shape \(12, 4\); expected \(1, 12, 4\) = \(1, 3·H, H\), direction='forward'",
        ),
        (
            co.gru_reset_after,
            {name: np.concatenate([array] * 2) for name, array in ONNX.items()},
            ValueError,
            r"R has shape \(2, 12, 4\); expected \(1, 12, 4\)",
        ),
        (
            co.gru_reset_after,
            {**ONNX, "B": ONNX["B"][:, :12]},
            ValueError,
            r"B has shape \(1, 12\); expected \(1, 24\) = \(1, 6·H\)",
        ),
    ],
)
def test_a_layout_that_is_not_onnxs(cell, weights, error, message):
    with pytest.raises(error, match=message):
        convert.from_onnx(cell, weights)


def test_directions_that_are_none():
    with pytest.raises(ValueError, match="direction is 'backward'; expected one of forward, rev"):
        convert.from_onnx(co.gru_reset_after, ONNX, direction="backward")
    with pytest.raises(ValueError, match=r"direction is \['forward'\]; expected one of forward, r"):
        convert.to_onnx(co.gru_reset_after, P, direction=["forward"])
    with pytest.raises(ValueError, match=r"p is one gru_reset_after_parameters; expected.* a pair"):
        convert.to_onnx(co.gru_reset_after, P, direction="bidirectional")
    with pytest.raises(ValueError, match=r"p is a tuple of 3; expected.* a pair of parameter sets"):
        convert.to_onnx(co.gru_reset_after, (P, P, P), direction="bidirectional")
    with pytest.raises(ValueError, match=r"p\[1\], a NoneType, has no Wz"):
        convert.to_onnx(co.gru_reset_after, (P, None), direction="bidirectional")
    with pytest.raises(ValueError, match="p, a tuple, has no Wz"):
        convert.to_onnx(co.gru_reset_after, (P, P))
    other = co.init(co.gru_reset_after, 2, 4, np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"the second W has shape \(12, 2\); expected \(12, 3\)"):
        convert.to_onnx(co.gru_reset_after, (P, other), direction="bidirectional")
    low = type(P)(*(array.astype("float32") for array in P))
    with pytest.raises(TypeError, match="the second W has dtype float32; expected float64"):
        convert.to_onnx(co.gru_reset_after, (P, low), direction="bidirectional")


@pytest.mark.parametrize("way", [0, 1])
@pytest.mark.parametrize("library", TRIPS)
def test_a_cell_that_a_layout_cannot_express(library, way):
    has = {
        "PyTorch": "rnn, relu_rnn, lstm, gru_reset_after",
        "Keras": "rnn, relu_rnn, lstm, gru, gru_reset_after",
        "ONNX": "rnn, relu_rnn, lstm, peephole_lstm, gru, gru_reset_after",
    }[library]
    with pytest.raises(ValueError, match=f"cell is mgu; expected one that {library} has: {has}$"):
        TRIPS[library][way](co.mgu, {})
    with pytest.raises(ValueError, match=f"cell is 'gru'; expected one that {library} has: {has}"):
        TRIPS[library][way]("gru", {})


@pytest.mark.parametrize("convert_gru", [*TRIPS["PyTorch"], convert.from_pytorch_layers])
def test_pytorch_has_no_reset_before(convert_gru):
    with pytest.raises(ValueError, match=r"cell is gru; .*torch.nn.GRU resets after the matrix"):
        convert_gru(co.gru, TORCH)


def changed(**values):
    return SimpleNamespace(**{**P._asdict(), **values})


@pytest.mark.parametrize("there", [there for there, _ in TRIPS.values()])
@pytest.mark.parametrize(
    ("p", "error", "message"),
    [
        (None, ValueError, "p, a NoneType, has no Wz, Uz.*gru_reset_after needs"),
        (P._asdict(), ValueError, "p, a dict, has no Wz.*as attributes"),
        (changed(Uz=P.Uz[:, :3]), ValueError, r"p.Uz has shape \(4, 3\); expected \(4, 4\) = \(H"),
        (changed(bz=P.bz[:, None]), ValueError, r"p.bz has shape \(4, 1\); expected \(4,\) = \(H"),
        (changed(bn=P.bn.astype("float32")), TypeError, "p.bn has dtype float32 and p.Wz float64"),
        (changed(bn=np.zeros(4, int)), TypeError, "p.bn has dtype int64"),
    ],
)
def test_parameters_that_do_not_fit(there, p, error, message):
    with pytest.raises(error, match=message):
        there(co.gru_reset_after, p)
