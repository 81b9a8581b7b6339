"""Activations that are no polynomials: elementwise functions, to which polynomials are fitted later.

They are in one file because each is a line: its name among :data:`hecc.compiler.graph.function.PRIMITIVES`, and ONNX's
defaults for its attributes.
"""

from __future__ import annotations

import math

import numpy as np

from hecc.compiler.graph.affine import Scale
from hecc.compiler.graph.nodes import Value
from hecc.compiler.importer.building.call import Call
from hecc.compiler.importer.building.converter import Converter
from hecc.compiler.importer.definitions.functions import FITTED, KINKED, define_function

__all__ = [
    "Abs",
    "Celu",
    "Clip",
    "Elu",
    "Erf",
    "Erfc",
    "Exp",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "LeakyRelu",
    "Mish",
    "PRelu",
    "Relu",
    "Selu",
    "Shrink",
    "Sigmoid",
    "Softplus",
    "Softsign",
    "Swish",
    "Tanh",
    "ThresholdedRelu",
]


class Abs(Converter):
    """Absolute value."""

    notes = KINKED

    @staticmethod
    def opset_7(call: Call) -> None:
        """``|x|``."""
        define_function(call, "abs", call.value(0))


class Celu(Converter):
    """Continuously differentiable exponential linear unit."""

    notes = FITTED

    @staticmethod
    def opset_12(call: Call) -> None:
        """``max(0, x) + min(0, alpha (exp(x / alpha) - 1))``."""
        alpha = call.attribute("alpha", 1.0)
        if alpha == 0:
            raise call.fault("its attribute 'alpha' is zero")
        define_function(call, "celu", call.value(0), alpha=alpha)


class Clip(Converter):
    """Clipping to an interval."""

    notes = KINKED

    @staticmethod
    def opset_7(call: Call) -> None:
        """The bounds are attributes."""
        define_function(
            call, "clip", call.value(0), low=call.attribute("min", -math.inf), high=call.attribute("max", math.inf)
        )

    @staticmethod
    def opset_11(call: Call) -> None:
        """The bounds are inputs, scalars, and may be left out."""
        bounds = [-math.inf, math.inf]
        for index in (1, 2):
            if call.optional(index) is not None:
                array = call.constant(index).array
                if array.size != 1:
                    raise call.fault(f"its bound '{call.constant(index).name}' is not a scalar")
                bounds[index - 1] = float(array.reshape(-1)[0])
        define_function(call, "clip", call.value(0), low=bounds[0], high=bounds[1])


class Elu(Converter):
    """Exponential linear unit."""

    notes = FITTED

    @staticmethod
    def opset_7(call: Call) -> None:
        """``alpha (exp(x) - 1)`` where x is negative, x elsewhere."""
        define_function(call, "elu", call.value(0), alpha=call.attribute("alpha", 1.0))


class Erf(Converter):
    """The error function."""

    notes = FITTED

    @staticmethod
    def opset_9(call: Call) -> None:
        """``erf(x)``."""
        define_function(call, "erf", call.value(0))


class Erfc(Converter):
    """``1 - erf(x)``, which no opset has, but which Keras's exporter writes GELU with."""

    notes = FITTED

    @staticmethod
    def opset_7(call: Call) -> None:
        """TensorFlow's."""
        define_function(call, "erfc", call.value(0))


class Exp(Converter):
    """The exponential function."""

    notes = FITTED

    @staticmethod
    def opset_7(call: Call) -> None:
        """``exp(x)``."""
        define_function(call, "exp", call.value(0))


class Gelu(Converter):
    """Gaussian error linear unit."""

    notes = FITTED

    @staticmethod
    def opset_20(call: Call) -> None:
        """``x Phi(x)``, or what it is approximated by with tanh."""
        approximate = call.attribute("approximate", "none")
        if approximate not in ("none", "tanh"):
            raise call.fault(f"its attribute 'approximate' is '{approximate}'")
        define_function(call, "gelu" if approximate == "none" else "gelu_tanh", call.value(0))


class HardSigmoid(Converter):
    """A line, clipped to [0, 1]."""

    notes = KINKED

    @staticmethod
    def opset_7(call: Call) -> None:
        """``max(0, min(1, alpha x + beta))``."""
        define_function(
            call, "hardsigmoid", call.value(0), alpha=call.attribute("alpha", 0.2), beta=call.attribute("beta", 0.5)
        )


