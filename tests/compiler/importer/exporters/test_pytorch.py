"""What PyTorch's exporters write for the modules that networks are made of: it is imported, and computes the same."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest

from hecc.compiler.ckks.limits import LIMITS
from hecc.compiler.importer import import_model
from hecc.runtime.errors import UnsupportedError
from hecc.runtime.tail.epilogue import apply_steps

torch: Any = pytest.importorskip("torch", reason="needs PyTorch")
pytest.importorskip("onnxscript", reason="PyTorch's exporter needs onnxscript")
nn, F = torch.nn, torch.nn.functional

Compute = Callable[..., Any]
IMAGE, VECTOR, SERIES, TOKENS = (2, 8, 8), (6,), (5, 4), (8, 16)
CAUSAL = torch.triu(torch.full((8, 8), float("-inf")), 1)


class Module(nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
    """A module that computes what a function of itself and its inputs says, behind a linear layer of six features."""

    def __init__(self, compute: Compute, **parts: Any) -> None:
        super().__init__()
        self.compute = compute
        for name, part in parts.items():
            if isinstance(part, torch.Tensor):
                self.register_parameter(name, nn.Parameter(part))
            else:
                setattr(self, name, part)

    def forward(self, x: Any) -> Any:
        """Compute the module."""
        return self.compute(self, x)


def weight(*shape: int) -> Any:
    return torch.arange(float(np.prod(shape))).reshape(shape).sin()


def between(function: Compute) -> Module:
    """A function between two layers, so that it is not at the end."""
    return Module(lambda m, x: m.last(function(m.first(x))), first=nn.Linear(6, 8), last=nn.Linear(8, 3))


def behind(function: Compute) -> Module:
    """A function at the end."""
    return Module(lambda m, x: function(m.first(x)), first=nn.Linear(6, 8))


def plain(function: Compute) -> Module:
    """A function of the input alone."""
    return Module(lambda _, x: function(x))


def transformer_block(**options: Any) -> Any:
    """A block of an encoder, for eight tokens of sixteen numbers."""
    options = {"batch_first": True, **options}
    return nn.TransformerEncoderLayer(16, 2, 32, activation="gelu", **options)


MODULES: dict[str, tuple[tuple[int, ...], Callable[[], Any]]] = {
    "view of the batch": (IMAGE, lambda: plain(lambda x: x.view(x.size(0), -1))),
    "reshape": (IMAGE, lambda: plain(lambda x: x.reshape(-1, 128))),
    "unflatten": (IMAGE, lambda: plain(lambda x: x.unflatten(2, (2, 4)))),
    "batch normalization without weights": (IMAGE, lambda: nn.BatchNorm2d(2, affine=False)),
    "adaptive pooling": (IMAGE, lambda: nn.AdaptiveAvgPool2d((4, 2))),
    "overlapping pooling": (IMAGE, lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False)),
    "maxima of windows": (IMAGE, lambda: nn.MaxPool2d(3, 2, 1, ceil_mode=True)),
    "pooling that overhangs": (IMAGE, lambda: nn.AvgPool2d(3, 2, ceil_mode=True)),
    "grouped convolution": (IMAGE, lambda: nn.Conv2d(2, 4, 3, groups=2, padding=1)),
    "dilated convolution": (IMAGE, lambda: nn.Conv2d(2, 3, 3, dilation=2, padding=2)),
    "convolution with a mirrored border": (IMAGE, lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect")),
    "convolution around a torus": (IMAGE, lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular")),
    "transposed convolution": (IMAGE, lambda: nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1, output_padding=1)),
    "upsampling": (IMAGE, lambda: nn.Upsample(scale_factor=2, mode="bilinear")),
    "upsampling to corners": (IMAGE, lambda: nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)),
    "pixel shuffle": ((8, 4, 4), lambda: nn.PixelShuffle(2)),
    "pixel unshuffle": (IMAGE, lambda: nn.PixelUnshuffle(2)),
    "cat": (IMAGE, lambda: plain(lambda x: torch.cat([x, x * 2, x[:, :1]], 1))),
    "stack": (IMAGE, lambda: plain(lambda x: torch.stack([x, 2 * x], 1).sum(1))),
    "chunk": (IMAGE, lambda: plain(lambda x: x.chunk(2, 1)[0] - x.chunk(2, 1)[1])),
    "split": (IMAGE, lambda: plain(lambda x: torch.cat(x.split([3, 5], 2)[::-1], 2))),
    "roll": (IMAGE, lambda: plain(lambda x: torch.roll(x, (1, -2), (2, 3)))),
    "flip": (IMAGE, lambda: plain(lambda x: torch.flip(x, [2, 3]))),
    "constant border": (IMAGE, lambda: plain(lambda x: F.pad(x, (1, 2, 0, 1), value=0.5))),
    "replicated border": (IMAGE, lambda: plain(lambda x: F.pad(x, (1, 2, 0, 1), mode="replicate"))),
    "mean": (IMAGE, lambda: plain(lambda x: x.mean((2, 3)))),
    "slices": (IMAGE, lambda: plain(lambda x: x[:, 1:, ::2, 1::2] + x[:, :1, -4:, [0, 3, 5, 7]])),
    "diagonal": (IMAGE, lambda: plain(lambda x: torch.diagonal(x, dim1=2, dim2=3))),
    "unfold": (IMAGE, lambda: plain(lambda x: F.unfold(x, 3))),
    "expand": (IMAGE, lambda: plain(lambda x: x.mean(1, keepdim=True).expand_as(x) + x)),
    "masked": (IMAGE, lambda: plain(lambda x: x.masked_fill(torch.eye(8).bool(), 0.5))),
    "einsum": (IMAGE, lambda: Module(lambda m, x: torch.einsum("bchw,ck->bkhw", x, m.w), w=weight(2, 3))),
    "product from the left": (IMAGE, lambda: Module(lambda m, x: m.w @ x, w=weight(8, 8))),
    "learned scalars": (IMAGE, lambda: Module(lambda m, x: x * m.a + m.b, a=weight(1)[0] + 2, b=weight(1))),
    "residual": (IMAGE, lambda: Module(lambda m, x: x + m.c(x) ** 2, c=nn.Conv2d(2, 2, 3, padding=1))),
    "positions": (SERIES, lambda: Module(lambda m, x: x + m.p[:, : x.shape[1]], p=weight(1, 9, 4))),
    "embedded positions": (
        SERIES,
        lambda: Module(lambda m, x: x + m.e(torch.arange(x.shape[1])), e=nn.Embedding(9, 4)),
    ),
    "class token": (
        SERIES,
        lambda: Module(lambda m, x: torch.cat([m.c.expand(x.shape[0], -1, -1), x], 1), c=weight(1, 1, 4)),
    ),
    "normalised weight": (VECTOR, lambda: nn.utils.parametrizations.weight_norm(nn.Linear(6, 3))),
    "silu": (VECTOR, lambda: between(F.silu)),
    "gelu": (VECTOR, lambda: between(F.gelu)),
    "hardswish": (VECTOR, lambda: between(F.hardswish)),
    "softplus": (VECTOR, lambda: between(lambda x: F.softplus(x, beta=2))),
    "softshrink": (VECTOR, lambda: between(F.softshrink)),
    "clamp": (VECTOR, lambda: between(lambda x: x.clamp(min=0))),
    "minimum": (VECTOR, lambda: between(lambda x: torch.minimum(x, weight(8)))),
    "mish": (VECTOR, lambda: between(F.mish)),
    "square": (VECTOR, lambda: between(torch.square)),
    "polynomial": (VECTOR, lambda: between(lambda x: 0.1 * x * x + 0.5 * x + 0.2)),
    "softmax": (VECTOR, lambda: behind(lambda x: torch.softmax(x / 2, 1))),
    "log-softmax": (VECTOR, lambda: behind(lambda x: F.log_softmax(x, 1))),
    "probabilities and label": (VECTOR, lambda: behind(lambda x: (torch.softmax(x, 1), x.argmax(1)))),
    "one of two classes": (VECTOR, lambda: behind(lambda x: (torch.sigmoid(x[:, 0]) > 0.5).long())),
    "two probabilities": (VECTOR, lambda: behind(lambda x: torch.cat([1 - torch.sigmoid(x), torch.sigmoid(x)], 1))),
    "best three": (VECTOR, lambda: behind(lambda x: tuple(torch.topk(x, 3, 1)))),
    "exponential": (VECTOR, lambda: behind(lambda x: torch.exp(x[:, 0]))),
    "unit length": (VECTOR, lambda: behind(lambda x: F.normalize(x, dim=1))),
    "log of a sum": (VECTOR, lambda: behind(lambda x: torch.logsumexp(x, 1))),
    "simple recurrence": (SERIES, lambda: Module(lambda m, x: m.r(x)[1][0], r=nn.RNN(4, 3, batch_first=True))),
    "gated recurrence": (
        SERIES,
        lambda: Module(lambda m, x: m.r(x)[0][:, -1], r=nn.GRU(4, 3, num_layers=2, batch_first=True)),
    ),
    "long short-term memory": (
        SERIES,
        lambda: Module(lambda m, x: m.r(x)[0], r=nn.LSTM(4, 3, batch_first=True, bidirectional=True)),
    ),
    # The exporter takes attention of several heads only.
    "causal attention": (SERIES, lambda: plain(lambda x: causal(x[:, None])[:, 0])),
    "transformer block with a mask": (TOKENS, lambda: Module(lambda m, x: m.t(x, CAUSAL), t=transformer_block())),
    "transformer block, sequence first": (
        TOKENS,
        lambda: Module(lambda m, x: m.t(x.transpose(0, 1)).transpose(0, 1), t=transformer_block(batch_first=False)),
    ),
    "distances": (VECTOR, lambda: Module(lambda m, x: ((x[:, None] - m.w) ** 2).sum(2).sqrt(), w=weight(3, 6))),
}


def causal(x: Any) -> Any:
    return F.scaled_dot_product_attention(x, x, x, is_causal=True)


def exported(module: Any, example: Any, *, dynamo: bool) -> onnx.ModelProto:
    """The module as one of the exporters writes it, with an open batch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if dynamo:
            shapes = ({0: torch.export.Dim("batch")},)
            program = torch.onnx.export(module, (example,), dynamo=True, dynamic_shapes=shapes, verbose=False)
            return onnx.load_model_from_string(program.model_proto.SerializeToString())
        stream = io.BytesIO()
        torch.onnx.export(
            module, (example,), stream, dynamo=False, opset_version=17, input_names=["x"], dynamic_axes={"x": {0: "n"}}
        )
    return onnx.load_model_from_string(stream.getvalue())


