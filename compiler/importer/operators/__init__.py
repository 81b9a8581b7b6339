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
    Erfc,
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
from hecc.compiler.importer.operators.analysis import (
    Acos,
    Acosh,
    Asin,
    Asinh,
    Atan,
    Atanh,
    Cos,
    Cosh,
    Log,
    Reciprocal,
    Sin,
    Sinh,
    Sqrt,
    Tan,
)
from hecc.compiler.importer.operators.averagepool import AveragePool
from hecc.compiler.importer.operators.batchnormalization import BatchNormalization
from hecc.compiler.importer.operators.cast import Cast
from hecc.compiler.importer.operators.castlike import CastLike
from hecc.compiler.importer.operators.centercroppad import CenterCropPad
from hecc.compiler.importer.operators.col2im import Col2Im
from hecc.compiler.importer.operators.comparisons import (
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Max,
    Min,
    Not,
    Sign,
)
from hecc.compiler.importer.operators.compress import Compress
from hecc.compiler.importer.operators.concat import Concat
from hecc.compiler.importer.operators.conv import Conv
from hecc.compiler.importer.operators.convtranspose import ConvTranspose
from hecc.compiler.importer.operators.cumsum import CumSum
from hecc.compiler.importer.operators.depthtospace import DepthToSpace
from hecc.compiler.importer.operators.div import Div
from hecc.compiler.importer.operators.dropout import Dropout
from hecc.compiler.importer.operators.einsum import Einsum
from hecc.compiler.importer.operators.expand import Expand
from hecc.compiler.importer.operators.flatten import Flatten
from hecc.compiler.importer.operators.gather import Gather
from hecc.compiler.importer.operators.gatherelements import GatherElements
from hecc.compiler.importer.operators.gathernd import GatherND
from hecc.compiler.importer.operators.gemm import Gemm
from hecc.compiler.importer.operators.globalaveragepool import GlobalAveragePool
from hecc.compiler.importer.operators.gridsample import GridSample
from hecc.compiler.importer.operators.groupnormalization import GroupNormalization
from hecc.compiler.importer.operators.identity import Identity
from hecc.compiler.importer.operators.instancenormalization import InstanceNormalization
from hecc.compiler.importer.operators.layernormalization import LayerNormalization
from hecc.compiler.importer.operators.logsoftmax import LogSoftmax
from hecc.compiler.importer.operators.lpnormalization import LpNormalization
from hecc.compiler.importer.operators.lrn import LRN
from hecc.compiler.importer.operators.matmul import MatMul
from hecc.compiler.importer.operators.mean import Mean
from hecc.compiler.importer.operators.meanvariancenormalization import MeanVarianceNormalization
from hecc.compiler.importer.operators.mul import Mul
from hecc.compiler.importer.operators.neg import Neg
from hecc.compiler.importer.operators.pad import Pad
from hecc.compiler.importer.operators.pow import Pow
from hecc.compiler.importer.operators.reducel1 import ReduceL1
from hecc.compiler.importer.operators.reducel2 import ReduceL2
from hecc.compiler.importer.operators.reducelogsum import ReduceLogSum
from hecc.compiler.importer.operators.reducelogsumexp import ReduceLogSumExp
from hecc.compiler.importer.operators.reducemean import ReduceMean
from hecc.compiler.importer.operators.reduceprod import ReduceProd
from hecc.compiler.importer.operators.reducesum import ReduceSum
from hecc.compiler.importer.operators.reducesumsquare import ReduceSumSquare
from hecc.compiler.importer.operators.reshape import Reshape
from hecc.compiler.importer.operators.resize import Resize
from hecc.compiler.importer.operators.reversesequence import ReverseSequence
from hecc.compiler.importer.operators.rmsnormalization import RMSNormalization
from hecc.compiler.importer.operators.scatterelements import ScatterElements
from hecc.compiler.importer.operators.scatternd import ScatterND
from hecc.compiler.importer.operators.slice import Slice
from hecc.compiler.importer.operators.softmax import Softmax
from hecc.compiler.importer.operators.spacetodepth import SpaceToDepth
from hecc.compiler.importer.operators.split import Split
from hecc.compiler.importer.operators.squeeze import Squeeze
from hecc.compiler.importer.operators.sub import Sub
from hecc.compiler.importer.operators.sum import Sum
from hecc.compiler.importer.operators.tile import Tile
from hecc.compiler.importer.operators.transpose import Transpose
from hecc.compiler.importer.operators.trilu import Trilu
from hecc.compiler.importer.operators.unsqueeze import Unsqueeze
from hecc.compiler.importer.operators.upsample import Upsample
from hecc.compiler.importer.operators.where import Where

__all__ = ["CONVERTERS"]

CONVERTERS: Mapping[str, type[Converter]] = MappingProxyType(
    {
        converter.__name__: converter
        for converter in (
            Abs,
            Acos,
            Acosh,
            Add,
            Asin,
            Asinh,
            Atan,
            Atanh,
            AveragePool,
            BatchNormalization,
            Cast,
            CastLike,
            Celu,
            CenterCropPad,
            Clip,
            Col2Im,
            Compress,
            Concat,
            Conv,
            ConvTranspose,
            Cos,
            Cosh,
            CumSum,
            DepthToSpace,
            Div,
            Dropout,
            Einsum,
            Elu,
            Erf,
            Erfc,
            Exp,
            Expand,
            Flatten,
            Gather,
            GatherElements,
            GatherND,
            Gelu,
            Gemm,
            GlobalAveragePool,
            Greater,
            GreaterOrEqual,
            GridSample,
            GroupNormalization,
            HardSigmoid,
            HardSwish,
            Identity,
            InstanceNormalization,
            LRN,
            LayerNormalization,
            LeakyRelu,
            Less,
            LessOrEqual,
            Log,
            LogSoftmax,
            LpNormalization,
            MatMul,
            Max,
            Mean,
            MeanVarianceNormalization,
            Min,
            Mish,
            Mul,
            Neg,
            Not,
            PRelu,
            Pad,
            Pow,
            RMSNormalization,
            Reciprocal,
            ReduceL1,
            ReduceL2,
            ReduceLogSum,
            ReduceLogSumExp,
            ReduceMean,
            ReduceProd,
            ReduceSum,
            ReduceSumSquare,
            Relu,
            Reshape,
            Resize,
            ReverseSequence,
            ScatterElements,
            ScatterND,
            Selu,
            Sigmoid,
            Sign,
            Sin,
            Sinh,
            Slice,
            Softmax,
            Softplus,
            Softsign,
            SpaceToDepth,
            Split,
            Sqrt,
            Squeeze,
            Sub,
            Sum,
            Swish,
            Tan,
            Tanh,
            Tile,
            Transpose,
            Trilu,
            Unsqueeze,
            Upsample,
            Where,
        )
    }
)
"""The converter of every operator that can act on encrypted data."""