class HardSwish(Converter):
    """``x HardSigmoid(x)``."""

    notes = FITTED

    @staticmethod
    def opset_14(call: Call) -> None:
        """With alpha 1/6 and beta 1/2."""
        define_function(call, "hardswish", call.value(0))


class LeakyRelu(Converter):
    """Rectifier with a slope on both sides."""

    notes = KINKED

    @staticmethod
    def opset_7(call: Call) -> None:
        """``alpha x`` where x is negative, x elsewhere."""
        define_function(call, "leakyrelu", call.value(0), alpha=call.attribute("alpha", 0.01))


class Mish(Converter):
    """``x tanh(softplus(x))``."""

    notes = FITTED

    @staticmethod
    def opset_18(call: Call) -> None:
        """No attributes."""
        define_function(call, "mish", call.value(0))


class PRelu(Converter):
    """Rectifier with slopes that were trained, perhaps one per channel."""

    notes = KINKED

    @staticmethod
    def opset_7(call: Call) -> None:
        """``slope x`` where x is negative, x elsewhere: ``slope x + (1 - slope) relu(x)``."""
        value, slope = call.value(0), call.constant(1)
        if call.broadcast(value.shape, slope.shape) != value.shape:
            raise call.fault(f"its slope '{slope.name}' does not broadcast to its input")
        rectified = define_function(call, "relu", value, f"{call.name}:relu")
        array = slope.array.astype(np.float64)
        rest = call.parameter(slope, ":rest", 1.0 - array)
        call.affine(
            Value(call.name, value.shape),
            (value, Scale.of(value.shape, call.parameter(slope))),
            (rectified, Scale.of(value.shape, rest)),
        )


class Relu(Converter):
    """Rectifier."""

    notes = KINKED

    @staticmethod
    def opset_7(call: Call) -> None:
        """``max(0, x)``."""
        define_function(call, "relu", call.value(0))


class Selu(Converter):
    """Scaled exponential linear unit."""

    notes = FITTED

    @staticmethod
    def opset_7(call: Call) -> None:
        """``gamma elu(x, alpha)``."""
        alpha = call.attribute("alpha", 1.67326319217681884765625)
        define_function(
            call, "selu", call.value(0), alpha=alpha, gamma=call.attribute("gamma", 1.05070102214813232421875)
        )


class Shrink(Converter):
    """Shrinkage: zero around zero."""

    notes = KINKED

    @staticmethod
    def opset_9(call: Call) -> None:
        """``x + bias`` below ``-lambd``, ``x - bias`` above ``lambd``, zero between."""
        define_function(
            call, "shrink", call.value(0), lambd=call.attribute("lambd", 0.5), bias=call.attribute("bias", 0.0)
        )


class Sigmoid(Converter):
    """The logistic function."""

    notes = FITTED

    @staticmethod
    def opset_7(call: Call) -> None:
        """``1 / (1 + exp(-x))``."""
        define_function(call, "sigmoid", call.value(0))


class Softplus(Converter):
    """``log(1 + exp(x))``."""

    notes = FITTED

    @staticmethod
    def opset_7(call: Call) -> None:
        """No attributes."""
        define_function(call, "softplus", call.value(0))


class Softsign(Converter):
    """``x / (1 + |x|)``."""

    notes = FITTED

    @staticmethod
    def opset_7(call: Call) -> None:
        """No attributes."""
        define_function(call, "softsign", call.value(0))


class Swish(Converter):
    """``x sigmoid(alpha x)``; with alpha 1 it is SiLU."""

    notes = FITTED

    @staticmethod
    def opset_24(call: Call) -> None:
        """The only form."""
        define_function(call, "swish", call.value(0), alpha=call.attribute("alpha", 1.0))


class Tanh(Converter):
    """Hyperbolic tangent."""

    notes = FITTED

    @staticmethod
    def opset_7(call: Call) -> None:
        """``tanh(x)``."""
        define_function(call, "tanh", call.value(0))


class ThresholdedRelu(Converter):
    """Rectifier that begins at a threshold, with a jump."""

    notes = KINKED

    @staticmethod
    def opset_10(call: Call) -> None:
        """``x`` where it is above alpha, zero elsewhere."""
        define_function(call, "thresholdedrelu", call.value(0), alpha=call.attribute("alpha", 1.0))