def check(module: Any, example: Any, *, dynamo: bool) -> None:
    """Whatever the plan's client would get is what PyTorch computes."""
    with torch.no_grad():
        answer = module(example)
    graph = import_model(exported(module, example, dynamo=dynamo))
    (source,) = graph.inputs()
    values = graph.evaluate({source.output.name: example.double().numpy()})
    answers = answer if isinstance(answer, tuple) else (answer,)
    assert len(graph.outputs) == len(answers)
    for output, right in zip(graph.outputs, answers, strict=True):
        shape = graph.example_shape(graph.node(output).output.shape)
        found = apply_steps(values[output].reshape(-1, *shape), graph.epilogues.get(output, ()))
        assert found.shape == right.shape
        np.testing.assert_allclose(found, right.numpy(), rtol=0, atol=1e-5 * float(right.abs().max()))


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("name", MODULES)
def test_the_old_exporters_module_computes_what_pytorch_computes(name: str) -> None:
    shape, build = MODULES[name]
    check(build().eval(), torch.randn(3, *shape), dynamo=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODULES)
def test_todays_exporters_module_computes_what_pytorch_computes(name: str) -> None:
    shape, build = MODULES[name]
    check(build().eval(), torch.randn(3, *shape), dynamo=True)


def test_images_of_bytes_are_numbers() -> None:
    module = Module(lambda m, x: m.c(x.float() / 255), c=nn.Conv2d(2, 3, 3))
    check(module, torch.randint(0, 256, (3, *IMAGE), dtype=torch.uint8), dynamo=False)


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_networks_of_other_precisions(dtype: str) -> None:
    kind = getattr(torch, dtype)
    module, example = nn.Linear(6, 4).to(kind), torch.randn(3, 6).to(kind)
    if dtype == "float64":
        check(module, example, dynamo=False)
    else:
        graph = import_model(exported(module, example, dynamo=False))
        (source,) = graph.inputs()
        (found,) = (graph.evaluate({source.output.name: example.numpy()})[name] for name in graph.outputs)
        np.testing.assert_allclose(found, module(example).detach().numpy(), atol=5e-3)


def test_what_cannot_be_computed_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match=r"Round '.*' \(opset 17\): rounding is not a polynomial"):
        import_model(exported(between(torch.round).eval(), torch.randn(3, 6), dynamo=False), limits=LIMITS)
