"""Weights to and from the layouts of other libraries.

`split_pytorch` takes one layer of PyTorch's tensors apart, differentiably.
"""

from companion.convert.pytorch import split_pytorch

__all__ = ["split_pytorch"]
