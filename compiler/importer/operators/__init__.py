"""The converters: a class named as each operator, in a file of its own; those that only name a function share one."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.operators.arithmetic.add import Add
from hecc.compiler.importer.operators.arithmetic.comparisons import (
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Not,
    Sign,
)
from hecc.compiler.importer.operators.arithmetic.cumsum import CumSum
from hecc.compiler.importer.operators.arithmetic.div import Div
from hecc.compiler.importer.operators.arithmetic.extrema import Max, Min
from hecc.compiler.importer.operators.arithmetic.mean import Mean
from hecc.compiler.importer.operators.arithmetic.mul import Mul
from hecc.compiler.importer.operators.arithmetic.neg import Neg
from hecc.compiler.importer.operators.arithmetic.pow import Pow
from hecc.compiler.importer.operators.arithmetic.sub import Sub
from hecc.compiler.importer.operators.arithmetic.sum import Sum
from hecc.compiler.importer.operators.arithmetic.where import Where
from hecc.compiler.importer.operators.functions.activations import (
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
    Shrink,
    Sigmoid,
    Softplus,
    Softsign,
    Swish,
    Tanh,
    ThresholdedRelu,
)
from hecc.compiler.importer.operators.functions.analysis import (
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
from hecc.compiler.importer.operators.functions.logsoftmax import LogSoftmax
from hecc.compiler.importer.operators.functions.softmax import Softmax
from hecc.compiler.importer.operators.images.averagepool import AveragePool
from hecc.compiler.importer.operators.images.centercroppad import CenterCropPad
from hecc.compiler.importer.operators.images.col2im import Col2Im
from hecc.compiler.importer.operators.images.depthtospace import DepthToSpace
from hecc.compiler.importer.operators.images.globalaveragepool import GlobalAveragePool
from hecc.compiler.importer.operators.images.gridsample import GridSample
from hecc.compiler.importer.operators.images.maxpool import GlobalMaxPool, MaxPool
from hecc.compiler.importer.operators.images.pad import Pad
from hecc.compiler.importer.operators.images.resize import Resize
from hecc.compiler.importer.operators.images.spacetodepth import SpaceToDepth
from hecc.compiler.importer.operators.images.upsample import Upsample
from hecc.compiler.importer.operators.movement.compress import Compress
from hecc.compiler.importer.operators.movement.concat import Concat
from hecc.compiler.importer.operators.movement.gather import Gather
from hecc.compiler.importer.operators.movement.gatherelements import GatherElements
from hecc.compiler.importer.operators.movement.gathernd import GatherND
from hecc.compiler.importer.operators.movement.reversesequence import ReverseSequence
from hecc.compiler.importer.operators.movement.scatterelements import ScatterElements
from hecc.compiler.importer.operators.movement.scatternd import ScatterND
from hecc.compiler.importer.operators.movement.slice import Slice
from hecc.compiler.importer.operators.movement.split import Split
from hecc.compiler.importer.operators.movement.tile import Tile
from hecc.compiler.importer.operators.movement.trilu import Trilu
from hecc.compiler.importer.operators.normalisation.batchnormalization import BatchNormalization
from hecc.compiler.importer.operators.normalisation.groupnormalization import GroupNormalization
from hecc.compiler.importer.operators.normalisation.instancenormalization import InstanceNormalization
from hecc.compiler.importer.operators.normalisation.layernormalization import LayerNormalization
from hecc.compiler.importer.operators.normalisation.lpnormalization import LpNormalization
from hecc.compiler.importer.operators.normalisation.lrn import LRN
from hecc.compiler.importer.operators.normalisation.meanvariancenormalization import MeanVarianceNormalization
from hecc.compiler.importer.operators.normalisation.rmsnormalization import RMSNormalization
from hecc.compiler.importer.operators.products.conv import Conv
from hecc.compiler.importer.operators.products.convtranspose import ConvTranspose
from hecc.compiler.importer.operators.products.einsum import Einsum
from hecc.compiler.importer.operators.products.gemm import Gemm
from hecc.compiler.importer.operators.products.matmul import MatMul
from hecc.compiler.importer.operators.reduction.extrema import ReduceMax, ReduceMin
from hecc.compiler.importer.operators.reduction.reducel1 import ReduceL1
from hecc.compiler.importer.operators.reduction.reducel2 import ReduceL2
from hecc.compiler.importer.operators.reduction.reducelogsum import ReduceLogSum
from hecc.compiler.importer.operators.reduction.reducelogsumexp import ReduceLogSumExp
from hecc.compiler.importer.operators.reduction.reducemean import ReduceMean
from hecc.compiler.importer.operators.reduction.reduceprod import ReduceProd
from hecc.compiler.importer.operators.reduction.reducesum import ReduceSum
from hecc.compiler.importer.operators.reduction.reducesumsquare import ReduceSumSquare
from hecc.compiler.importer.operators.shapes.cast import Cast
from hecc.compiler.importer.operators.shapes.castlike import CastLike
from hecc.compiler.importer.operators.shapes.dropout import Dropout
from hecc.compiler.importer.operators.shapes.expand import Expand
from hecc.compiler.importer.operators.shapes.flatten import Flatten
from hecc.compiler.importer.operators.shapes.identity import Identity
from hecc.compiler.importer.operators.shapes.reshape import Reshape
from hecc.compiler.importer.operators.shapes.squeeze import Squeeze
from hecc.compiler.importer.operators.shapes.transpose import Transpose
from hecc.compiler.importer.operators.shapes.unsqueeze import Unsqueeze

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
            GlobalMaxPool,
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
            MaxPool,
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
            ReduceMax,
            ReduceMean,
            ReduceMin,
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
            Shrink,
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
            ThresholdedRelu,
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
