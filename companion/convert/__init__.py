"""Weights to and from the layouts of PyTorch, Keras and ONNX: NumPy arrays in, NumPy arrays out.

Each library is one module, which begins with the table of its layout; what they differ in, the
order of the gates and the sign of z, stands once, in :mod:`companion.convert.gates`. None of the
libraries is imported here. `split_pytorch` alone takes arrays of any kind: with it the layers of
`companion.nn` run our cells on torch's own weights.

>>> import numpy as np, companion
>>> p = companion.init(companion.gru_reset_after, 3, 4, np.random.default_rng(0))
>>> kernel, recurrent_kernel, bias = to_keras(companion.gru_reset_after, p)
>>> q = from_pytorch(companion.gru_reset_after, to_pytorch(companion.gru_reset_after, p))
>>> bool((q.Wz == p.Wz).all()), bool((kernel[:, :4].T == -p.Wz).all())
(True, True)
"""

from companion.convert.keras import from_keras, to_keras
from companion.convert.onnx import from_onnx, to_onnx
from companion.convert.pytorch import (
    from_pytorch,
    from_pytorch_layers,
    split_pytorch,
    to_pytorch,
    to_pytorch_layers,
)

__all__ = [
    "from_keras",
    "from_onnx",
    "from_pytorch",
    "from_pytorch_layers",
    "split_pytorch",
    "to_keras",
    "to_onnx",
    "to_pytorch",
    "to_pytorch_layers",
]
