"""The converters: a class named as each operator, in a file of its own; those that only name a function share one."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from hecc.compiler.importer.converter import Converter
from hecc.compiler.importer.operators.activations import (
    Abs,
    Celu,
    Clip,
    Elu,
    Erf,
    Exp,
    Gelu,
    HardSigmoid,
    HardSwish,
    LeakyRelu,
    Mish,
    PRelu,
    Relu,
    Selu,
    Sigmoid,
    Softplus,
    Softsign,
    Swish,
    Tanh,
)
from hecc.compiler.importer.operators.add import Add
from hecc.compiler.importer.operators.averagepool import AveragePool
from hecc.compiler.importer.operators.batchnormalization import BatchNormalization
from hecc.compiler.importer.operators.cast import Cast
from hecc.compiler.importer.operators.castlike import CastLike
from hecc.compiler.importer.operators.conv import Conv
from hecc.compiler.importer.operators.div import Div
from hecc.compiler.importer.operators.dropout import Dropout
from hecc.compiler.importer.operators.expand import Expand
from hecc.compiler.importer.operators.flatten import Flatten
from hecc.compiler.importer.operators.gemm import Gemm
from hecc.compiler.importer.operators.globalaveragepool import GlobalAveragePool
from hecc.compiler.importer.operators.identity import Identity
from hecc.compiler.importer.operators.matmul import MatMul
from hecc.compiler.importer.operators.mul import Mul
from hecc.compiler.importer.operators.neg import Neg
from hecc.compiler.importer.operators.pad import Pad
from hecc.compiler.importer.operators.pow import Pow
from hecc.compiler.importer.operators.reducemean import ReduceMean
from hecc.compiler.importer.operators.reshape import Reshape
from hecc.compiler.importer.operators.squeeze import Squeeze
from hecc.compiler.importer.operators.sub import Sub
from hecc.compiler.importer.operators.sum import Sum
from hecc.compiler.importer.operators.transpose import Transpose
from hecc.compiler.importer.operators.unsqueeze import Unsqueeze

__all__ = ["CONVERTERS"]

CONVERTERS: Mapping[str, type[Converter]] = MappingProxyType(
    {
        converter.__name__: converter
        for converter in (
            Abs,
            Add,
            AveragePool,
            BatchNormalization,
            Cast,
            CastLike,
            Celu,
            Clip,
            Conv,
            Div,
            Dropout,
            Elu,
            Erf,
            Exp,
            Expand,
            Flatten,
            Gelu,
            Gemm,
            GlobalAveragePool,
            HardSigmoid,
            HardSwish,
            Identity,
            LeakyRelu,
            MatMul,
            Mish,
            Mul,
            Neg,
            PRelu,
            Pad,
            Pow,
            ReduceMean,
            Relu,
            Reshape,
            Selu,
            Sigmoid,
            Softplus,
            Softsign,
            Squeeze,
            Sub,
            Sum,
            Swish,
            Tanh,
            Transpose,
            Unsqueeze,
        )
    }
)
"""The converter of every operator that can act on encrypted data."""
